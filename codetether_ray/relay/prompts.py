"""What a relay's agents are told. Short: every word is paid for by every agent."""

from codetether_ray.core.events import KrMeasured
from codetether_ray.relay.profiles import MOST, Profile

HANDOFF_BYTES = 6_000
"""A longer answer is summarised before it is handed on."""
CUT_CHARS = 3_500
"""What is left of an answer that nobody could summarise."""
_EXCERPT_CHARS = 2_200
_SUMMARY_CHARS = 60_000

MEMBER_ROLE = """\
Your specialty: {specialty}.
Your mission: {mission}
You get a handoff and hand over in your turn. Take it for what is so, but check what you build on. \
Do the next useful step towards the task, completely; don't do everybody's work at once, and don't \
undo it without need.
Your last message is the handoff: what you did, what you checked and how it ended, what is left, \
and one concrete next step. These lines are read by the harness; each stands on a line of its own:
- `@name: question` asks a team mate, who sees it at their next turn;
- `NEEDED: specialty` says that the team lacks an expertise (only if it truly does);
- end with `STATUS: done` if nothing is left to do for the task, else with `STATUS: open`."""
TEAM_ROLE = (
    "You form small teams of coding agents that work on a task by turns, in one workspace. "
    "Your answer is the team as JSON and nothing else."
)
SPECIALIST_ROLE = (
    "You decide whether one more agent is to join a small team of coding agents that work by "
    "turns. Each costs as much as the others: say yes only for an expertise that the task needs "
    "and nobody has. Your answer is JSON and nothing else."
)
SUMMARY_ROLE = (
    "You shorten what one coding agent hands over to the next. Keep facts: files, commands and "
    "how they ended, decisions, what is open. Add nothing."
)

_PROFILE = {
    "type": "object",
    "properties": {
        "name": {"type": "string"},
        "specialty": {"type": "string"},
        "mission": {"type": "string"},
        "capabilities": {"type": "array", "items": {"type": "string"}},
    },
    "required": ["name", "specialty", "mission"],
}
TEAM_SCHEMA: dict[str, object] = {
    "type": "object",
    "properties": {"profiles": {"type": "array", "items": _PROFILE}},
    "required": ["profiles"],
}
SPECIALIST_SCHEMA: dict[str, object] = {
    "type": "object",
    "properties": {
        "spawn": {"type": "boolean"},
        "reason": {"type": "string"},
        "profile": {"anyOf": [_PROFILE, {"type": "null"}]},
    },
    "required": ["spawn", "reason"],
}
_TEAM_SHAPE = (
    '{"profiles": [{"name": "short-kebab-case", "specialty": "one expertise", "mission": "what '
    'exactly it does for this task", "capabilities": ["concise-tags"]}]}'
)
_SPECIALIST_SHAPE = '{"spawn": true, "reason": "…", "profile": {… as the others, or null}}'


def team_request(task: str, count: int, objective: str = "") -> str:
    """The message to who forms the team."""
    goal = f"\n\n{objective}" if objective else ""
    return (
        f"Task:\n{task}{goal}\n\nReturn {count} profiles, in the order in which they shall take "
        "turns: short kebab-case names, concise tags, concrete missions that together cover the "
        f"task, checking included.\nAnswer with JSON only, in this shape:\n{_TEAM_SHAPE}"
    )


def team_again(request: str, answer: str, problem: str) -> str:
    """The same request, the answer, and what is wrong with it."""
    return (
        f"{request}\n\nAn earlier answer was:\n{shorten(answer, CUT_CHARS)}\n\n"
        f"It cannot be used: {problem}.\nAnswer with the whole corrected team as JSON only."
    )


def specialist_request(task: str, team: tuple[Profile, ...], wanted: str, output: str) -> str:
    """The message to who decides on a specialist."""
    return (
        f"Task:\n{task}\n\nThe team ({len(team)} of at most {MOST}):\n{roster(team)}\n\n"
        f"One of them says that it lacks: {wanted}\n\nFrom that one's handoff:\n"
        f"{shorten(output, _EXCERPT_CHARS)}\n\nAnswer with JSON only:\n{_SPECIALIST_SHAPE}"
    )


def summary_request(task: str, output: str) -> str:
    """The message to who shortens a handoff."""
    return (
        f"The task, for orientation:\n{task}\n\nThe handoff:\n{shorten(output, _SUMMARY_CHARS)}"
        f"\n\nShorten it to at most {CUT_CHARS} characters: conclusions, risks, the next action."
    )


def roster(team: tuple[Profile, ...]) -> str:
    """The team, one line each, in the order of turns."""
    return "\n".join(f"- @{p.name} ({p.specialty}): {p.mission}" for p in team)


def standing(measured: KrMeasured) -> str:
    """How the key results stand, one line each."""
    lines = []
    for reading in measured.readings:
        told = (measured.standing or {}).get(reading.kr_id)
        title = str(told.get("title")) if isinstance(told, dict) else reading.kr_id
        target = f", target {told.get('target')}" if isinstance(told, dict) else ""
        value = "unknown" if reading.value is None else f"{reading.value:g}"
        met = "met" if reading.kr_id in measured.met else "not met"
        why = f" ({reading.reason})" if reading.reason else ""
        lines.append(f"- {title}: {value}{target}: {met}{why}")
    return "\n".join(lines)


def shorten(text: str, limit: int) -> str:
    """`text`, its middle left out (and said so) where it is longer than `limit` characters."""
    if len(text) <= limit:
        return text
    half = limit // 2
    left_out = len(text) - 2 * half
    return f"{text[:half]}\n[… {left_out} characters left out …]\n{text[len(text) - half :]}"
