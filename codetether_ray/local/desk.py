"""The state of the scheduler that all runs of a cluster share, and what is said to it.

Who asks for permits is a guest with a lease: it says what it holds and whom it has waiting, and is
told what is granted. One that falls silent has gone, and what it held is given back.
"""

import asyncio
import secrets
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from codetether_ray.core.errors import CodetetherError
from codetether_ray.local.queue import kind_of
from codetether_ray.local.scheduler import Scheduler
from codetether_ray.ports.admission import Need, Party, Rank
from codetether_ray.ports.clock import Clock
from codetether_ray.ports.host import Capacity

LEASE_S = 15.0
_FRESH_S = 0.5  # how long a look at the nodes is believed
_ROUND_S = 1.0
_DEMAND = 1_000  # how many of those who live or wait an autoscaler is told of


@dataclass(frozen=True, slots=True)
class Asked:
    """One waits."""

    ticket: str
    need: Need
    rank: Rank
    priority: int


@dataclass(frozen=True, slots=True)
class Held:
    """A permit is held, whether it was granted or not."""

    ticket: str
    need: Need
    node: str


@dataclass(frozen=True, slots=True)
class Released:
    """A permit is given back, or waited for no more."""

    ticket: str


Order = Asked | Held | Released


@dataclass(frozen=True, slots=True)
class Hello:
    """Who a guest is, and all that it holds and waits for."""

    party: Party
    orders: tuple[Order, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class News:
    """What became of a ticket: granted (`node`), refused (`error`), or it waits (`reason`)."""

    number: int
    ticket: str
    node: str | None = None
    largest_bytes: int = 0
    reason: str = ""
    error: CodetetherError | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What is new to a guest. An empty `epoch`: it is not known, and has to say all again."""

    epoch: str
    news: tuple[News, ...] = ()


@dataclass(slots=True, eq=False)
class _Guest:
    """News are kept until the guest has said that it has seen them."""

    run_id: str
    heard_at: float
    epoch: str = field(default_factory=lambda: secrets.token_hex(4))
    count: int = 0
    news: deque[News] = field(default_factory=deque)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def forget(self, seen: int) -> None:
        while self.news and self.news[0].number <= seen:
            self.news.popleft()
        if not self.news:
            self.changed.clear()

    def tell(
        self,
        ticket: str,
        *,
        node: str | None = None,
        largest_bytes: int = 0,
        reason: str = "",
        error: CodetetherError | None = None,
    ) -> None:
        self.count += 1
        self.news.append(
            News(
                number=self.count,
                ticket=ticket,
                node=node,
                largest_bytes=largest_bytes,
                reason=reason,
                error=error,
            )
        )
        self.changed.set()


class SchedulingDesk:
    """Keeps true: an order that comes twice counts once; news reach a guest however often a call
    fails; one run has one guest, the latest."""

    def __init__(
        self,
        look: Callable[[], Awaitable[Capacity]],
        clock: Clock,
        *,
        lease_s: float = LEASE_S,
        settle_s: float = 0.0,
        demand: Callable[[Sequence[Need]], Awaitable[None]] | None = None,
        rest: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """`settle_s`: nothing is granted so long, so that all can say first what they hold.

        `demand` is told what those need who live or wait, once a second, and at last of nobody.
        `rest` is called when the last guest has gone.
        """
        self._look = look
        self._clock = clock
        self._lease_s = lease_s
        self._settled_at = clock.monotonic() + settle_s
        self._demand = demand
        self._rest = rest
        self._scheduler = Scheduler()
        self._guests: dict[str, _Guest] = {}
        self._leases: dict[str, str] = {}
        self._seen_at: float | None = None
        self._looking: asyncio.Task[None] | None = None
        self._rounds: asyncio.Task[None] | None = None

    @property
    def live(self) -> int:
        """How many permits are held."""
        return self._scheduler.live

    @property
    def waiting(self) -> int:
        """How many wait."""
        return self._scheduler.waiting

    async def exchange(
        self, lease: str, hello: Hello | None, orders: tuple[Order, ...], seen: int, wait_s: float
    ) -> Answer:
        """Take a guest's orders; what is new to it, as soon as there is something.

        Raises:
            CodetetherError: nothing is known of the nodes yet.
        """
        if hello is not None:
            orders = (*hello.orders, *orders)
        if any(isinstance(order, Asked) for order in orders):
            await self._refresh()
        if hello is not None:
            self._welcome(lease, hello.party)
        guest = self._guests.get(lease)
        if guest is None:
            return Answer("")
        guest.heard_at = self._clock.monotonic()
        guest.forget(seen)
        if orders:
            self._take(guest, orders)
        if not guest.news and wait_s > 0:
            await self._wait(guest, wait_s)
        return Answer(guest.epoch, tuple(guest.news))

    async def leave(self, lease: str) -> None:
        """A guest goes; what it held is given back."""
        guest = self._guests.pop(lease, None)
        if guest is None:
            return
        if self._leases.get(guest.run_id) == lease:
            del self._leases[guest.run_id]
            self._scheduler.leave(guest.run_id)
            self._decide()

    async def close(self) -> None:
        """Look no more."""
        if self._rounds is not None:
            self._rounds.cancel()
            self._rounds = None

    # -- guests -----------------------------------------------------------------------------------

    def _welcome(self, lease: str, party: Party) -> None:
        if lease in self._guests:
            return
        earlier = self._leases.pop(party.run_id, None)
        if earlier is not None:  # the run's supervisor was started anew
            self._guests.pop(earlier, None)
            self._scheduler.leave(party.run_id)
        self._scheduler.join(party)
        self._leases[party.run_id] = lease
        self._guests[lease] = _Guest(party.run_id, self._clock.monotonic())
        if self._rounds is None:
            self._rounds = asyncio.create_task(self._go_round())

    async def _wait(self, guest: _Guest, wait_s: float) -> None:
        news = asyncio.ensure_future(guest.changed.wait())
        late = asyncio.ensure_future(self._clock.sleep(wait_s))
        try:
            await asyncio.wait({news, late}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            news.cancel()
            late.cancel()

    def _take(self, guest: _Guest, orders: tuple[Order, ...]) -> None:
        fresh: list[Asked] = []
        for order in orders:
            if isinstance(order, Released):
                self._scheduler.release(guest.run_id, order.ticket)
            elif isinstance(order, Held):
                self._scheduler.hold(guest.run_id, order.ticket, order.need, order.node)
            elif (why := self._scheduler.refusal(guest.run_id, order.need)) is not None:
                guest.tell(order.ticket, error=why)
            else:
                known = self._scheduler.ask(guest.run_id, order.ticket, order.need, *_how(order))
                fresh += [order] if known else []
        self._decide()
        self._tell_reasons(guest, fresh)

    def _tell_reasons(self, guest: _Guest, fresh: list[Asked]) -> None:
        """Who was not admitted at once is told why; those of like needs, the same."""
        reasons: dict[object, str] = {}
        for order in fresh:
            if not self._scheduler.is_waiting(guest.run_id, order.ticket):
                continue
            alike = kind_of(order.need)
            if alike not in reasons:
                reasons[alike] = self._scheduler.reason(guest.run_id, order.need)
            guest.tell(order.ticket, reason=reasons[alike])

    def _decide(self) -> None:
        if self._clock.monotonic() < self._settled_at:
            return
        for grant in self._scheduler.decide():
            guest = self._guests[self._leases[grant.run_id]]
            guest.tell(grant.ticket, node=grant.node, largest_bytes=grant.largest_bytes)

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
        for run_id, ticket, why in self._scheduler.lost():
            self._scheduler.release(run_id, ticket)
            self._guests[self._leases[run_id]].tell(ticket, error=why)

    async def _go_round(self) -> None:
        """Once a second while there are guests: look, let go of the silent, grant."""
        while self._guests:
            await self._clock.sleep(_ROUND_S)
            for lease, guest in tuple(self._guests.items()):
                if self._clock.monotonic() - guest.heard_at > self._lease_s:
                    await self.leave(lease)
            with suppress(CodetetherError):  # the next round may do better
                await self._look_around()
        self._rounds = None
        if self._rest is not None:
            with suppress(CodetetherError):
                await self._rest()

    async def _look_around(self) -> None:
        if self._demand is not None:
            await self._demand(self._scheduler.demand(_DEMAND))
        if self._scheduler.live or self._scheduler.waiting:
            await self._look_now()
            self._decide()


def _how(order: Asked) -> tuple[Rank, int]:
    return order.rank, order.priority
