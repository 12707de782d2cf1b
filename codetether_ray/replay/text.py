"""A record as a block of text that people read: a line that says what happened, then its words.

Text from models, tools and users is made harmless for a terminal: control characters are shown,
never sent.
"""

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

from codetether_ray.core.events import (
    AgentContinued,
    AgentPlaced,
    AgentRestarted,
    AgentStarted,
    ApprovalGiven,
    ChildRunFinished,
    ChildRunStarted,
    Compacted,
    Event,
    ModelFailed,
    ModelRequested,
    ModelResponded,
    Nudged,
    PlanMade,
    Record,
    RunFinished,
    RunStarted,
    SubtaskChanged,
    SubtaskMerged,
    SwarmContinued,
    SwarmFinished,
    SwarmStarted,
    ToolFinished,
    ToolStarted,
    TreeFound,
    TurnFinished,
    TurnStarted,
)
from codetether_ray.core.messages import File, Image, Message, Part, Reasoning, Text, ToolCall
from codetether_ray.core.usage import Usage
from codetether_ray.replay import ralph_told, relay_told

Told = tuple[str, list[str]]
"""What happened, and the texts that belong to it."""

_INDENT = "    "


def block(record: Record, *, lines: int | None = 12) -> str:
    """The block of one record; of each of its texts at most `lines` lines (None: all)."""
    happened, texts = _told(record.event)
    moment = datetime.fromtimestamp(record.time, UTC).strftime("%H:%M:%S.%f")[:-3]
    head = f"{moment}  {harmless(record.agent)}  {harmless(happened)}"
    return "\n".join((head, *(line for text in texts for line in _body(text, lines))))


def day(record: Record) -> str:
    """The day of a record, and whose midnight it begins at."""
    return datetime.fromtimestamp(record.time, UTC).strftime("%Y-%m-%d (times in UTC)")


def conversation(messages: tuple[Message, ...]) -> Iterator[str]:
    """Messages as a model saw them, one block each."""
    for message in messages:
        texts = [line for part in message.parts for line in _body(_part(part), None)]
        yield "\n".join((f"[{message.role}]", *texts))


def harmless(text: str) -> str:
    """`text` without anything that a terminal would obey; tabs and line ends stay."""
    return "".join(c if c.isprintable() or c in "\n\t" else _visible(c) for c in text)


def amount(usage: Usage) -> str:
    """Tokens in a few words."""
    cached = f" ({usage.cache_read_tokens} cached)" if usage.cache_read_tokens else ""
    return f"{usage.prompt_tokens} in{cached}, {usage.completion_tokens} out"


def dollars(cost_usd: float | None) -> str:
    """A cost, or that it is unknown."""
    return "cost unknown" if cost_usd is None else f"${cost_usd:.4f}"


def part_text(part: Part) -> str:
    """A part of a message as text."""
    return _part(part)


def _visible(character: str) -> str:
    code = ord(character)
    if code < 0x20:
        return chr(0x2400 + code)  # the picture of a control character
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _body(text: str, limit: int | None) -> Iterator[str]:
    rows = harmless(text).split("\n")
    while rows and not rows[-1].strip():
        rows.pop()
    kept = rows if limit is None or len(rows) <= limit else rows[: limit - 1]
    yield from (_INDENT + row for row in kept)
    if len(kept) < len(rows):
        yield f"{_INDENT}… {len(rows) - len(kept)} more lines (--full shows them)"


def _part(part: Part) -> str:
    match part:
        case Text(text=text):
            return text
        case Reasoning(text=text):
            return f"(thinking) {text}"
        case ToolCall(name=name, arguments=arguments):
            return f"→ {name} {arguments}"
        case Image(media_type=kind):
            return f"(a picture, {kind})"
        case File(name=name, media_type=kind, content=content):
            return f"(file {name}, {kind})\n{content or ''}"
        case _:
            return f"← {part.name}{' (error)' if part.is_error else ''}\n{part.content}"


def _told(event: Event) -> Told:
    tell = _TELL.get(type(event))
    if tell is not None:
        return tell(event)
    ralph = ralph_told.told(event) or relay_told.told(event)
    if ralph is None:
        return event.tag, []
    return ralph.words, [text for _, text in ralph.texts if text]


def _run_started(e: RunStarted) -> Told:
    again = "goes on" if e.resumed else "begins"
    model = f" with {e.model}" if e.model else ""
    return f"the {e.kind} {again} in {e.directory}{model}", [e.title]


def _run_finished(e: RunFinished) -> Told:
    return f"the run ends: {e.outcome}", [str(e.summary.get("error") or "")]


def _agent_started(e: AgentStarted) -> Told:
    tools = ", ".join(tool.name for tool in e.tools) or "none"
    return f"begins as {e.spec.kind} with {e.spec.model}; tools: {tools}", []


def _agent_continued(e: AgentContinued) -> Told:
    return f"goes on with {e.spec.model}, on other terms", []


def _placed(e: AgentPlaced) -> Told:
    where = e.host or e.node or "the run's own node"
    again = f", used before by {e.served}" if e.served else ""
    took = f" in {e.took_ms / 1000:.2f} s" if e.took_ms >= 0 else ""
    return f"lives on {where}, process {e.process or 'unnamed'}{again}{took}", []


def _turn_started(e: TurnStarted) -> Told:
    return f"turn {e.turn} begins", [_part(part) for part in e.message.parts]


def _requested(e: ModelRequested) -> Told:
    what = "for a summary of" if e.purpose == "compaction" else "with"
    again = f", try {e.attempt + 1}" if e.attempt else ""
    return f"step {e.step}: {e.model} is asked {what} {e.messages} messages{again}", []


def _responded(e: ModelResponded) -> Told:
    r = e.response
    used = f"{amount(r.usage)}, {dollars(r.cost_usd)}, {e.elapsed_ms / 1000:.1f} s"
    return f"step {e.step}: answer ({r.finish_reason}; {used})", [_part(p) for p in r.message.parts]


def _nudged(e: Nudged) -> Told:
    return f"step {e.step}: told to go on ({e.reason})", [e.text]


def _failed(e: ModelFailed) -> Told:
    return f"step {e.step}: the model call failed ({e.error_kind})", [e.error]


def _tool_started(e: ToolStarted) -> Told:
    return f"step {e.step}: {e.call.name} begins ({e.effect})", [e.call.arguments]


def _tool_finished(e: ToolFinished) -> Told:
    how = "was interrupted" if e.interrupted else "failed" if e.result.is_error else "is done"
    tree = f"; tree {e.tree[:12]}" if e.tree else ""
    text = f"step {e.step}: {e.result.name} {how} ({e.elapsed_ms / 1000:.1f} s{tree})"
    return text, [e.result.content]


def _tree_found(e: TreeFound) -> Told:
    return f"finds another tree than it left ({e.snapshot[:12]})", [e.text, *e.files]


def _approval(e: ApprovalGiven) -> Told:
    answer = "approved" if e.is_granted else "refused"
    return f"{e.subject} {answer}{f' by {e.by}' if e.by else ''}", []


def _compacted(e: Compacted) -> Told:
    if e.stage == "results":
        return f"step {e.step}: {len(e.call_ids)} old results are left out", []
    return f"step {e.step}: the first {e.keep_from} messages are summed up", [e.summary]


def _turn_finished(e: TurnFinished) -> Told:
    r = e.result
    used = f"{r.steps} steps, {r.tool_calls} tool calls, {amount(r.usage)}, {dollars(r.cost_usd)}"
    return f"turn {e.turn} ends: {r.outcome} ({used})", [r.error or r.text]


def _restarted(e: AgentRestarted) -> Told:
    return f"starts again, for the {e.attempt}. time: {e.reason}", []


def _swarm_started(e: SwarmStarted) -> Told:
    return f"a swarm begins{f' on {e.base[:12]}' if e.base else ''}", [e.task]


def _swarm_continued(e: SwarmContinued) -> Told:
    return f"goes on by other rules (version {e.rules})", []


def _planned(e: PlanMade) -> Told:
    names = [f"{s.get('name')}: {s.get('instruction')}" for s in e.subtasks]
    return f"the plan has {len(e.subtasks)} subtasks", [*names, *e.warnings]


def _subtask(e: SubtaskChanged) -> Told:
    files = [", ".join(e.files)] if e.files else []
    return f"{e.name} is {e.status}", [t for t in (e.detail, *files) if t]


def _merged(e: SubtaskMerged) -> Told:
    texts = [", ".join(e.conflicts), e.detail]
    return f"{e.name} is {e.status}", [t for t in texts if t]


def _swarm_finished(e: SwarmFinished) -> Told:
    return f"the swarm ends: {e.outcome}", [str(e.result.get("error") or "")]


def _child_started(e: ChildRunStarted) -> Told:
    return f"{e.agent} has the {e.kind} {e.run_id} begin, or go on", []


def _child_finished(e: ChildRunFinished) -> Told:
    took = f"{amount(e.usage)}, {dollars(e.cost_usd)}"
    return f"the {e.kind} {e.run_id} of {e.agent} ends: {e.outcome} ({took})", []


_TELL: Mapping[type, Callable[[Any], Told]] = MappingProxyType(
    {
        RunStarted: _run_started,
        RunFinished: _run_finished,
        AgentStarted: _agent_started,
        AgentContinued: _agent_continued,
        AgentPlaced: _placed,
        TurnStarted: _turn_started,
        ModelRequested: _requested,
        ModelResponded: _responded,
        Nudged: _nudged,
        ModelFailed: _failed,
        ToolStarted: _tool_started,
        ToolFinished: _tool_finished,
        TreeFound: _tree_found,
        ApprovalGiven: _approval,
        Compacted: _compacted,
        TurnFinished: _turn_finished,
        AgentRestarted: _restarted,
        SwarmStarted: _swarm_started,
        SwarmContinued: _swarm_continued,
        PlanMade: _planned,
        SubtaskChanged: _subtask,
        SubtaskMerged: _merged,
        SwarmFinished: _swarm_finished,
        ChildRunStarted: _child_started,
        ChildRunFinished: _child_finished,
    }
)
