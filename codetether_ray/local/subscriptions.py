"""Many subscriptions on one parked poll."""

import asyncio
from collections import deque
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from codetether_ray.core.errors import CodetetherError
from codetether_ray.local.topiclog import Interest
from codetether_ray.ports.bus import Batch, Bus, Cursor, Envelope

_MAX_BUFFERED = 50_000
"""Messages a subscription holds for a slow consumer; then the oldest go, and it is told."""
_POLL_LIMIT = 10_000
_MAX_ROUTES = 20_000


class Subscription:
    """Messages that match some patterns, from one point on, in order: `async for` them.

    `lost` counts messages that were dropped before this reader came to them, here or in the bus.
    """

    def __init__(self, owner: "Subscriptions", patterns: Sequence[str], start: Cursor) -> None:
        self.interest = Interest(patterns)
        self.next_offset = start.offset
        self.lost = 0
        self._owner = owner
        self._buffer: deque[Envelope] = deque()
        self._waiting: asyncio.Future[None] | None = None
        self._error: CodetetherError | None = None
        self._closed = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Envelope:
        while not self._buffer:
            await self._more()
        return self._buffer.popleft()

    async def take(self) -> tuple[Envelope, ...]:
        """Everything there is, waiting for the first; empty once closed."""
        while not self._buffer:
            try:
                await self._more()
            except StopAsyncIteration:
                return ()
        taken = tuple(self._buffer)
        self._buffer.clear()
        return taken

    async def _more(self) -> None:
        if self._error is not None:
            raise self._error
        if self._closed:
            raise StopAsyncIteration
        self._waiting = asyncio.get_running_loop().create_future()
        try:
            await self._waiting
        finally:
            self._waiting = None

    async def close(self) -> None:
        """Let go; what is buffered can still be read."""
        self._closed = True
        self._owner.remove(self)
        self.notify()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    def push(self, envelope: Envelope) -> None:
        """Take one message (without waking the reader: see `notify`)."""
        self._buffer.append(envelope)
        if len(self._buffer) > _MAX_BUFFERED:
            self._buffer.popleft()
            self.lost += 1

    def notify(self) -> None:
        """Wake the reader."""
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)

    def fail(self, error: CodetetherError) -> None:
        """No more will come, for this reason."""
        self._error = error
        self.notify()


class Subscriptions:
    """Carries all subscriptions of a process on one long poll of a bus.

    A subscription misses nothing published after `subscribe` returned. A change of the patterns
    takes the parked poll back and parks a new one, once for a burst of changes.
    """

    def __init__(self, bus: Bus, *, wait_s: float = 20.0) -> None:
        self._bus = bus
        self._wait_s = wait_s
        self._all: list[Subscription] = []
        self._routes: dict[str, tuple[Subscription, ...]] = {}
        self._patterns: list[str] | None = None
        self._epoch = ""
        self._poll: asyncio.Task[Batch] | None = None
        self._loop: asyncio.Task[None] | None = None
        self._end: asyncio.Task[Cursor] | None = None

    async def subscribe(
        self, patterns: Sequence[str], cursor: Cursor | None = None
    ) -> Subscription:
        """Messages from `cursor` on, or from now on."""
        start = cursor or await self._now()
        if not self._epoch:
            self._epoch = start.epoch
        if start.epoch != self._epoch:
            start = Cursor(epoch=self._epoch, offset=0)
        made = Subscription(self, patterns, start)
        self._all.append(made)
        self._changed()
        if self._loop is None or self._loop.done():
            self._loop = asyncio.create_task(self._follow(), name="subscriptions")
        return made

    def remove(self, subscription: Subscription) -> None:
        """Forget one; its messages are no longer asked for."""
        if subscription in self._all:
            self._all.remove(subscription)
            self._changed()

    async def close(self) -> None:
        """End every subscription."""
        for subscription in tuple(self._all):
            await subscription.close()
        if self._loop is not None:
            self._loop.cancel()
            await asyncio.gather(self._loop, return_exceptions=True)

    async def _now(self) -> Cursor:
        """The bus's end, asked after this call began; one question serves a burst of callers."""
        if self._end is None:
            self._end = asyncio.create_task(self._ask_end())
        return await asyncio.shield(self._end)

    async def _ask_end(self) -> Cursor:
        await asyncio.sleep(0)  # whoever asks in this tick shares the question
        self._end = None
        return await self._bus.cursor()

    def _changed(self) -> None:
        self._routes.clear()
        self._patterns = None
        if self._poll is not None:
            self._poll.cancel()

    async def _follow(self) -> None:
        try:
            while self._all:
                await self._once()
        except CodetetherError as error:
            for subscription in self._all:
                subscription.fail(error)
            self._all.clear()

    async def _once(self) -> None:
        await asyncio.sleep(0)  # a burst of changes makes one poll
        if self._patterns is None:
            self._patterns = sorted({p for s in self._all for p in s.interest.patterns})
        patterns = self._patterns
        if not patterns:
            return
        start = Cursor(epoch=self._epoch, offset=min(s.next_offset for s in self._all))
        self._poll = asyncio.create_task(
            self._bus.poll(patterns, start, limit=_POLL_LIMIT, wait_s=self._wait_s)
        )
        try:
            await asyncio.wait([self._poll])
        except asyncio.CancelledError:
            self._poll.cancel()
            raise
        poll, self._poll = self._poll, None
        if not poll.cancelled():
            self._deliver(poll.result(), start)

    def _deliver(self, batch: Batch, start: Cursor) -> None:
        cursor, oldest = batch.cursor, start.offset + batch.lost
        if cursor.epoch != self._epoch:
            self._epoch, oldest = cursor.epoch, batch.lost
            for subscription in self._all:
                subscription.next_offset = 0
        touched: set[Subscription] = set()
        for envelope in batch.envelopes:
            route = self._routes.get(envelope.topic)
            if route is None:
                route = self._route(envelope.topic)
            for subscription in route:
                if envelope.offset >= subscription.next_offset:
                    subscription.push(envelope)
            touched.update(route)
        for subscription in self._all:
            if batch.lost:
                subscription.lost += max(oldest - subscription.next_offset, 0)
            subscription.next_offset = max(subscription.next_offset, cursor.offset)
        for subscription in touched:
            subscription.notify()

    def _route(self, topic: str) -> tuple[Subscription, ...]:
        if len(self._routes) >= _MAX_ROUTES:
            self._routes.clear()
        route = tuple(s for s in self._all if s.interest.wants(topic))
        self._routes[topic] = route
        return route
