"""A run's way to the scheduler that all runs of a cluster share.

Orders travel in batches; one call is always parked there for news. Where the scheduler has
forgotten this run (it was started anew, or this process was stopped for long) all is said again.
"""

import asyncio
import itertools
import secrets
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from codetether_ray.core.errors import CodetetherError
from codetether_ray.local.desk import LEASE_S, Answer, Asked, Held, Hello, News, Order, Released
from codetether_ray.local.permits import HeldPermit, Share
from codetether_ray.ports.admission import Need, Party, Rank
from codetether_ray.ports.clock import Clock

_PAUSE_S = 0.3  # before a call that failed is made again
_FAREWELL_S = 2.0


class Scheduling(Protocol):
    """The scheduler, wherever it is."""

    def exchange(
        self, lease: str, hello: Hello | None, orders: tuple[Order, ...], seen: int, wait_s: float
    ) -> Awaitable[Answer]:
        """See `SchedulingDesk`."""
        ...

    def leave(self, lease: str) -> Awaitable[None]:
        """See `SchedulingDesk`."""
        ...


@dataclass(slots=True)
class _Waiter:
    order: Asked
    share: asyncio.Future[Share]
    on_wait: Callable[[str], None] | None


class FarAdmission:
    """Implements `Admission`. A waiting agent costs one future, here and there an entry."""

    def __init__(
        self, scheduling: Scheduling, party: Party, clock: Clock, *, lease_s: float = LEASE_S
    ) -> None:
        self._scheduling = scheduling
        self._party = party
        self._clock = clock
        self._wait_s = lease_s / 3
        self._lease = secrets.token_hex(8)
        self._tickets = itertools.count(1)
        self._waiters: dict[str, _Waiter] = {}
        self._shares: dict[str, Share] = {}
        self._orders: list[Order] = []
        self._epoch = ""
        self._seen = 0
        self._is_known = asyncio.Event()
        self._has_orders = asyncio.Event()
        self._talks: list[asyncio.Task[None]] = []

    @property
    def live(self) -> int:
        """How many permits are held."""
        return len(self._shares)

    @property
    def waiting(self) -> int:
        """How many wait."""
        return len(self._waiters)

    async def acquire(
        self,
        need: Need,
        *,
        rank: Rank = Rank.NEW,
        priority: int = 0,
        on_wait: Callable[[str], None] | None = None,
    ) -> HeldPermit:
        """Wait for a permit. `on_wait` is told once, if there is a wait, what it is for.

        Raises:
            InfeasibleError: no node could ever give that much.
            NodeLostError: the one node that it can live on is gone.
        """
        return HeldPermit(self, await self._wait(need, rank, priority, on_wait))

    async def close(self) -> None:
        """Give back what is held."""
        for talk in self._talks:
            talk.cancel()
        await asyncio.gather(*self._talks, return_exceptions=True)
        if self._talks:
            self._talks.clear()
            with suppress(CodetetherError, TimeoutError):
                async with asyncio.timeout(_FAREWELL_S):
                    await self._scheduling.leave(self._lease)

    # -- for permits ------------------------------------------------------------------------------

    async def obtain(self, need: Need, rank: Rank) -> Share:
        """See `Desk`."""
        return await self._wait(need, rank, 0)

    def seize(self, need: Need, node: str) -> Share:
        """See `Desk`."""
        share = Share(self._ticket(), need, node)
        self._shares[share.ticket] = share
        self._say(Held(share.ticket, need, node))
        return share

    def give(self, share: Share) -> None:
        """See `Desk`."""
        if self._shares.pop(share.ticket, None) is not None:
            self._say(Released(share.ticket))

    # -- the queue --------------------------------------------------------------------------------

    async def _wait(
        self,
        need: Need,
        rank: Rank,
        priority: int,
        on_wait: Callable[[str], None] | None = None,
    ) -> Share:
        order = Asked(self._ticket(), need, rank, priority)
        waiter = _Waiter(order, asyncio.get_running_loop().create_future(), on_wait)
        self._waiters[order.ticket] = waiter
        self._say(order)
        try:
            return await waiter.share
        except asyncio.CancelledError:
            self._waiters.pop(order.ticket, None)
            self._shares.pop(order.ticket, None)
            self._say(Released(order.ticket))
            raise

    def _ticket(self) -> str:
        return str(next(self._tickets))

    def _say(self, order: Order) -> None:
        self._orders.append(order)
        self._has_orders.set()
        if not self._talks:
            self._talks = [asyncio.create_task(self._speak()), asyncio.create_task(self._listen())]

    # -- the talk ---------------------------------------------------------------------------------

    async def _speak(self) -> None:
        """Send orders as they come, one call at a time, so that they keep their order."""
        while True:
            await self._has_orders.wait()
            self._has_orders.clear()
            orders, hello = tuple(self._orders), None
            self._orders.clear()
            if not self._is_known.is_set():  # what was ordered is in what is held and waited for
                hello, orders = Hello(self._party, self._all()), ()
            try:
                answer = await self._scheduling.exchange(self._lease, hello, orders, self._seen, 0)
            except CodetetherError:
                self._orders[:0] = orders
                self._has_orders.set()
                await self._clock.sleep(_PAUSE_S)
                continue
            if hello is not None and answer.epoch:
                self._epoch, self._seen = answer.epoch, 0
                self._is_known.set()
            self._take(answer)

    async def _listen(self) -> None:
        while True:
            await self._is_known.wait()
            try:
                answer = await self._scheduling.exchange(
                    self._lease, None, (), self._seen, self._wait_s
                )
            except CodetetherError:
                await self._clock.sleep(_PAUSE_S)
                continue
            self._take(answer)

    def _all(self) -> tuple[Order, ...]:
        held = (Held(share.ticket, share.need, share.node) for share in self._shares.values())
        return (*held, *(waiter.order for waiter in self._waiters.values()))

    def _take(self, answer: Answer) -> None:
        if not answer.epoch:
            self._is_known.clear()
            self._has_orders.set()
        elif answer.epoch == self._epoch:
            for news in answer.news:
                if news.number > self._seen:
                    self._seen = news.number
                    self._hear(news)

    def _hear(self, news: News) -> None:
        waiter = self._waiters.get(news.ticket)
        if waiter is None or waiter.share.done():  # it is waited for no more, and that was said
            return
        if news.reason:
            if waiter.on_wait is not None:
                on_wait, waiter.on_wait = waiter.on_wait, None
                on_wait(news.reason)
            return
        del self._waiters[news.ticket]
        if news.error is not None:
            waiter.share.set_exception(news.error)
            return
        share = Share(news.ticket, waiter.order.need, news.node or "", news.largest_bytes)
        self._shares[news.ticket] = share
        waiter.share.set_result(share)
