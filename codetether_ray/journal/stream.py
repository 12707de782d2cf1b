"""Numbers records and turns them into bytes: pure but for the clock it is given.

A chunk is what a few appends add to the stream: pieces to write in order, where a `Roll` ends one
segment and begins the next. A record that cannot be encoded leaves the stream as it was.
"""

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
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


class Chunk:
    """What is written together: the records of one append, or of a few. `end` lies behind it."""

    __slots__ = ("agents", "blobs", "end", "pieces", "records", "size", "spans", "waiters")

    def __init__(self) -> None:
        self.pieces: list[bytes | Roll] = []
        self.blobs: list[Blob] = []
        self.records: list[Record] = []
        self.agents: list[str] = []
        """Of each record."""
        self.spans: list[int] = []
        """Of each record the offset in the stream, and the length in bytes."""
        self.end = _BEGIN
        self.size = 0
        """Bytes of its lines and blobs."""
        self.waiters: list[Any] = []
        """Whoever waits for it: its owner's own."""


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


_Encoded = tuple[Record, int, float, str, str, Blob | None]
"""A record that can be written, its number of its agent, time, members, payload and blob."""


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
        self._seq, self._off, self._prev = position
        self._segment: _Open | None = None
        """None before the first record: a segment begins with one."""
        self._agent_seqs = agent_seqs
        self._generation = generation
        self._segment_bytes = segment_bytes
        self._correlation = correlation
        self._writer = writer
        self._clock = clock

    def add(self, records: Iterable[Record], chunk: Chunk | None = None) -> Chunk:
        """Number and encode records, behind those of `chunk`; all, or none and nothing changed.

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
            counts[agent] = number + 1
            encoded.append(_encode(record, number))
        chunk = Chunk() if chunk is None else chunk
        start = self._off
        for item in encoded:
            self._put(chunk, item)
        chunk.size += self._off - start
        chunk.end = Position(self._seq, self._off, self._prev)
        self._agent_seqs.update(counts)
        return chunk

    def _put(self, chunk: Chunk, item: _Encoded) -> None:
        segment = self._segment
        if segment is None or self._off - segment.start >= self._segment_bytes:
            segment = self._make_room(chunk)
        record, agent_seq, time, text, payload, blob = item
        if blob is not None:
            chunk.blobs.append(blob)
            chunk.size += len(blob.data)
        seq, off = self._seq, self._off
        line, self._prev = lines.frame_at(seq, off, self._prev, self._generation, text)
        length = len(line)
        self._seq, self._off = seq + 1, off + length
        segment.grow(line)
        chunk.pieces.append(line)
        chunk.records.append(record.numbered(seq, agent_seq, time, payload))
        chunk.agents.append(record.agent)
        chunk.spans += (off, length)

    def _make_room(self, chunk: Chunk) -> _Open:
        """Begin the segment if there is none; end a full one and begin the next."""
        full = self._segment
        if full is None:
            return self._open(chunk, self._writer)
        self._control(chunk, full, lines.SEALED, full.seal(self._off))
        chunk.pieces.append(Roll(self._off))
        return self._open(chunk, {k: v for k, v in self._writer.items() if k not in _OF_OLDER})

    def _open(self, chunk: Chunk, payload: JsonObject) -> _Open:
        self._segment = segment = _Open(self._off)
        self._control(chunk, segment, lines.OPENED, payload)
        return segment

    def _control(self, chunk: Chunk, segment: _Open, kind: str, payload: JsonObject) -> None:
        text = control_members(kind, self._correlation, self._clock(), payload)
        line, self._prev = lines.frame_at(self._seq, self._off, self._prev, self._generation, text)
        self._off += len(line)
        segment.grow(line)
        chunk.pieces.append(line)


def _encode(record: Record, agent_seq: int) -> _Encoded:
    """A record as it will be written.

    Raises:
        JournalError: it is not durable or has no JSON form.
    """
    if record.kind not in DURABLE:
        raise JournalError(f"{record.kind} is a live event; the bus carries it")
    time = round(record.time, 6)
    try:
        text, payload, blob = members(record, agent_seq, time)
        if not text.isascii():
            text.encode()
    except UnicodeEncodeError:
        record = without_surrogates(record)
        text, payload, blob = members(record, agent_seq, time)
    return record, agent_seq, time, text, payload, blob
