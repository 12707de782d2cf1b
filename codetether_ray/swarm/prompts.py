"""What a swarm's agents are told. Short: every word is paid for by every agent."""

from collections.abc import Mapping, Sequence
from itertools import islice
from types import MappingProxyType

from codetether_ray.core.spec import TurnResult
from codetether_ray.ports.workspace import Base
from codetether_ray.swarm.options import Strategy
from codetether_ray.swarm.plan import Plan, Subtask

_RESULTS_CHARS = 24_000  # of dependency results in one instruction: about 6,000 tokens
_SYNTHESIS_CHARS = 120_000
_LEAST_CHARS = 400  # however many results share the room
_SIBLINGS = 20

PLANNER_ROLE = (
    "You split a task into subtasks for coding agents that work at the same time, each in its own "
    "copy of the source tree. Look at the tree as far as your tools allow and the split needs; "
    "do none of the work. Your last message is the plan as JSON and nothing else."
)
SUBAGENT_ROLE = (
    "You are one of several coding agents that share a task. Do your own subtask, completely, "
    "and leave the others' work to them. Change files only in your workspace. Don't commit, "
    "branch or merge: what you leave in the files is committed for you and merged with the "
    "others' work. Check your work (run the tests that it touches) before you end. End with a "
    "short report: what you changed, what you checked, what others must know."
)
RESOLVER_ROLE = (
    "You resolve merge conflicts. The files in your workspace hold conflict markers "
    "(<<<<<<<, =======, >>>>>>>). Edit them so that the intent of both sides is kept, no marker "
    "is left, and the tests pass. Don't commit or run git merge; the files are committed for "
    "you. End with one or two sentences on what you decided."
)
SYNTHESIS_ROLE = (
    "Several coding agents worked on a task. From their reports and the resulting change, answer "
    "the task for the person who gave it: what was done, what was not, what they should know. "
    "Say nothing that the reports do not bear out. Be brief."
)

_STRATEGIES: Mapping[Strategy, str] = MappingProxyType(
    {
        "auto": "Choose the split that lets most of the work go on at the same time.",
        "domain": "Split by expertise (such as research, coding, analysis, verification).",
        "data": "Split by part of the material (such as files, sections, data sets).",
        "stage": "Split by step of the work (such as gather, process, put together).",
    }
)
_SHAPE = """{"subtasks": [{"name": "short unique name", "instruction": "all that the agent must \
know", "specialty": "its expertise, or null", "dependencies": ["names of subtasks whose work it \
needs"], "priority": 0, "files": ["paths it will change, as far as known"]}]}"""


def plan_request(task: str, strategy: Strategy, max_subagents: int) -> str:
    """The message to the planner."""
    return (
        f"Task:\n{task}\n\n{_STRATEGIES.get(strategy, _STRATEGIES['auto'])}\n"
        f"At most {max_subagents} subtasks; fewer is better where the task is small. Each must be "
        "workable by an agent that sees only its own instruction, the source tree, and the "
        "results of its dependencies, whose changes it starts from. Subtasks without a dependency "
        "between them run at the same time, so they should not change the same files. A higher "
        'priority starts earlier. No subtask may be named "main".\n'
        f"Answer with JSON only, in this shape:\n```json\n{_SHAPE}\n```"
    )


def repair_request(task: str, strategy: Strategy, limit: int, answer: str, problem: str) -> str:
    """The message of the repair round: the same request, the answer, and what is wrong with it."""
    return (
        f"{plan_request(task, strategy, limit)}\n\nAn earlier answer was:\n"
        f"{shorten(answer, _RESULTS_CHARS)}\n\nIt cannot be used: {problem}.\n"
        "Answer with the whole corrected plan as JSON only."
    )


def subtask_request(
    task: str, subtask: Subtask, results: Sequence[tuple[Subtask, TurnResult]]
) -> str:
    """The message to a sub-agent: the whole task, its own part, what its dependencies found."""
    parts = [
        f"The whole task, for orientation:\n{task}",
        f'Your subtask, "{subtask.name}":\n{subtask.instruction}',
    ]
    if subtask.files:
        parts.append(f"The plan expects you to change: {', '.join(subtask.files)}")
    if results:
        room = max(_RESULTS_CHARS // len(results), _LEAST_CHARS)
        parts.append("Your workspace already holds the changes of these finished subtasks:")
        parts += [f'Result of "{s.name}":\n{shorten(r.text, room)}' for s, r in results]
    return "\n\n".join(parts)


def situation(base: Base, start: str, plan: Plan, subtask: Subtask) -> str:
    """What varies: where the tree comes from, and who works beside."""
    lines = [_origin(base, start), *base.notes]
    count = len(plan.subtasks) - 1
    if count:
        others = (s.name for s in plan.subtasks if s.id != subtask.id)
        named = ", ".join(f'"{name}"' for name in islice(others, _SIBLINGS))
        more = f" and {count - _SIBLINGS} more" if count > _SIBLINGS else ""
        lines.append(f"Other agents work on {named}{more}; their changes reach you only as told.")
    return "\n".join(lines)


def _origin(base: Base, start: str) -> str:
    if not base.head:
        return "Your workspace is a copy of the user's directory."
    on = f" of branch {base.branch}" if base.branch else ""
    own = ", with the user's uncommitted changes" if base.is_snapshot else ""
    later = f"; your workspace starts from {start[:12]}" if start != base.commit else ""
    return f"The work is based on commit {base.head[:12]}{on}{own}{later}."


def conflict_request(task: str, subtask: Subtask, conflicts: Sequence[str], report: str) -> str:
    """The message to a resolver."""
    return (
        f"The whole task:\n{task}\n\n"
        f'The work of the subtask "{subtask.name}" ({subtask.instruction}) is being merged into '
        f"the others' work and conflicts in: {', '.join(conflicts)}.\n\n"
        f"Its agent's report:\n{shorten(report, _RESULTS_CHARS)}\n\nResolve the conflicts."
    )


def conflict_again(first: str, conflicts: Sequence[str], problem: str) -> str:
    """The message of a resolver's second try."""
    left = f"These files still hold conflicts: {', '.join(conflicts)}." if conflicts else ""
    return f"{first}\n\nA first try did not end well. {problem} {left}".rstrip()


def parents_request(task: str, subtask: Subtask, conflicts: Sequence[str]) -> str:
    """The message to a resolver where a subtask's dependencies conflict with each other."""
    names = ", ".join(conflicts)
    return (
        f'The whole task:\n{task}\n\nThe subtask "{subtask.name}" starts from the work of several '
        f"others, which conflicts in: {names}.\n\nResolve the conflicts; leave the subtask itself "
        "alone."
    )


def synthesis_request(task: str, reports: Sequence[str], diffstat: str) -> str:
    """The message to the synthesis."""
    room = max(_SYNTHESIS_CHARS // max(len(reports), 1), _LEAST_CHARS)
    told = "\n\n".join(shorten(report, room) for report in reports)
    change = f"The merged change:\n{diffstat}" if diffstat else "No file was changed."
    return f"Task:\n{task}\n\nReports:\n\n{told}\n\n{change}\n\nAnswer the task."


def shorten(text: str, limit: int) -> str:
    """`text`, its middle left out (and said so) where it is longer than `limit` characters."""
    if len(text) <= limit:
        return text
    half = limit // 2
    left_out = len(text) - 2 * half
    return f"{text[:half]}\n[… {left_out} characters left out …]\n{text[len(text) - half :]}"
