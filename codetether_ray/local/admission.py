"""Who may start, for one run that has its nodes to itself.

Ray's own bookkeeping counts reservations and caps nothing; this queue also looks at the memory
that is really free, and holds agents back before the machine is in trouble.
"""

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from codetether_ray.core.errors import CodetetherError
from codetether_ray.local.nodes import FLOOR_BYTES
from codetether_ray.local.permits import HeldPermit, Share
from codetether_ray.local.scheduler import Scheduler
from codetether_ray.ports.admission import Need, Party, Rank
from codetether_ray.ports.clock import Clock
from codetether_ray.ports.host import Capacity

_FRESH_S = 0.5  # how long a look at the machine is believed
_RECHECK_S = 1.0  # how often it is looked at while agents wait


@dataclass(slots=True)
class _Waiter:
    need: Need
    share: asyncio.Future[Share]


class LocalAdmission:
    """Implements `Admission` over a scheduler of its own. A waiting agent costs one future."""

    def __init__(
        self,
        capacity: Callable[[], Awaitable[Capacity]],
        clock: Clock,
        *,
        max_live: int | None = None,
        max_memory_bytes: int | None = None,
        floor_bytes: int = FLOOR_BYTES,
    ) -> None:
        """Ask `capacity` what there is; hand out no more than the limits, where they are given."""
        self._look = capacity
        self._clock = clock
        self._scheduler = Scheduler(floor_bytes=floor_bytes)
        self._scheduler.join(Party(max_live=max_live, max_memory_bytes=max_memory_bytes))
        self._tickets = itertools.count(1)
        self._waiters: dict[str, _Waiter] = {}
        self._seen_at: float | None = None
        self._looking: asyncio.Task[None] | None = None
        self._watching: asyncio.Task[None] | None = None

    @property
    def live(self) -> int:
        """How many permits are held."""
        return self._scheduler.live

    @property
    def waiting(self) -> int:
        """How many wait."""
        return self._scheduler.waiting

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
        await self._refresh()
        refusal = self._scheduler.refusal(_ME, need)
        if refusal is not None:
            raise refusal
        return HeldPermit(self, await self._wait(need, rank, priority, on_wait))

    async def close(self) -> None:
        """Look no more."""
        if self._watching is not None:
            self._watching.cancel()
            self._watching = None

    # -- for permits ------------------------------------------------------------------------------

    async def obtain(self, need: Need, rank: Rank) -> Share:
        """See `Desk`."""
        return await self._wait(need, rank, 0)

    def seize(self, need: Need, node: str) -> Share:
        """See `Desk`."""
        ticket = self._ticket()
        self._scheduler.hold(_ME, ticket, need, node)
        return Share(ticket, need, node)

    def give(self, share: Share) -> None:
        """See `Desk`."""
        self._scheduler.release(_ME, share.ticket)
        self._pump()

    # -- the queue --------------------------------------------------------------------------------

    async def _wait(
        self,
        need: Need,
        rank: Rank,
        priority: int,
        on_wait: Callable[[str], None] | None = None,
    ) -> Share:
        ticket = self._ticket()
        waiter = _Waiter(need, asyncio.get_running_loop().create_future())
        why = self._scheduler.reason(_ME, need) if on_wait is not None else ""
        self._waiters[ticket] = waiter
        self._scheduler.ask(_ME, ticket, need, rank, priority)
        self._pump()
        if on_wait is not None and not waiter.share.done():
            on_wait(why)
        try:
            return await waiter.share
        except asyncio.CancelledError:
            self._waiters.pop(ticket, None)
            self._scheduler.release(_ME, ticket)
            self._pump()
            raise

    def _pump(self) -> None:
        for grant in self._scheduler.decide():
            waiter = self._waiters.pop(grant.ticket)
            if waiter.share.done():  # it was cancelled, and is about to say so
                self._scheduler.release(_ME, grant.ticket)
                continue
            share = Share(grant.ticket, waiter.need, grant.node, grant.largest_bytes)
            waiter.share.set_result(share)
        self._watch()

    def _ticket(self) -> str:
        return str(next(self._tickets))

    # -- what there is ----------------------------------------------------------------------------

    async def _refresh(self) -> None:
        now = self._clock.monotonic()
        if self._seen_at is not None and now - self._seen_at < _FRESH_S:
            return
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look_now())
        await asyncio.shield(self._looking)

    async def _look_now(self) -> None:
        self._scheduler.see(await self._look())
        self._seen_at = self._clock.monotonic()
        for _, ticket, why in self._scheduler.lost():
            self._scheduler.release(_ME, ticket)
            waiter = self._waiters.pop(ticket)
            if not waiter.share.done():
                waiter.share.set_exception(why)

    def _watch(self) -> None:
        """Look again from time to time, as long as agents wait."""
        if self._waiters and self._watching is None:
            self._watching = asyncio.create_task(self._look_again())
        elif not self._waiters and self._watching is not None:
            self._watching.cancel()
            self._watching = None

    async def _look_again(self) -> None:
        while True:
            await self._clock.sleep(_RECHECK_S)
            try:
                await self._look_now()
            except CodetetherError:  # the next look may answer; who waits goes on waiting
                continue
            self._pump()


_ME = Party().run_id
