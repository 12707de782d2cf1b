"""The bus inside one process: also the state that the Ray bus actor holds."""

import asyncio
import secrets
from collections.abc import Iterable, Sequence
from functools import lru_cache

from codetether_ray.core.errors import TooManyPollsError
from codetether_ray.local.topiclog import Interest, Message, Slice, TopicLog
from codetether_ray.ports.bus import Batch, Cursor, Envelope

CAPACITY = 100_000
"""Messages kept; a reader that is further behind is told what it lost."""
CAPACITY_BYTES = 64_000_000
"""Memory for messages kept, in bytes."""
MAX_PARKED_POLLS = 4_096
"""One long poll per process waits here, so this is a bound on processes."""
_MAX_ANSWER_BYTES = 8_000_000
"""Payload bytes in one answer; the reader comes again for the rest."""
_MAX_WAIT_S = 60.0
"""The longest a poll may be parked, in seconds."""

Answer = tuple[list[tuple[int, str, str, bytes]], str, int, int, int]
"""Rows, epoch, next offset, lost, lag: a batch as plain values, cheap to pickle."""


class LocalBus:
    """A log in memory, and the polls that wait for more of it.

    What is published is in the log before `publish` returns, in order. A parked poll is one
    future; it is woken by a publish that it wants and by nothing else. Every method that touches
    the state does so without awaiting in between, so an actor may call them in any interleaving.
    """

    def __init__(
        self,
        capacity: int = CAPACITY,
        *,
        capacity_bytes: int = CAPACITY_BYTES,
        max_parked_polls: int = MAX_PARKED_POLLS,
    ) -> None:
        self._log = TopicLog(capacity=capacity, capacity_bytes=capacity_bytes)
        self._epoch = secrets.token_hex(8)
        self._max_parked = max_parked_polls
        self._parked = _Parked()
        self._by_reader: dict[str, _Waiter] = {}
        self._interest = lru_cache(maxsize=256)(Interest)

    def __repr__(self) -> str:
        return "Bus"

    async def publish(self, envelopes: Sequence[Envelope]) -> int:
        """Append a batch in order; return the offset of its last message."""
        return self.append([(e.topic, e.sender, e.payload) for e in envelopes])

    async def poll(
        self, patterns: Sequence[str], cursor: Cursor, *, limit: int = 1000, wait_s: float = 20.0
    ) -> Batch:
        """Messages from `cursor` on that match any pattern; wait up to `wait_s` for the first.

        Raises:
            TooManyPollsError: as many polls wait as may.
        """
        answer = await self.wait_for(
            patterns, cursor.epoch, cursor.offset, limit=limit, wait_s=wait_s
        )
        return to_batch(answer)

    async def cursor(self) -> Cursor:
        """The end of the log now."""
        return Cursor(epoch=self._epoch, offset=self._log.end)

    # -- the same in plain values, for readers in other processes ---------------------------------

    def append(self, messages: Sequence[Message]) -> int:
        """`publish` without envelopes."""
        first = self._log.append(messages)
        if self._parked.count:
            topics = set()
            for offset, (topic, _, _) in enumerate(messages, first):
                if topic not in topics:
                    topics.add(topic)
                    self._parked.wake(topic, offset)
        return first + len(messages) - 1

    async def wait_for(
        self,
        patterns: Sequence[str],
        epoch: str,
        offset: int,
        limit: int = 1000,
        wait_s: float = 20.0,
        max_bytes: int = _MAX_ANSWER_BYTES,
        reader: str = "",
    ) -> Answer:
        """`poll` without envelopes. A parked poll of the same `reader` is answered at once.

        Raises:
            TooManyPollsError: as many polls wait as may.
        """
        self.leave(reader)
        interest = self._interest(tuple(patterns))
        start = self._seek(epoch, offset)
        found = self._log.read(interest, start, limit=limit, max_bytes=max_bytes)
        if found.rows or wait_s <= 0 or found.lost:
            return self._answer(found)
        at = await self._park(interest, found.next_offset, min(wait_s, _MAX_WAIT_S), reader)
        return self._answer(self._log.read(interest, at, limit=limit, max_bytes=max_bytes))

    def leave(self, reader: str) -> None:
        """Answer the poll that `reader` has parked, if any, with what there is: nothing."""
        waiter = self._by_reader.pop(reader, None)
        if waiter is not None:
            waiter.wake(self._log.end)

    def parked_polls(self) -> int:
        """How many polls wait now."""
        return self._parked.count

    def _seek(self, epoch: str, offset: int) -> int:
        if not epoch and offset < 0:
            return self._log.end
        if epoch and epoch != self._epoch:
            return 0  # another log's offset says nothing here: from the oldest on
        return min(max(offset, 0), self._log.end)

    async def _park(self, interest: Interest, at: int, wait_s: float, reader: str) -> int:
        """Wait for a wanted message; return the offset to read from."""
        if self._parked.count >= self._max_parked:
            raise TooManyPollsError(self._max_parked)
        waiter = _Waiter(interest)
        if reader:
            self._by_reader[reader] = waiter
        self._parked.add(waiter)
        timer = asyncio.get_running_loop().call_later(wait_s, self._give_up, waiter)
        try:
            return await waiter.woken
        finally:
            timer.cancel()
            self._parked.discard(waiter)
            if self._by_reader.get(reader) is waiter:
                del self._by_reader[reader]

    def _give_up(self, waiter: "_Waiter") -> None:
        waiter.wake(self._log.end)  # all that came meanwhile was not wanted

    def _answer(self, found: Slice) -> Answer:
        return found.rows, self._epoch, found.next_offset, found.lost, found.lag


def to_batch(answer: Answer) -> Batch:
    """An answer in the port's words."""
    rows, epoch, next_offset, lost, lag = answer
    return Batch(
        envelopes=tuple(
            Envelope(topic=topic, sender=sender, payload=payload, offset=offset)
            for offset, topic, sender, payload in rows
        ),
        cursor=Cursor(epoch=epoch, offset=next_offset),
        lost=lost,
        lag=lag,
    )


class _Waiter:
    """One parked poll."""

    __slots__ = ("interest", "woken")

    def __init__(self, interest: Interest) -> None:
        self.interest = interest
        self.woken: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def wake(self, offset: int) -> None:
        if not self.woken.done():
            self.woken.set_result(offset)


class _Parked:
    """Parked polls, findable by topic: exact patterns by a table, wildcards one by one."""

    def __init__(self) -> None:
        self.count = 0
        self._exact: dict[str, set[_Waiter]] = {}
        self._wild: set[_Waiter] = set()
        self._all: set[_Waiter] = set()

    def add(self, waiter: _Waiter) -> None:
        self._all.add(waiter)
        for topic in waiter.interest.exact:
            self._exact.setdefault(topic, set()).add(waiter)
        if waiter.interest.wild:
            self._wild.add(waiter)
        self.count = len(self._all)

    def discard(self, waiter: _Waiter) -> None:
        if waiter not in self._all:
            return
        self._all.discard(waiter)
        for topic in waiter.interest.exact:
            waiters = self._exact.get(topic)
            if waiters is not None:
                waiters.discard(waiter)
                if not waiters:
                    del self._exact[topic]
        self._wild.discard(waiter)
        self.count = len(self._all)

    def wake(self, topic: str, offset: int) -> None:
        """Wake those that want `topic`, whose message is at `offset`."""
        for waiter in self._wanting(topic):
            self.discard(waiter)
            waiter.wake(offset)

    def _wanting(self, topic: str) -> Iterable[_Waiter]:
        exact = self._exact.get(topic, ())
        if not self._wild:
            return tuple(exact)
        return {*exact, *(w for w in self._wild if w.interest.wants(topic))}
