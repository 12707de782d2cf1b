"""Who may start: permits for memory, CPUs and live agents, and the queue before them.

Ray's own bookkeeping counts reservations and caps nothing; this queue also looks at the memory
that is really free, and holds agents back before the machine is in trouble.
"""

import asyncio
import heapq
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import IntEnum

from codetether_ray.core.errors import CodetetherError, InfeasibleError
from codetether_ray.ports.clock import Clock
from codetether_ray.ports.host import Capacity

_FLOOR_BYTES = 256_000_000  # stays free on the machine, whatever was reserved
_ROUNDING = 1e-6  # sums of fractions of a CPU
_FRESH_S = 0.5  # how long a look at the machine is believed
_RECHECK_S = 1.0  # how often it is looked at while agents wait


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """What one agent takes."""

    memory_bytes: int = 0
    cpus: float = 0.0


class Rank(IntEnum):
    """Who goes first: parents that take their permit back, then children, then new agents.

    So a tree that has begun is finished before another one is begun.
    """

    RETURNING = 0
    CHILD = 1
    NEW = 2


@dataclass(slots=True)
class _Waiter:
    need: Need
    granted: asyncio.Future[None]


class Admission:
    """Hands out permits in order of rank, priority (higher first) and coming.

    Keeps true: reservations never exceed what the nodes have (but for a parent that is cancelled
    while its permit is lent: it takes it back at once); nothing is admitted that would leave less
    than the floor of memory free, except that one agent may always run; no one overtakes the
    first in the queue. A waiting agent costs one future.
    """

    def __init__(
        self,
        capacity: Callable[[], Awaitable[Capacity]],
        clock: Clock,
        *,
        max_live: int | None = None,
        max_memory_bytes: int | None = None,
        floor_bytes: int = _FLOOR_BYTES,
    ) -> None:
        """Ask `capacity` what there is; hand out no more than the limits, where they are given."""
        self._look = capacity
        self._clock = clock
        self._max_live = max_live
        self._max_memory = max_memory_bytes
        self._floor = floor_bytes
        self._order = itertools.count()
        self._queue: list[tuple[int, int, int, _Waiter]] = []
        self._live = 0
        self._memory = 0
        self._cpus = 0.0
        self._seen: Capacity | None = None
        self._seen_at = 0.0
        self._memory_when_seen = 0
        self._looking: asyncio.Task[None] | None = None
        self._watching: asyncio.Task[None] | None = None

    @property
    def live(self) -> int:
        """How many permits are held."""
        return self._live

    @property
    def waiting(self) -> int:
        """How many wait."""
        return sum(not waiter.granted.done() for *_, waiter in self._queue)

    async def acquire(
        self,
        need: Need,
        *,
        rank: Rank = Rank.NEW,
        priority: int = 0,
        on_wait: Callable[[str], None] | None = None,
    ) -> "Permit":
        """Wait for a permit. `on_wait` is told once, if there is a wait, what it is for.

        Raises:
            InfeasibleError: no node could ever give that much.
        """
        await self._refresh()
        self._refuse_infeasible(need)
        await self._enqueue(need, rank, priority, on_wait)
        return Permit(self, need)

    def reason(self, need: Need) -> str:
        """Why an agent of this need would wait now, in words."""
        seen = self._capacity()
        if self._max_live is not None and self._live >= self._max_live:
            return f"queued: {self._live} of {self._max_live} agents are running"
        if self._memory + need.memory_bytes > seen.memory_bytes:
            free = seen.memory_bytes - self._memory
            return f"queued: needs {_size(need.memory_bytes)}, largest free {_size(free)}"
        if self._cpus + need.cpus > seen.cpus + _ROUNDING:
            return f"queued: needs {need.cpus:g} CPUs, {seen.cpus - self._cpus:g} are free"
        if not self._leaves_floor(need):
            free = self._free_now()
            return f"queued: {_size(free)} of memory is free, {_size(self._floor)} must stay free"
        return f"queued: behind {len(self._queue)} others"

    # -- the queue --------------------------------------------------------------------------------

    async def _enqueue(
        self, need: Need, rank: Rank, priority: int, on_wait: Callable[[str], None] | None = None
    ) -> None:
        waiter = _Waiter(need, asyncio.get_running_loop().create_future())
        why = self.reason(need) if on_wait is not None else ""
        heapq.heappush(self._queue, (rank, -priority, next(self._order), waiter))
        self._pump()
        if waiter.granted.done():
            return
        if on_wait is not None:
            on_wait(why)
        try:
            await waiter.granted
        except asyncio.CancelledError:
            if waiter.granted.done() and not waiter.granted.cancelled():
                self._give(need)
            else:
                waiter.granted.cancel()
                self._pump()
            raise

    def _pump(self) -> None:
        while self._queue:
            waiter = self._queue[0][-1]
            if not waiter.granted.done():
                if not self._fits(waiter.need):
                    break
                self._take(waiter.need)
                waiter.granted.set_result(None)
            heapq.heappop(self._queue)
        self._watch()

    def _fits(self, need: Need) -> bool:
        seen = self._capacity()
        return (
            (self._max_live is None or self._live < self._max_live)
            and self._memory + need.memory_bytes <= seen.memory_bytes
            and self._cpus + need.cpus <= seen.cpus + _ROUNDING
            and (self._live == 0 or self._leaves_floor(need))
        )

    def _take(self, need: Need) -> None:
        self._live += 1
        self._memory += need.memory_bytes
        self._cpus += need.cpus

    def _give(self, need: Need) -> None:
        self._live -= 1
        self._memory -= need.memory_bytes
        self._cpus -= need.cpus
        self._pump()

    # -- what there is ----------------------------------------------------------------------------

    def _capacity(self) -> Capacity:
        assert self._seen is not None
        return self._seen

    def _free_now(self) -> int:
        """Free memory as seen, less what was promised since and may not be in use yet."""
        return self._capacity().free_memory_bytes - max(self._memory - self._memory_when_seen, 0)

    def _leaves_floor(self, need: Need) -> bool:
        return self._free_now() - need.memory_bytes >= self._floor

    def _refuse_infeasible(self, need: Need) -> None:
        seen = self._capacity()
        if need.memory_bytes > seen.largest_memory_bytes:
            raise InfeasibleError(
                f"{_size(need.memory_bytes)} of memory", _size(seen.largest_memory_bytes)
            )
        if need.cpus > seen.cpus:
            raise InfeasibleError(f"{need.cpus:g} CPUs", f"{seen.cpus:g}")

    async def _refresh(self) -> None:
        if self._seen is not None and self._clock.monotonic() - self._seen_at < _FRESH_S:
            return
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look_now())
        await asyncio.shield(self._looking)

    async def _look_now(self) -> None:
        self._seen = (await self._look()).within(self._max_memory)
        self._seen_at = self._clock.monotonic()
        self._memory_when_seen = self._memory

    def _watch(self) -> None:
        """Look again from time to time, as long as agents wait."""
        if self._queue and self._watching is None:
            self._watching = asyncio.create_task(self._look_again())
        elif not self._queue and self._watching is not None:
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


class Permit:
    """The right to be live. Given back by `release`; lent while its holder waits for others."""

    def __init__(self, admission: Admission, need: Need) -> None:
        self._admission = admission
        self._need = need
        self._is_held = True
        self._is_over = False
        self._loans = 0

    @property
    def is_lent(self) -> bool:
        """Whether its holder waits for children now."""
        return self._loans > 0

    def release(self) -> None:
        """Give it back for good. Idempotent."""
        self._is_over = True
        self._drop()

    @asynccontextmanager
    async def lent(self) -> AsyncIterator[None]:
        """Let others use it inside the block; it is taken back, with priority, at the end.

        Blocks may overlap (a parent of several children): it is taken back after the last.
        """
        self._loans += 1
        self._drop()
        try:
            yield
        except asyncio.CancelledError:
            self._loans -= 1
            self._seize()
            raise
        except BaseException:
            self._loans -= 1
            await self._take_back()
            raise
        self._loans -= 1
        await self._take_back()

    def _drop(self) -> None:
        if self._is_held:
            self._is_held = False
            self._admission._give(self._need)

    def _seize(self) -> None:
        """Take it back without waiting: who is being cancelled must not queue."""
        if not (self._loans or self._is_over or self._is_held):
            self._is_held = True
            self._admission._take(self._need)

    async def _take_back(self) -> None:
        if self._loans or self._is_over or self._is_held:
            return
        try:
            await self._admission._enqueue(self._need, Rank.RETURNING, 0)
        except asyncio.CancelledError:
            self._seize()
            raise
        if self._loans or self._is_over or self._is_held:  # lent again or over, meanwhile
            self._admission._give(self._need)
        else:
            self._is_held = True


def _size(amount: int) -> str:
    """Bytes for people: `1.1 GB`, `200 MB`."""
    if amount >= 1_000_000_000:
        return f"{amount / 1_000_000_000:.1f} GB".replace(".0 ", " ")
    return f"{max(amount, 0) / 1_000_000:.0f} MB"
