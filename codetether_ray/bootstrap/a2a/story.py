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


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One event: `status`, `text`, `tool` or `done`."""

    kind: str
    data: JsonObject
    seq: int
    """The last record that was told by now; -1: none yet."""


class Story:
    """Tells each record once; records behind `after` alone."""

    def __init__(self, after: int = -1) -> None:
        self._seq = after
        self._step = -1
        self._text = ""
        self._is_whole = False
        """The client has all that this step has said by now."""
        self.is_over = False

    def told(self, record: Record) -> Iterator[Told]:
        """What one record comes to."""
        if record.seq >= 0:
            if record.seq <= self._seq:
                return
            self._seq = record.seq
        if record.agent == MAIN or isinstance(record.event, RunStarted | RunFinished | Warned):
            for kind, data in self._of(record.event):
                yield Told(kind=kind, data=data, seq=self._seq)

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
        if event.step != self._step:
            self._step, self._text, self._is_whole = event.step, "", False
        if self._is_whole:
            self._text += event.text
            yield "text", {"step": event.step, "text": event.text}

    def _responded(self, event: ModelResponded) -> Iterator[tuple[str, JsonObject]]:
        text = event.response.message.text
        if text and (not self._is_whole or self._step != event.step or self._text != text):
            yield "text", {"step": event.step, "text": text, "reset": True}
        self._step, self._text, self._is_whole = event.step, text, True


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
