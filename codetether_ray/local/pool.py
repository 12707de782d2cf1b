"""Processes of agents that are used again: leased, put back as they were, kept warm, ended.

What a process is, and how one is made and reset, others know: this is who gets which, and when.
"""

import asyncio
import itertools
import os
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar
from weakref import WeakValueDictionary

from codetether_ray.ports.clock import Clock
from codetether_ray.ports.pool import PoolTerms


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """For whom a process is wanted."""

    node: str
    """Where it shall live."""
    principal: str
    """It serves nobody else, before or after."""
    holder: str
    """Who gives it back: the life of a run's supervisor. What it holds ends with it."""


class Reusable(Protocol):
    """A process of agents."""

    async def prepare(self) -> None:
        """Load what its first agent will need."""
        ...

    async def reset(self) -> bool:
        """Put it back as it was; False where it is not, or cannot be shown to be."""
        ...

    def kill(self) -> None:
        """End it at once."""
        ...

    async def gone(self) -> None:
        """Return when it is no more."""
        ...


P = TypeVar("P", bound=Reusable)


@dataclass(slots=True, eq=False)
class Member(Generic[P]):
    """One process of a pool."""

    id: int
    node: str
    process: P
    born: float
    principal: str | None = None
    """Whom it served; None: nobody yet."""
    served: int = 0
    """Agents."""
    tenancies: int = 0
    """How often it was leased and given back: once for each agent, or for each pack."""
    holder: str = ""
    idle_since: float = 0.0
    watch: asyncio.Task[None] | None = None

    def suits(self, wish: Wish) -> bool:
        """Whether it may serve."""
        return self.node == wish.node and self.principal in (None, wish.principal)


@dataclass(slots=True, eq=False)
class _Waiter(Generic[P]):
    """Somebody who takes the next process that is put back."""

    wish: Wish
    is_promised: bool
    """One is being put back already; else it has a new one made when its turn comes."""
    member: "asyncio.Future[Member[P] | None]" = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )


class Pool(Generic[P]):
    """Leases processes.

    Keeps true: a process has one holder at a time and one principal for life; it is leased again
    only after it was found as it was before its first agent. Grows with demand, shrinks with time.
    """

    def __init__(
        self,
        make: Callable[[str], Awaitable[P]],
        clock: Clock,
        terms: PoolTerms,
        *,
        home: str = "",
    ) -> None:
        """`make` starts a process on a node, and returns when it is up. `home`: the pool's node."""
        self._make = make
        self._clock = clock
        self._terms = terms
        self._home = home
        self._ids = itertools.count(1)
        self._members: dict[int, Member[P]] = {}
        self._idle: list[Member[P]] = []
        """Longest idle first."""
        self._resets: dict[int, asyncio.Task[None]] = {}
        self._waiting: list[_Waiter[P]] = []
        self._doors: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()
        self._tending: asyncio.Task[None] | None = None
        self._warming: set[asyncio.Task[None]] = set()
        self._is_closed = False

    def __len__(self) -> int:
        return len(self._members)

    @property
    def idle(self) -> int:
        """How many wait for an agent."""
        return len(self._idle)

    async def lease(self, wish: Wish) -> Member[P]:
        """A process for one holder; at once, where one waits that may be used.

        Raises:
            Exception: what `make` raised.
        """
        member = self._take(wish)
        while member is None:
            member = await self._next(wish)
        member.principal, member.holder = wish.principal, wish.holder
        return member

    def give_back(self, id: int, *, agents: int = 1) -> None:
        """It served so many agents, which have ended: it is put back, and waits for the next."""
        member = self._members.get(id)
        if member is None or id in self._resets:
            return
        member.served += agents
        member.tenancies += 1
        member.holder = ""
        if self._is_closed or self._is_used_up(member) or self._has_plenty(member):
            self.end(id)
            return
        self._resets[id] = asyncio.create_task(self._put_back(member))

    def end(self, id: int) -> None:
        """End a process, in whatever state it is; nothing happens for one that is gone."""
        if self._drop(id) and not self._is_closed:
            self._replenish()

    def _drop(self, id: int) -> bool:
        member = self._members.pop(id, None)
        if member is None:
            return False
        if member in self._idle:
            self._idle.remove(member)
        if member.watch is not None:
            member.watch.cancel()
        member.process.kill()
        return True

    def expel(self, holder: str) -> int:
        """End what a holder that is gone had; how many there were."""
        found = [m.id for m in self._members.values() if m.holder == holder]
        for id in found:
            self.end(id)
        return len(found)

    def expel_all(self, prefix: str, *, but: str = "") -> int:
        """End what holders of that beginning have, one of them excepted."""
        holders = {m.holder for m in self._members.values() if m.holder.startswith(prefix)}
        return sum(self.expel(holder) for holder in holders if holder != but)

    def warm(self, count: int | None = None) -> None:
        """Have so many (by default those of the terms) ready on the pool's node, soon."""
        wanted = self._terms.warm if count is None else count
        ready = sum(member.node == self._home for member in self._idle) + len(self._warming)
        self._warm_up(wanted - ready)

    def _replenish(self) -> None:
        """Make new ones for those kept warm that have ended."""
        there = sum(member.node == self._home for member in self._members.values())
        self._warm_up(self._terms.warm - there - len(self._warming))

    def _warm_up(self, count: int) -> None:
        for _ in range(count):
            task = asyncio.create_task(self._warm_one())
            self._warming.add(task)
            task.add_done_callback(self._warming.discard)

    async def warmed(self) -> None:
        """Return when those that `warm` began are there."""
        if self._warming:
            await asyncio.wait(set(self._warming))

    async def close(self) -> None:
        """End all of them."""
        self._is_closed = True
        for task in (self._tending, *self._warming, *self._resets.values()):
            if task is not None:
                task.cancel()
        for id in tuple(self._members):
            self.end(id)
        for waiter in self._waiting:
            waiter.member.cancel()

    # -- who gets which ---------------------------------------------------------------------------

    def _take(self, wish: Wish) -> Member[P] | None:
        """The one that was used last, so that the others may age; one of its principal first."""
        found = [m for m in self._idle if m.suits(wish) and not self._is_used_up(m)]
        if not found:
            return None
        best = max(found, key=lambda m: (m.principal is not None, m.idle_since))
        self._idle.remove(best)
        return best

    async def _next(self, wish: Wish) -> Member[P] | None:
        """One that is put back, or a new one where its turn to start comes first; None: neither."""
        waiter: _Waiter[P] = _Waiter(wish, is_promised=self._is_coming(wish))
        self._waiting.append(waiter)
        door = self._door(wish.node)
        turn = None if waiter.is_promised else asyncio.ensure_future(door.acquire())
        try:
            either: set[asyncio.Future[Any]] = {waiter.member} | ({turn} if turn else set())
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if waiter.member.done():
                return waiter.member.result()
            self._waiting.remove(waiter)
            return await self._born(wish.node)
        except asyncio.CancelledError:
            if waiter.member.done() and not waiter.member.cancelled():
                member = waiter.member.result()
                if member is not None:
                    self._settle(member)
            raise
        finally:
            if waiter in self._waiting:
                self._waiting.remove(waiter)
            if turn is not None and not turn.cancel():
                door.release()

    def _is_coming(self, wish: Wish) -> bool:
        """Whether more are being put back than others wait for."""
        coming = sum(self._members[id].suits(wish) for id in self._resets if id in self._members)
        return coming > sum(w.wish.node == wish.node for w in self._waiting)

    async def _born(self, node: str) -> Member[P]:
        process = await self._make(node)
        member = Member(next(self._ids), node, process, self._clock.monotonic())
        self._members[member.id] = member
        member.watch = asyncio.create_task(self._watch(member))
        return member

    def _door(self, node: str) -> asyncio.Semaphore:
        """What few go through at once on each node, so that none waits for another's starts."""
        most = self._terms.starts_at_once or 2 * (os.cpu_count() or 1)
        return self._doors.setdefault(node, asyncio.Semaphore(most))

    async def _warm_one(self) -> None:
        with suppress(Exception):  # who needs one is told when it asks
            async with self._door(self._home):
                member = await self._born(self._home)
            try:
                await member.process.prepare()
            except BaseException:
                self._drop(member.id)  # and make no other, which would fail as well
                raise
            self._settle(member)

    # -- what becomes of one ----------------------------------------------------------------------

    async def _put_back(self, member: Member[P]) -> None:
        try:
            is_clean = await member.process.reset()
        except Exception:  # noqa: BLE001 - whatever it was: it is not used again
            is_clean = False
        finally:
            self._resets.pop(member.id, None)
        if is_clean and member.id in self._members:
            self._settle(member)
            return
        self.end(member.id)
        self._disappoint(member)

    def _settle(self, member: Member[P]) -> None:
        """It is ready: for who waits for it, else for later."""
        for waiter in self._waiting:
            if not waiter.member.done() and member.suits(waiter.wish):
                waiter.member.set_result(member)
                return
        if self._is_closed:
            self.end(member.id)
            return
        member.idle_since = self._clock.monotonic()
        self._idle.append(member)
        while len(self._idle) > self._idle_most:
            self.end(self._idle[0].id)
        if self._tending is None or self._tending.done():
            self._tending = asyncio.create_task(self._tend())

    def _disappoint(self, member: Member[P]) -> None:
        """Somebody who waited for this one has to have another made."""
        for waiter in self._waiting:
            if waiter.is_promised and not waiter.member.done() and member.suits(waiter.wish):
                waiter.member.set_result(None)
                return

    def _is_used_up(self, member: Member[P]) -> bool:
        age_s = self._clock.monotonic() - member.born
        return member.tenancies >= self._terms.agents_max or age_s >= self._terms.age_max_s

    def _has_plenty(self, member: Member[P]) -> bool:
        """Whether as many like it are ready, or soon, as may: it would be put back to be ended."""
        wish = Wish(node=member.node, principal=member.principal or "", holder="")
        coming = [self._members[id] for id in self._resets if id in self._members]
        alike = sum(other.suits(wish) for other in (*self._idle, *coming))
        wanted = sum(member.suits(waiter.wish) for waiter in self._waiting)
        return alike >= self._idle_most + wanted

    @property
    def _idle_most(self) -> int:
        return max(self._terms.idle_max, self._terms.warm)

    async def _watch(self, member: Member[P]) -> None:
        """Forget one that died."""
        await member.process.gone()
        self.end(member.id)

    async def _tend(self) -> None:
        """End those that nobody asked for in time, but for those that are to be kept warm."""
        while self._idle:
            due = self._idle[0].idle_since + self._terms.idle_s
            await self._clock.sleep(max(due - self._clock.monotonic(), 0.0) + 0.01)
            now = self._clock.monotonic()
            late = [m for m in self._idle if m.idle_since + self._terms.idle_s <= now]
            spare = max(len(self._idle) - self._terms.warm, 0)
            for member in late[:spare]:
                self.end(member.id)
            for member in late[spare:]:
                member.idle_since = now
            self._idle.sort(key=lambda m: m.idle_since)
