"""A bounded log of messages in order, and what a reader wants of it.

Pure data structures, no waiting: `local.bus` adds that. Rows are plain tuples because they are
stored, matched and pickled by the hundred thousand.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from codetether_ray.core.topics import matches

Message = tuple[str, str, bytes]
"""Topic, sender, payload: a message on its way in."""
Row = tuple[int, str, str, bytes]
"""Offset, topic, sender, payload: a message in the log."""

_ROW_OVERHEAD_BYTES = 96
"""What a row costs beside its texts: a tuple, an int, a share of the list (64-bit CPython)."""
_MAX_CACHED_TOPICS = 20_000
"""Topics whose match is remembered per interest; the cache is emptied when it is full."""


class Interest:
    """Which topics a reader wants: patterns compiled once, answers remembered per topic."""

    __slots__ = ("_seen", "exact", "patterns", "wild")

    def __init__(self, patterns: Iterable[str]) -> None:
        self.patterns = tuple(patterns)
        self.exact = frozenset(p for p in self.patterns if "*" not in p)
        self.wild = tuple(p for p in self.patterns if "*" in p)
        self._seen: dict[str, bool] = {}

    def wants(self, topic: str) -> bool:
        """Whether any pattern matches `topic`."""
        if topic in self.exact:
            return True
        if not self.wild:
            return False
        known = self._seen.get(topic)
        if known is None:
            if len(self._seen) >= _MAX_CACHED_TOPICS:
                self._seen.clear()
            known = self._seen[topic] = any(matches(p, topic) for p in self.wild)
        return known


@dataclass(frozen=True, slots=True)
class Slice:
    """Rows that a reader wanted, the offset to go on at, what was lost, how much lies beyond."""

    rows: list[Row]
    next_offset: int
    lost: int
    lag: int


class TopicLog:
    """Keeps the newest messages, at most `capacity` of them and about `capacity_bytes`.

    Offsets are dense and never reused. The newest message is kept whatever its size.
    """

    def __init__(self, *, capacity: int, capacity_bytes: int) -> None:
        if capacity < 1:
            raise ValueError("a log keeps at least one message")
        self._capacity = capacity
        self._capacity_bytes = capacity_bytes
        self._rows: list[Row] = []
        self._head = 0  # rows before it are dropped; cut off when they are many
        self._oldest = 0
        self._bytes = 0

    @property
    def oldest(self) -> int:
        """Offset of the oldest message kept (of the next one, if none is)."""
        return self._oldest

    @property
    def end(self) -> int:
        """Offset of the next message."""
        return self._oldest + len(self._rows) - self._head

    @property
    def size_bytes(self) -> int:
        """About how much memory the messages take."""
        return self._bytes

    def append(self, messages: Sequence[Message]) -> int:
        """Take messages in order; return the first one's offset."""
        first = offset = self.end
        rows = self._rows
        total = 0
        for topic, sender, payload in messages:
            rows.append((offset, topic, sender, payload))
            total += len(topic) + len(sender) + len(payload)
            offset += 1
        self._bytes += total + _ROW_OVERHEAD_BYTES * (offset - first)
        self._trim()
        return first

    def _trim(self) -> None:
        rows, head = self._rows, self._head
        kept = len(rows) - head
        while kept > 1 and (kept > self._capacity or self._bytes > self._capacity_bytes):
            _, topic, sender, payload = rows[head]
            self._bytes -= len(topic) + len(sender) + len(payload) + _ROW_OVERHEAD_BYTES
            rows[head] = _DROPPED
            head += 1
            kept -= 1
        self._oldest += head - self._head
        self._head = head
        if head > 1024 and head * 2 > len(rows):
            del rows[:head]
            self._head = 0

    def read(self, interest: Interest, offset: int, *, limit: int, max_bytes: int) -> Slice:
        """Wanted rows from `offset` on: at most `limit`, about `max_bytes`, at least one."""
        lost = max(self._oldest - offset, 0)
        at = self._head + max(offset, self._oldest) - self._oldest
        rows, wants = self._rows, interest.wants
        found: list[Row] = []
        room = max_bytes
        for index in range(at, len(rows)):
            row = rows[index]
            if wants(row[1]):
                if len(found) >= limit or (found and room < len(row[3])):
                    break
                found.append(row)
                room -= len(row[3]) + len(row[1]) + len(row[2])
            at = index + 1
        return Slice(found, self._oldest + at - self._head, lost, len(rows) - at)


_DROPPED: Row = (-1, "", "", b"")
