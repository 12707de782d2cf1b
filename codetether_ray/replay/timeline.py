"""A run as lanes of spans: what the page shows, and no more than a browser can."""

from collections.abc import Callable, Iterator, Mapping, Sequence
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
from codetether_ray.replay import ralph_told, relay_told
from codetether_ray.replay.labels import one_line, pretty, subtask_line, telling
from codetether_ray.replay.lane import Lane
from codetether_ray.replay.shelf import ROOM, Shelf
from codetether_ray.replay.text import part_text

MOST_ITEMS = 60_000
"""Spans and marks of a page; beyond it only what the run itself did is listed."""

_ALWAYS = frozenset({"run", "plan", "subtask", "merge"})
_ANSWER = 4_000


class Timeline:
    """Takes records in order; `to_json` is what the page draws, in seconds from the start."""

    def __init__(self, *, room: int = ROOM, most: int = MOST_ITEMS) -> None:
        self._lanes: dict[str, Lane] = {}
        self._items: list[JsonObject] = []
        self._shelf = Shelf(room)
        self._most = most
        self._left_out, self._first_left_out = 0, -1
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
            return
        story = ralph_told.told(record.event) or relay_told.told(record.event)
        if story is not None:
            texts = [word for pair in story.texts for word in pair]
            item = self._item(lane, record, offset, "subtask", story.words, *texts)
            item["x"] = "ok" if story.is_ok else "error"

    def to_json(self) -> JsonObject:
        """The whole page's data."""
        for lane in self._lanes.values():
            for item in lane.open_spans():
                item["e"], item["x"] = self._at(self._end), "open"
        lanes: JsonValue = [lane.to_json() for lane in self._lanes.values()]
        items: JsonValue = list(self._items)
        lists: JsonValue = [list(found) for found in self._shelf.lists]
        notes: JsonValue = list(self._notes())
        run = {**self._run, "length": self._at(self._end), "notes": notes}
        return {
            "run": run,
            "lanes": lanes,
            "items": items,
            "messages": self._shelf.messages,
            "lists": lists,
        }

    @property
    def wants_messages(self) -> bool:
        """Whether there is still room for the messages of requests."""
        return not self._shelf.is_full

    def _notes(self) -> Iterator[str]:
        """What of a run is not on its page, and where it is."""
        if self._shelf.cuts:
            yield (
                f"This page is full: {self._shelf.cuts} long texts are cut to their beginnings, "
                "and later requests are shown without their messages. "
                "`codetether replay --full` prints all."
            )
        if self._left_out:
            yield (
                f"{self._left_out} more model calls, tool calls and notes are counted above and "
                f"not listed; `codetether replay --from {self._first_left_out}` prints them."
            )

    # -- helpers ----------------------------------------------------------------------------------

    def _lane(self, path: str) -> Lane:
        if path not in self._lanes:
            self._lanes[path] = Lane(path=path, number=len(self._lanes))
        return self._lanes[path]

    def _at(self, moment: float) -> float:
        return round(moment - (self._start or 0.0), 3)

    def _item(
        self, lane: Lane, record: Record, offset: int, kind: str, title: str, *texts: str
    ) -> JsonObject:
        """A new item; `texts` are a label and a text in turn, empty texts left out."""
        at = self._at(record.time)
        is_listed = len(self._items) < self._most or kind in _ALWAYS
        item: JsonObject = {
            "a": lane.number,
            "k": kind,
            "s": at,
            "e": at,
            "t": one_line(title),
            "x": "ok",
            "q": record.seq,
            "o": offset,
            "d": [],
        }
        if is_listed:
            self._items.append(item)
            self._describe(item, *texts)
        elif not self._left_out:
            self._first_left_out = offset
        self._left_out += not is_listed
        return item

    def _describe(self, item: JsonObject, *texts: str) -> None:
        """Add labels and texts, in turn, to an item."""
        details = item["d"]
        assert isinstance(details, list)
        pairs = zip(texts[::2], texts[1::2], strict=True)
        details.extend([label, self._shelf.text(text)] for label, text in pairs if text)

    # -- the run ----------------------------------------------------------------------------------

    def _run_started(self, lane: Lane, record: Record, offset: int) -> None:
        e = _event(record, RunStarted)
        if not e.resumed or "title" not in self._run:
            self._run |= {"kind": e.kind, "title": e.title, "directory": e.directory}
            self._run |= {"model": e.model, "version": e.version}
        words = "the run goes on" if e.resumed else "the run begins"
        self._run |= {"outcome": "", "answer": "", "error": ""}
        self._item(lane, record, offset, "run", words, "task", e.title, "directory", e.directory)

    def _run_finished(self, lane: Lane, record: Record, offset: int) -> None:
        e = _event(record, RunFinished)
        text = e.summary.get("result") or e.summary.get("text") or ""
        error = str(e.summary.get("error") or "")
        self._run |= {"outcome": e.outcome, "answer": str(text)[:_ANSWER], "error": error[:_ANSWER]}
        title = f"the run ends: {e.outcome}"
        item = self._item(lane, record, offset, "run", title, "answer", str(text), "error", error)
        item["x"] = "ok" if e.is_success else "error"

    def _planned(self, lane: Lane, record: Record, offset: int) -> None:
        e = _event(record, PlanMade)
        plan = "\n".join(subtask_line(s) for s in e.subtasks)
        title = f"the plan: {len(e.subtasks)} subtasks"
        warnings = "\n".join(e.warnings)
        self._item(lane, record, offset, "plan", title, "subtasks", plan, "warnings", warnings)

    def _subtask(self, lane: Lane, record: Record, offset: int) -> None:
        e = _event(record, SubtaskChanged)
        own = self._lane(e.agent) if e.agent else lane
        if e.status == "queued":
            own.waiting = self._item(own, record, offset, "wait", f"{e.name} waits for its turn")
            return
        own.end_wait(self._at(record.time))
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

    def _merged(self, lane: Lane, record: Record, offset: int) -> None:
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

    def _swarm_finished(self, lane: Lane, record: Record, offset: int) -> None:
        e = _event(record, SwarmFinished)
        error = str(e.result.get("error") or "")
        title = f"the swarm ends: {e.outcome}"
        item = self._item(lane, record, offset, "run", title, "error", error)
        item["x"] = "ok" if e.outcome == "success" else "error"

    def _approval(self, lane: Lane, record: Record, offset: int) -> None:
        e = _event(record, ApprovalGiven)
        words = f"{e.subject} {'approved' if e.is_granted else 'refused'}"
        self._item(lane, record, offset, "plan", words, "by", e.by, "digest", e.digest)

    # -- agents and turns -------------------------------------------------------------------------

    def _agent_started(self, lane: Lane, record: Record, offset: int) -> None:
        e = _event(record, AgentStarted)
        lane.kind, lane.model = e.spec.kind, e.spec.model
        tools = ", ".join(tool.name for tool in e.tools)
        title = f"begins with {e.spec.model}"
        self._item(lane, record, offset, "note", title, "system prompt", e.system, "tools", tools)

    def _continued(self, lane: Lane, record: Record, offset: int) -> None:
        lane.model = _event(record, AgentContinued).spec.model
        self._item(lane, record, offset, "note", f"goes on with {lane.model}")

    def _restarted(self, lane: Lane, record: Record, offset: int) -> None:
        e = _event(record, AgentRestarted)
        lane.break_off(self._at(record.time))
        for item in lane.running.values():
            item["e"], item["x"] = self._at(record.time), "interrupted"
        title = f"its process died; it starts again ({e.attempt})"
        self._item(lane, record, offset, "note", title, "why", e.reason)["x"] = "error"

    def _turn_started(self, lane: Lane, record: Record, offset: int) -> None:
        e = _event(record, TurnStarted)
        lane.end_wait(self._at(record.time))
        text = "\n".join(part_text(part) for part in e.message.parts)
        self._item(lane, record, offset, "turn", f"turn {e.turn} begins", "message", text)

    def _turn_finished(self, lane: Lane, record: Record, offset: int) -> None:
        r = _event(record, TurnFinished).result
        lane.outcome = r.outcome
        lane.break_off(self._at(record.time))
        title = f"the turn ends: {r.outcome}"
        item = self._item(lane, record, offset, "turn", title, "answer", r.text, "error", r.error)
        item["x"] = "ok" if r.is_success else "error"
        if r.outcome == "waiting":
            lane.waiting = self._item(lane, record, offset, "wait", "waits for a quota")

    # -- model calls ------------------------------------------------------------------------------

    def _requested(self, lane: Lane, record: Record, offset: int, sent: Sequence[Message]) -> None:
        e = _event(record, ModelRequested)
        lane.break_off(self._at(record.time))
        what = "summary" if e.purpose == "compaction" else f"step {e.step}"
        item = self._item(lane, record, offset, "model", what, "digest", e.digest)
        item["n"] = e.step
        if sent and self.wants_messages:
            lane.sent = self._shelf.request(sent, lane.sent)
            item["m"] = [lane.sent[0], len(sent)]
        lane.asked = item
        lane.calls += 1

    def _responded(self, lane: Lane, record: Record, offset: int) -> None:
        e = _event(record, ModelResponded)
        item = lane.asked or self._item(lane, record, offset, "model", f"step {e.step}")
        lane.asked = None
        parts = e.response.message.parts
        said = "".join(p.text for p in parts if isinstance(p, Text))
        thought = "".join(p.text for p in parts if isinstance(p, Reasoning))
        calls = [p for p in parts if isinstance(p, ToolCall)]
        listed = "\n".join(f"{c.name} {c.arguments}" for c in calls)
        self._describe(item, "thinking", thought, "answer", said, "calls", listed)
        item["e"] = max(float(str(item["s"])), self._at(record.time))
        words = said or ", ".join(c.name for c in calls)
        item["t"] = one_line(f"{item['t']}: {words}")
        usage = e.response.usage
        item["u"] = [usage.prompt_tokens, usage.completion_tokens, usage.cache_read_tokens]
        item["c"] = e.response.cost_usd
        if e.response.finish_reason in ("length", "content_filter"):
            item["x"] = "error"
        lane.spend(usage, e.response.cost_usd)

    def _failed(self, lane: Lane, record: Record, offset: int) -> None:
        e = _event(record, ModelFailed)
        item = lane.asked or self._item(lane, record, offset, "model", f"step {e.step}")
        lane.asked = None
        item["e"], item["x"] = self._at(record.time), "error"
        item["t"] = one_line(f"{item['t']} failed: {e.error}")
        self._describe(item, e.error_kind, e.error)
        lane.spend(e.usage, e.cost_usd)

    def _nudged(self, lane: Lane, record: Record, offset: int) -> None:
        e = _event(record, Nudged)
        self._item(lane, record, offset, "note", f"told to go on ({e.reason})", "words", e.text)

    def _compacted(self, lane: Lane, record: Record, offset: int) -> None:
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

    def _tree_found(self, lane: Lane, record: Record, offset: int) -> None:
        e = _event(record, TreeFound)
        title = "finds another tree than it left"
        files = "\n".join(e.files)
        self._item(lane, record, offset, "note", title, "words", e.text, "files", files)

    # -- tools ------------------------------------------------------------------------------------

    def _tool_started(self, lane: Lane, record: Record, offset: int) -> None:
        e = _event(record, ToolStarted)
        title = f"{e.call.name} {telling(e.call.arguments)}"
        arguments = pretty(e.call.arguments)
        item = self._item(lane, record, offset, "tool", title, "arguments", arguments)
        item["n"] = e.step
        lane.running[e.call.id] = item
        lane.tools += 1

    def _tool_finished(self, lane: Lane, record: Record, offset: int) -> None:
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
        self._describe(item, "output", e.result.content, "tree", e.tree, "snapshot", e.snapshot)


_DRAW: Mapping[type, Callable[[Timeline, Lane, Record, int], None]] = MappingProxyType(
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
