"""A run as lanes of spans: what the page shows, and no more of each text than it can."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from codetether_ray.core.codec import JsonObject, JsonValue
from codetether_ray.core.events import (
    AgentContinued,
    AgentRestarted,
    AgentStarted,
    ApprovalGiven,
    Compacted,
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
    SwarmFinished,
    ToolFinished,
    ToolStarted,
    TreeFound,
    TurnFinished,
    TurnStarted,
)
from codetether_ray.core.messages import Message, Reasoning, Text, ToolCall
from codetether_ray.core.usage import Usage
from codetether_ray.replay.text import part_text

MOST = 60_000
"""Characters of one text that the page holds; `codetether replay --full` prints all."""

_TITLE = 160
_SHOWN_ARGUMENTS = ("command", "path", "pattern", "description", "key", "query")


@dataclass(slots=True)
class _Lane:
    """One agent, or the run itself."""

    path: str
    number: int
    kind: str = ""
    model: str = ""
    usage: Usage = field(default_factory=Usage)
    cost_usd: float | None = 0.0
    calls: int = 0
    tools: int = 0
    outcome: str = ""
    asked: JsonObject | None = None
    """The span of the model call that is open."""
    running: dict[str, JsonObject] = field(default_factory=dict)
    waiting: JsonObject | None = None
    sent: tuple[int, Sequence[int]] = (-1, ())
    """The list of messages that was sent last: its number, and the messages in it."""


class Timeline:
    """Takes records in order; `to_json` is what the page draws, in seconds from the start."""

    def __init__(self) -> None:
        self._lanes: dict[str, _Lane] = {}
        self._items: list[JsonObject] = []
        self._messages: list[JsonValue] = []
        self._numbers: dict[int, tuple[Message, int]] = {}
        self._lists: list[list[int]] = []
        self._run: JsonObject = {}
        self._start: float | None = None
        self._end = 0.0

    def add(self, record: Record, offset: int, sent: Sequence[Message] = ()) -> None:
        """One more record; `sent` are the messages of a model request."""
        if self._start is None:
            self._start = record.time
            self._run = {"id": record.correlation.run_id, "started": record.time, "outcome": ""}
        self._end = max(self._end, record.time)
        lane = self._lane(record.agent)
        if isinstance(record.event, ModelRequested):
            self._requested(lane, record, offset, sent)
            return
        draw = _DRAW.get(type(record.event))
        if draw is not None:
            draw(self, lane, record, offset)

    def to_json(self) -> JsonObject:
        """The whole page's data."""
        for lane in self._lanes.values():
            for item in (lane.asked, lane.waiting, *lane.running.values()):
                if item is not None:
                    item["e"], item["x"] = self._at(self._end), "open"
        lanes: JsonValue = [_lane_json(lane) for lane in self._lanes.values()]
        items: JsonValue = list(self._items)
        lists: JsonValue = [list(found) for found in self._lists]
        run = {**self._run, "length": self._at(self._end)}
        return {
            "run": run,
            "lanes": lanes,
            "items": items,
            "messages": self._messages,
            "lists": lists,
        }

    # -- helpers ----------------------------------------------------------------------------------

    def _lane(self, path: str) -> _Lane:
        if path not in self._lanes:
            self._lanes[path] = _Lane(path=path, number=len(self._lanes))
        return self._lanes[path]

    def _at(self, moment: float) -> float:
        return round(moment - (self._start or 0.0), 3)

    def _item(
        self, lane: _Lane, record: Record, offset: int, kind: str, title: str, *texts: str
    ) -> JsonObject:
        """A new item; `texts` are a label and a text in turn, empty texts left out."""
        at = self._at(record.time)
        pairs = zip(texts[::2], texts[1::2], strict=True)
        details: JsonValue = [[label, _cut(text)] for label, text in pairs if text]
        item: JsonObject = {
            "a": lane.number,
            "k": kind,
            "s": at,
            "e": at,
            "t": _one_line(title),
            "x": "ok",
            "q": record.seq,
            "o": offset,
            "d": details,
        }
        self._items.append(item)
        return item

    def _message(self, message: Message) -> int:
        """The number of a message in the page's table."""
        known = self._numbers.get(id(message))
        if known is not None:
            return known[1]
        number = len(self._messages)
        self._numbers[id(message)] = message, number  # held, so that its id stays its own
        text = "\n".join(part_text(part) for part in message.parts)
        self._messages.append([message.role, _cut(text)])
        return number

    # -- the run ----------------------------------------------------------------------------------

    def _run_started(self, lane: _Lane, record: Record, offset: int) -> None:
        e = _event(record, RunStarted)
        if not e.resumed or "title" not in self._run:
            self._run |= {"kind": e.kind, "title": e.title, "directory": e.directory}
            self._run |= {"model": e.model, "version": e.version}
        words = "the run goes on" if e.resumed else "the run begins"
        self._run["outcome"] = ""
        self._item(lane, record, offset, "run", words, "task", e.title, "directory", e.directory)

    def _run_finished(self, lane: _Lane, record: Record, offset: int) -> None:
        e = _event(record, RunFinished)
        self._run["outcome"] = e.outcome
        text = e.summary.get("result") or e.summary.get("text") or ""
        error = str(e.summary.get("error") or "")
        title = f"the run ends: {e.outcome}"
        item = self._item(lane, record, offset, "run", title, "answer", str(text), "error", error)
        item["x"] = "ok" if e.outcome in ("success", "completed") else "error"

    def _planned(self, lane: _Lane, record: Record, offset: int) -> None:
        e = _event(record, PlanMade)
        plan = "\n".join(_subtask_line(s) for s in e.subtasks)
        title = f"the plan: {len(e.subtasks)} subtasks"
        warnings = "\n".join(e.warnings)
        self._item(lane, record, offset, "plan", title, "subtasks", plan, "warnings", warnings)

    def _subtask(self, lane: _Lane, record: Record, offset: int) -> None:
        e = _event(record, SubtaskChanged)
        own = self._lane(e.agent) if e.agent else lane
        if e.status == "queued":
            own.waiting = self._item(own, record, offset, "wait", f"{e.name} waits for its turn")
            return
        if own.waiting is not None:
            own.waiting["e"] = self._at(record.time)
            own.waiting = None
        if e.status == "running":
            return
        files = "\n".join(e.files)
        title = f"{e.name} is {e.status}"
        item = self._item(
            own,
            record,
            offset,
            "subtask",
            title,
            "why",
            e.detail,
            "files",
            files,
            "commit",
            e.commit,
        )
        item["x"] = "ok" if e.status == "completed" else "error"

    def _merged(self, lane: _Lane, record: Record, offset: int) -> None:
        e = _event(record, SubtaskMerged)
        conflicts = "\n".join(e.conflicts)
        item = self._item(
            lane,
            record,
            offset,
            "merge",
            f"{e.name}: {e.status}",
            "conflicts",
            conflicts,
            "detail",
            e.detail,
            "commit",
            e.commit,
        )
        item["x"] = "error" if e.status == "unmerged" else "ok"

    def _swarm_finished(self, lane: _Lane, record: Record, offset: int) -> None:
        e = _event(record, SwarmFinished)
        error = str(e.result.get("error") or "")
        title = f"the swarm ends: {e.outcome}"
        item = self._item(lane, record, offset, "run", title, "error", error)
        item["x"] = "ok" if e.outcome == "success" else "error"

    def _approval(self, lane: _Lane, record: Record, offset: int) -> None:
        e = _event(record, ApprovalGiven)
        words = f"{e.subject} {'approved' if e.is_granted else 'refused'}"
        self._item(lane, record, offset, "plan", words, "by", e.by, "digest", e.digest)

    # -- agents and turns -------------------------------------------------------------------------

    def _agent_started(self, lane: _Lane, record: Record, offset: int) -> None:
        e = _event(record, AgentStarted)
        lane.kind, lane.model = e.spec.kind, e.spec.model
        tools = ", ".join(tool.name for tool in e.tools)
        title = f"begins with {e.spec.model}"
        self._item(lane, record, offset, "note", title, "system prompt", e.system, "tools", tools)

    def _continued(self, lane: _Lane, record: Record, offset: int) -> None:
        lane.model = _event(record, AgentContinued).spec.model
        self._item(lane, record, offset, "note", f"goes on with {lane.model}")

    def _restarted(self, lane: _Lane, record: Record, offset: int) -> None:
        e = _event(record, AgentRestarted)
        for item in (lane.asked, *lane.running.values()):
            if item is not None:
                item["e"], item["x"] = self._at(record.time), "interrupted"
        lane.asked = None
        title = f"its process died; it starts again ({e.attempt})"
        self._item(lane, record, offset, "note", title, "why", e.reason)["x"] = "error"

    def _turn_started(self, lane: _Lane, record: Record, offset: int) -> None:
        e = _event(record, TurnStarted)
        if lane.waiting is not None:
            lane.waiting["e"] = self._at(record.time)
            lane.waiting = None
        text = "\n".join(part_text(part) for part in e.message.parts)
        self._item(lane, record, offset, "turn", f"turn {e.turn} begins", "message", text)

    def _turn_finished(self, lane: _Lane, record: Record, offset: int) -> None:
        r = _event(record, TurnFinished).result
        lane.outcome = r.outcome
        if lane.asked is not None:
            lane.asked["e"], lane.asked["x"] = self._at(record.time), "interrupted"
            lane.asked = None
        title = f"the turn ends: {r.outcome}"
        item = self._item(lane, record, offset, "turn", title, "answer", r.text, "error", r.error)
        item["x"] = "ok" if r.is_success else "error"
        if r.outcome == "waiting":
            lane.waiting = self._item(lane, record, offset, "wait", "waits for a quota")

    # -- model calls ------------------------------------------------------------------------------

    def _requested(self, lane: _Lane, record: Record, offset: int, sent: Sequence[Message]) -> None:
        e = _event(record, ModelRequested)
        if lane.asked is not None:
            lane.asked["e"], lane.asked["x"] = self._at(record.time), "interrupted"
        what = "summary" if e.purpose == "compaction" else f"step {e.step}"
        item = self._item(lane, record, offset, "model", what, "digest", e.digest)
        item["n"] = e.step
        if sent:
            item["m"] = self._sent(lane, [self._message(message) for message in sent])
        lane.asked = item
        lane.calls += 1

    def _sent(self, lane: _Lane, numbers: list[int]) -> list[JsonValue]:
        """The list that begins with these messages, and how many of it they are."""
        which, known = lane.sent
        if which < 0 or list(known) != numbers[: len(known)]:
            which = len(self._lists)
            self._lists.append([])
            known = ()
        self._lists[which].extend(numbers[len(known) :])
        lane.sent = which, tuple(numbers)
        return [which, len(numbers)]

    def _responded(self, lane: _Lane, record: Record, offset: int) -> None:
        e = _event(record, ModelResponded)
        item = lane.asked or self._item(lane, record, offset, "model", f"step {e.step}")
        lane.asked = None
        parts = e.response.message.parts
        said = "".join(p.text for p in parts if isinstance(p, Text))
        thought = "".join(p.text for p in parts if isinstance(p, Reasoning))
        calls = [p for p in parts if isinstance(p, ToolCall)]
        listed = "\n".join(f"{c.name} {c.arguments}" for c in calls)
        _describe(item, "thinking", thought, "answer", said, "calls", listed)
        item["e"] = max(float(str(item["s"])), self._at(record.time))
        words = said or ", ".join(c.name for c in calls)
        item["t"] = _one_line(f"{item['t']}: {words}")
        usage = e.response.usage
        item["u"] = [usage.prompt_tokens, usage.completion_tokens, usage.cache_read_tokens]
        item["c"] = e.response.cost_usd
        if e.response.finish_reason in ("length", "content_filter"):
            item["x"] = "error"
        _spend(lane, usage, e.response.cost_usd)

    def _failed(self, lane: _Lane, record: Record, offset: int) -> None:
        e = _event(record, ModelFailed)
        item = lane.asked or self._item(lane, record, offset, "model", f"step {e.step}")
        lane.asked = None
        item["e"], item["x"] = self._at(record.time), "error"
        item["t"] = _one_line(f"{item['t']} failed: {e.error}")
        _describe(item, e.error_kind, e.error)
        _spend(lane, e.usage, e.cost_usd)

    def _nudged(self, lane: _Lane, record: Record, offset: int) -> None:
        e = _event(record, Nudged)
        self._item(lane, record, offset, "note", f"told to go on ({e.reason})", "words", e.text)

    def _compacted(self, lane: _Lane, record: Record, offset: int) -> None:
        e = _event(record, Compacted)
        lane.asked = None if e.stage == "summary" else lane.asked
        removed = "\n".join(e.call_ids)
        self._item(
            lane,
            record,
            offset,
            "note",
            "the conversation is shortened",
            "summary",
            e.summary,
            "results left out",
            removed,
        )

    def _tree_found(self, lane: _Lane, record: Record, offset: int) -> None:
        e = _event(record, TreeFound)
        title = "finds another tree than it left"
        files = "\n".join(e.files)
        self._item(lane, record, offset, "note", title, "words", e.text, "files", files)

    # -- tools ------------------------------------------------------------------------------------

    def _tool_started(self, lane: _Lane, record: Record, offset: int) -> None:
        e = _event(record, ToolStarted)
        title = f"{e.call.name} {_telling(e.call.arguments)}"
        arguments = _pretty(e.call.arguments)
        item = self._item(lane, record, offset, "tool", title, "arguments", arguments)
        item["n"] = e.step
        lane.running[e.call.id] = item
        lane.tools += 1

    def _tool_finished(self, lane: _Lane, record: Record, offset: int) -> None:
        e = _event(record, ToolFinished)
        item = lane.running.pop(e.result.call_id, None)
        if item is None:
            item = self._item(lane, record, offset, "tool", f"{e.result.name} did not run")
        start = float(str(item["s"]))
        took = e.elapsed_ms / 1000
        end = start + took if took else self._at(record.time)
        item["e"] = round(min(end, max(start, self._at(record.time))), 3)
        failed = "interrupted" if e.interrupted else "error" if e.result.is_error else "ok"
        item["x"] = failed
        _describe(item, "output", e.result.content, "tree", e.tree, "snapshot", e.snapshot)


_DRAW: Mapping[type, Callable[[Timeline, _Lane, Record, int], None]] = MappingProxyType(
    {
        RunStarted: Timeline._run_started,
        RunFinished: Timeline._run_finished,
        PlanMade: Timeline._planned,
        SubtaskChanged: Timeline._subtask,
        SubtaskMerged: Timeline._merged,
        SwarmFinished: Timeline._swarm_finished,
        ApprovalGiven: Timeline._approval,
        AgentStarted: Timeline._agent_started,
        AgentContinued: Timeline._continued,
        AgentRestarted: Timeline._restarted,
        TurnStarted: Timeline._turn_started,
        TurnFinished: Timeline._turn_finished,
        ModelResponded: Timeline._responded,
        ModelFailed: Timeline._failed,
        Nudged: Timeline._nudged,
        Compacted: Timeline._compacted,
        ToolStarted: Timeline._tool_started,
        ToolFinished: Timeline._tool_finished,
        TreeFound: Timeline._tree_found,
    }
)


def _event(record: Record, kind: type[Any]) -> Any:
    assert isinstance(record.event, kind)
    return record.event


def _lane_json(lane: _Lane) -> JsonObject:
    return {
        "path": lane.path,
        "kind": lane.kind,
        "model": lane.model,
        "outcome": lane.outcome,
        "calls": lane.calls,
        "tools": lane.tools,
        "prompt": lane.usage.prompt_tokens,
        "completion": lane.usage.completion_tokens,
        "cached": lane.usage.cache_read_tokens,
        "cost": lane.cost_usd,
    }


def _spend(lane: _Lane, usage: Usage, cost_usd: float | None) -> None:
    lane.usage += usage
    known = lane.cost_usd is not None and cost_usd is not None
    lane.cost_usd = (lane.cost_usd or 0.0) + (cost_usd or 0.0) if known else None


def _describe(item: JsonObject, *texts: str) -> None:
    details = item["d"]
    assert isinstance(details, list)
    pairs = zip(texts[::2], texts[1::2], strict=True)
    details.extend([label, _cut(text)] for label, text in pairs if text)


def _subtask_line(subtask: JsonObject) -> str:
    needs = subtask.get("dependencies")
    after = f" (after {', '.join(map(str, needs))})" if isinstance(needs, list) and needs else ""
    return f"{subtask.get('name')}{after}: {subtask.get('instruction')}"


def _telling(arguments: str) -> str:
    """The argument that says most."""
    try:
        given = json.loads(arguments)
    except ValueError:
        return arguments
    if not isinstance(given, dict):
        return arguments
    return str(next((given[name] for name in _SHOWN_ARGUMENTS if name in given), ""))


def _pretty(arguments: str) -> str:
    try:
        return json.dumps(json.loads(arguments), indent=2, ensure_ascii=False)
    except ValueError:
        return arguments


def _cut(text: str) -> str:
    if len(text) <= MOST:
        return text
    return f"{text[:MOST]}\n… {len(text) - MOST} more characters"


def _one_line(text: str) -> str:
    flat = " ".join(text[: 4 * _TITLE].split())
    return flat if len(flat) <= _TITLE else flat[: _TITLE - 1] + "…"
