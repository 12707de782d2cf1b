"""Numbers records and turns them into bytes: pure but for the clock it is given.

A chunk is what one append adds to the stream: pieces to write in order, where a `Roll` ends one
segment and begins the next. A record that cannot be encoded leaves the stream as it was.
"""

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from codetether_ray.core.codec import JsonObject
from codetether_ray.core.errors import JournalError
from codetether_ray.core.events import DURABLE, Record
from codetether_ray.core.spec import Correlation
from codetether_ray.journal import lines
from codetether_ray.journal.blobs import Blob
from codetether_ray.journal.encode import control_members, members, without_surrogates
from codetether_ray.journal.lines import Position

_OF_OLDER = frozenset({"adopted", "zombies", "taken_from"})


@dataclass(frozen=True, slots=True)
class Roll:
    """The open segment ends here; the next begins."""

    end: int


@dataclass(frozen=True, slots=True)
class Place:
    """Where a record's line is: agent, offset in the stream, length in bytes."""

    agent: str
    off: int
    length: int


@dataclass(slots=True, kw_only=True)
class Chunk:
    """What one append writes. `end` is where the stream stands behind it."""

    pieces: list[bytes | Roll] = field(default_factory=list)
    blobs: list[Blob] = field(default_factory=list)
    records: list[Record] = field(default_factory=list)
    places: list[Place] = field(default_factory=list)
    end: Position = field(default_factory=Position)
    size: int = 0
    """Bytes of its lines and blobs."""


@dataclass(slots=True, kw_only=True)
class _State:
    """Where the stream and its open segment stand."""

    position: Position
    segment_start: int
    segment_lines: int = 0
    is_opened: bool = False
    digest: Any = field(default_factory=hashlib.sha256)

    def copy(self) -> "_State":
        return _State(
            position=self.position,
            segment_start=self.segment_start,
            segment_lines=self.segment_lines,
            is_opened=self.is_opened,
            digest=self.digest.copy(),
        )


class Stream:
    """The growing end of a run's journal, in memory. Not thread-safe: one owner calls it."""

    def __init__(
        self,
        *,
        position: Position,
        agent_seqs: dict[str, int],
        generation: int,
        segment_bytes: int,
        correlation: Correlation,
        writer: JsonObject,
        clock: Callable[[], float],
    ) -> None:
        """Go on at `position`; `agent_seqs` holds each agent's next number.

        `writer` is what the first line of a segment says of its writer; what it says of the writer
        before (`_OF_OLDER`) is said in the first segment alone.
        """
        self._state = _State(position=position, segment_start=position.off)
        self._agent_seqs = agent_seqs
        self._generation = generation
        self._segment_bytes = segment_bytes
        self._correlation = correlation
        self._writer = writer
        self._clock = clock

    def add(self, records: Iterable[Record]) -> Chunk:
        """Number and encode records; all of them, or none and the stream stays as it was.

        Raises:
            JournalError: one is not durable or has no JSON form.
        """
        state, chunk = self._state.copy(), Chunk()
        counts: dict[str, int] = {}
        for record in records:
            if record.event.tag not in DURABLE:
                raise JournalError(f"{record.event.tag} is a live event; the bus carries it")
            self._make_room(state, chunk)
            agent = record.agent
            number = counts.get(agent, self._agent_seqs.get(agent, 0))
            self._put(state, chunk, record, number)
            counts[agent] = number + 1
        chunk.end = state.position
        chunk.size = state.position.off - self._state.position.off
        chunk.size += sum(len(blob.data) for blob in chunk.blobs)
        self._state = state
        self._agent_seqs.update(counts)
        return chunk

    def _put(self, state: _State, chunk: Chunk, record: Record, agent_seq: int) -> None:
        place = state.position
        try:
            line, payload, blob = self._line(place, record, agent_seq)
        except UnicodeEncodeError:
            record = without_surrogates(record)
            line, payload, blob = self._line(place, record, agent_seq)
        if blob is not None:
            chunk.blobs.append(blob)
        chunk.records.append(_numbered(record, place.seq, agent_seq, payload))
        chunk.places.append(Place(record.agent, place.off, len(line)))
        self._grow(state, chunk, line, is_control=False)

    def _line(
        self, place: Position, record: Record, agent_seq: int
    ) -> tuple[bytes, str, Blob | None]:
        """A record's line, its payload's text, and the blob that holds it where it is big."""
        text, payload, blob = members(record, agent_seq)
        return lines.frame(place, self._generation, text), payload, blob

    def _make_room(self, state: _State, chunk: Chunk) -> None:
        """Begin the segment if it is new; end it and begin the next if it is full."""
        if not state.is_opened:
            self._open(state, chunk, self._writer)
        elif state.position.off - state.segment_start >= self._segment_bytes:
            self._roll(state, chunk)

    def _open(self, state: _State, chunk: Chunk, payload: JsonObject) -> None:
        state.is_opened = True
        self._control(state, chunk, lines.OPENED, payload)

    def _roll(self, state: _State, chunk: Chunk) -> None:
        seal: JsonObject = {
            "length": state.position.off - state.segment_start,
            "lines": state.segment_lines,
            "sha256": state.digest.hexdigest(),
        }
        self._control(state, chunk, lines.SEALED, seal)
        chunk.pieces.append(Roll(state.position.off))
        state.segment_start = state.position.off
        state.segment_lines = 0
        state.digest = hashlib.sha256()
        self._open(state, chunk, {k: v for k, v in self._writer.items() if k not in _OF_OLDER})

    def _control(self, state: _State, chunk: Chunk, kind: str, payload: JsonObject) -> None:
        text = control_members(kind, self._correlation, self._clock(), payload)
        line = lines.frame(state.position, self._generation, text)
        self._grow(state, chunk, line, is_control=True)

    @staticmethod
    def _grow(state: _State, chunk: Chunk, line: bytes, *, is_control: bool) -> None:
        chunk.pieces.append(line)
        state.position = lines.after(state.position, line, is_control=is_control)
        state.segment_lines += 1
        state.digest.update(line)


def _numbered(record: Record, seq: int, agent_seq: int, payload: str) -> Record:
    return Record(
        correlation=record.correlation,
        agent=record.agent,
        event=record.event,
        time=round(record.time, 6),
        seq=seq,
        agent_seq=agent_seq,
        payload=payload,
    )
