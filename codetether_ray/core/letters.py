"""Records as they travel between processes: the event as its JSON text, made where it happened.

A journal, a log and a bus want the text; hardly anybody wants the event. To take an event apart and
put it together again costs more, on both sides, than all that is done with the text.
"""

import json
from typing import Any, cast

from codetether_ray.core.codec import decode
from codetether_ray.core.errors import JournalError
from codetether_ray.core.events import DURABLE, DurableEvent, Event, Record
from codetether_ray.core.spec import Correlation

_loads = json.JSONDecoder().decode


class Letter(Record):
    """A record whose event is its text; it is read when somebody asks for it.

    Equal to the record that it was made of. Its pickle holds the text alone.
    """

    __slots__ = ("_event", "_kind")
    _event: Event | None
    _kind: str

    def __init__(
        self,
        correlation: Correlation,
        agent: str,
        kind: str,
        time: float,
        payload: str,
        seq: int = -1,
        agent_seq: int = -1,
    ) -> None:
        """Unread. `kind` is the event's tag, `payload` its text without the tag."""
        put = object.__setattr__
        put(self, "correlation", correlation)
        put(self, "agent", agent)
        put(self, "time", time)
        put(self, "seq", seq)
        put(self, "agent_seq", agent_seq)
        put(self, "payload", payload)
        put(self, "_kind", kind)
        put(self, "_event", None)

    @classmethod
    def of(cls, record: Record) -> "Letter":
        """What is sent of a record.

        Raises:
            JournalError: its event has no JSON form (NaN is none).
        """
        try:
            text = record.payload_text()
        except (TypeError, ValueError) as error:
            words = f"an event {record.kind} cannot be written as JSON: {error}"
            raise JournalError(words) from error
        return cls(
            record.correlation,
            record.agent,
            record.kind,
            record.time,
            text,
            record.seq,
            record.agent_seq,
        )

    @property
    def kind(self) -> str:
        """The event's tag."""
        return self._kind

    @property
    def event(self) -> Event:
        """What happened.

        Raises:
            ValueError: this program knows no such event, or the text is none of one.
        """
        if self._event is None:
            known = DURABLE.get(self._kind)
            if known is None:
                raise ValueError(f"unknown event kind {self._kind!r}")
            event = cast("DurableEvent", decode(known, _loads(self.payload)))
            object.__setattr__(self, "_event", event)
            return event
        return self._event

    def numbered(
        self, seq: int, agent_seq: int, time: float | None = None, payload: str = ""
    ) -> Record:
        """The same letter with numbers."""
        at = self.time if time is None else time
        text = payload or self.payload
        return Letter(self.correlation, self.agent, self._kind, at, text, seq, agent_seq)

    def __eq__(self, other: object) -> bool:
        """Whether it is the same record, read or not."""
        if not isinstance(other, Record):
            return NotImplemented
        return _members(self) == _members(other)

    def __hash__(self) -> int:
        return hash((self.agent, self.seq, self.agent_seq))

    def __reduce__(self) -> tuple[Any, ...]:
        return Letter, (
            self.correlation,
            self.agent,
            self._kind,
            self.time,
            self.payload,
            self.seq,
            self.agent_seq,
        )


def _members(record: Record) -> tuple[Any, ...]:
    numbers = record.seq, record.agent_seq
    return record.correlation, record.agent, record.time, *numbers, record.event
