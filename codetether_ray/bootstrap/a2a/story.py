"""A session's turn as events for people and programs that watch it. Pure.

What is told about the journal's records is told once, in their order, and named by their number:
whoever names the last one that it has seen misses nothing. Text streams between them; a client
that lost some of it gets the whole text of that step again, marked `reset`.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from codetether_ray.bootstrap.a2a.telling import doing, one_line
from codetether_ray.bootstrap.session.home import MAIN
from codetether_ray.core.codec import JsonObject
from codetether_ray.core.events import (
    Event,
    ModelRequested,
    ModelResponded,
    Queued,
    Record,
    Retrying,
    RunFinished,
    RunStarted,
    TextStreamed,
    ToolFinished,
    ToolStarted,
    Warned,
)

_SHOWN = 20_000
"""Characters of a tool's output."""
_MOST_HELD = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One event: `status`, `text`, `tool` or `done`."""

    kind: str
    data: JsonObject
    seq: int
    """The last record that was told by now; -1: none yet."""


class Story:
    """Tells records behind `after`, or from the turn's first one on: each once, by their numbers.

    The bus keeps the order of each agent's records, not that of several agents'; a record waits
    until those before it have come.
    """

    def __init__(self, after: int | None = None) -> None:
        """`after` None: all before the first `run.started` that comes is another turn's."""
        self._next = None if after is None else after + 1
        self._held: dict[int, list[Record]] = {}
        """By number: a record that came too early, and what streamed behind it."""
        self._step = self._answered = -1
        self._text = ""
        self._is_whole = False
        """The client has all that this step has said by now."""
        self.is_over = False

    def told(self, record: Record) -> Iterator[Told]:
        """What a record comes to, and those that waited for it."""
        if record.seq < 0:
            yield from self._live(record)
            return
        if self._next is None and isinstance(record.event, RunStarted):
            self._next = record.seq
        if self._next is not None and record.seq < self._next:
            return
        self._held[record.seq] = [record]
        yield from self._in_order()
        if len(self._held) > _MOST_HELD:
            yield from self.rest()

    def rest(self) -> Iterator[Told]:
        """What still waits, although something before it never came."""
        while self._held:
            self._next = min(self._held)
            yield from self._in_order()

    def _in_order(self) -> Iterator[Told]:
        while self._next is not None and self._next in self._held:
            for record in self._held.pop(self._next):
                if record.seq >= 0:
                    self._next = record.seq + 1
                yield from self._now(record)

    def _live(self, record: Record) -> Iterator[Told]:
        """Behind the last record of its agent, if that waits."""
        waiting = [seq for seq, held in self._held.items() if held[0].agent == record.agent]
        if waiting:
            self._held[max(waiting)].append(record)
        else:
            yield from self._now(record)

    def _now(self, record: Record) -> Iterator[Told]:
        if record.agent == MAIN or isinstance(record.event, RunStarted | RunFinished | Warned):
            seq = -1 if self._next is None else self._next - 1
            for kind, data in self._of(record.event):
                yield Told(kind=kind, data=data, seq=seq)

    def _of(self, event: Event) -> Iterator[tuple[str, JsonObject]]:
        match event:
            case RunStarted():
                yield "status", {"state": "working"}
            case ModelRequested(purpose="step", step=step):
                self._begin(step)
            case TextStreamed():
                yield from self._piece(event)
            case Retrying():
                self._is_whole = False
                self._text = ""
                yield "status", _retrying(event)
            case ModelResponded(purpose="step"):
                yield from self._responded(event)
            case ToolStarted() | ToolFinished():
                yield "tool", _tool(event)
            case Queued(reason=reason):
                yield "status", {"state": "queued", "detail": reason}
            case Warned(text=text):
                yield "status", {"state": "working", "detail": text}
            case RunFinished(summary=summary):
                self.is_over = True
                yield "done", summary
            case _:
                pass

    def _begin(self, step: int) -> None:
        self._step, self._text, self._is_whole = step, "", True

    def _piece(self, event: TextStreamed) -> Iterator[tuple[str, JsonObject]]:
        """A piece, if the client has what comes before it; otherwise the step's end tells all."""
        if event.step <= self._answered:  # the journal was faster
            return
        if event.step != self._step:
            self._step, self._text, self._is_whole = event.step, "", False
        if self._is_whole:
            self._text += event.text
            yield "text", {"step": event.step, "text": event.text}

    def _responded(self, event: ModelResponded) -> Iterator[tuple[str, JsonObject]]:
        text = event.response.message.text
        if text and (not self._is_whole or self._step != event.step or self._text != text):
            yield "text", {"step": event.step, "text": text, "reset": True}
        self._step = self._answered = event.step
        self._text, self._is_whole = text, True


def _retrying(event: Retrying) -> JsonObject:
    return {
        "state": "retrying",
        "detail": one_line(event.reason),
        "attempt": event.attempt,
        "next_in_s": event.next_in_s,
    }


def _tool(event: ToolStarted | ToolFinished) -> JsonObject:
    if isinstance(event, ToolStarted):
        call = event.call
        return {"id": call.id, "name": call.name, "state": "started", "detail": doing(call)}
    result = event.result
    return {
        "id": result.call_id,
        "name": result.name,
        "state": "failed" if result.is_error else "finished",
        "output": result.content[:_SHOWN],
    }
