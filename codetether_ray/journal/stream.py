"""Numbers records and turns them into bytes: pure but for the clock it is given.

A chunk is what one append adds to the stream: pieces to write in order, where a `Roll` ends one
segment and begins the next. A record that cannot be encoded leaves the stream as it was.
"""

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple

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


class Place(NamedTuple):
    """Where a record's line is: agent, offset in the stream, length in bytes."""

    agent: str
    off: int
    length: int


class Chunk:
    """What one append writes. `end` is where the stream stands behind it."""

    __slots__ = ("blobs", "end", "pieces", "places", "records", "size")

    def __init__(self) -> None:
        self.pieces: list[bytes | Roll] = []
        self.blobs: list[Blob] = []
        self.records: list[Record] = []
        self.places: list[Place] = []
        self.end = _BEGIN
        self.size = 0
        """Bytes of its lines and blobs."""


_BEGIN = Position()
_HASHED_TOGETHER = 64
"""Lines are hashed for the seal by so many at a time: one call, not one for each."""


class _Open:
    """The segment that grows: where it began, and what its seal will say."""

    def __init__(self, start: int) -> None:
        self.start = start
        self.lines = 0
        self._digest = hashlib.sha256()
        self._waiting: list[bytes] = []

    def grow(self, line: bytes) -> None:
        """Count a line in."""
        self.lines += 1
        self._waiting.append(line)
        if len(self._waiting) >= _HASHED_TOGETHER:
            self._hash()

    def seal(self, end: int) -> JsonObject:
        """What the line that ends it says of the lines before."""
        self._hash()
        digest = self._digest.hexdigest()
        return {"length": end - self.start, "lines": self.lines, "sha256": digest}

    def _hash(self) -> None:
        self._digest.update(b"".join(self._waiting))
        self._waiting.clear()


class _Encoded(NamedTuple):
    """A record that can be written: its line's members, but for what its place says."""

    record: Record
    agent_seq: int
    time: float
    members: str
    payload: str
    blob: Blob | None


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
        self._position = position
        self._segment: _Open | None = None
        """None before the first record: a segment begins with one."""
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
        counts: dict[str, int] = {}
        encoded = []  # first what may be refused, then what cannot fail
        for record in records:
            agent = record.agent
            number = counts.get(agent)
            if number is None:
                number = self._agent_seqs.get(agent, 0)
            encoded.append(_encode(record, number))
            counts[agent] = number + 1
        chunk, start = Chunk(), self._position.off
        for item in encoded:
            self._put(chunk, item)
        chunk.end = self._position
        chunk.size = self._position.off - start
        if chunk.blobs:
            chunk.size += sum(len(blob.data) for blob in chunk.blobs)
        self._agent_seqs.update(counts)
        return chunk

    def _put(self, chunk: Chunk, item: _Encoded) -> None:
        self._make_room(chunk)
        record, agent_seq, time, text, payload, blob = item
        if blob is not None:
            chunk.blobs.append(blob)
        place = self._position
        line = lines.frame(place, self._generation, text)
        chunk.records.append(_numbered(record, place.seq, agent_seq, time, payload))
        chunk.places.append(Place(record.agent, place.off, len(line)))
        self._grow(chunk, line, is_control=False)

    def _make_room(self, chunk: Chunk) -> None:
        """Begin the segment if it is new; end it and begin the next if it is full."""
        segment = self._segment
        if segment is None:
            self._open(chunk, self._writer)
        elif self._position.off - segment.start >= self._segment_bytes:
            self._control(chunk, lines.SEALED, segment.seal(self._position.off))
            chunk.pieces.append(Roll(self._position.off))
            self._open(chunk, {k: v for k, v in self._writer.items() if k not in _OF_OLDER})

    def _open(self, chunk: Chunk, payload: JsonObject) -> None:
        self._segment = _Open(self._position.off)
        self._control(chunk, lines.OPENED, payload)

    def _control(self, chunk: Chunk, kind: str, payload: JsonObject) -> None:
        text = control_members(kind, self._correlation, self._clock(), payload)
        line = lines.frame(self._position, self._generation, text)
        self._grow(chunk, line, is_control=True)

    def _grow(self, chunk: Chunk, line: bytes, *, is_control: bool) -> None:
        assert self._segment is not None, "a segment is open"
        chunk.pieces.append(line)
        self._position = lines.after(self._position, line, is_control=is_control)
        self._segment.grow(line)


def _encode(record: Record, agent_seq: int) -> _Encoded:
    """A record as it will be written.

    Raises:
        JournalError: it is not durable or has no JSON form.
    """
    if record.event.tag not in DURABLE:
        raise JournalError(f"{record.event.tag} is a live event; the bus carries it")
    time = round(record.time, 6)
    try:
        text, payload, blob = members(record, agent_seq, time)
        if not text.isascii():
            text.encode()
    except UnicodeEncodeError:
        record = without_surrogates(record)
        text, payload, blob = members(record, agent_seq, time)
    return _Encoded(record, agent_seq, time, text, payload, blob)


def _numbered(record: Record, seq: int, agent_seq: int, time: float, payload: str) -> Record:
    return Record(
        correlation=record.correlation,
        agent=record.agent,
        event=record.event,
        time=time,
        seq=seq,
        agent_seq=agent_seq,
        payload=payload,
    )
