"""The budget of a run inside one process: also the state that the Ray ledger holds."""

import asyncio
import itertools

from codetether_ray.core.errors import BudgetSpentError
from codetether_ray.core.usage import Budget, Spend
from codetether_ray.ports.clock import Clock
from codetether_ray.ports.ledger import Reservation


class LocalLedger:
    """Settled spends and open reservations together never exceed the budget.

    A reservation that would fit if the open ones came to nothing waits for them to be settled;
    one that cannot fit any more is refused at once. Who holds a reservation is in a model call
    and needs no other, so waiting ends. Wall time runs from the ledger's making.
    """

    def __init__(self, budget: Budget, clock: Clock) -> None:
        self._budget = budget
        self._clock = clock
        self._started = clock.monotonic()
        self._settled = Spend()
        self._reserved = Spend()
        self._open: dict[str, Spend] = {}
        self._owners: dict[str, str] = {}
        self._names = itertools.count(1)
        self._waiting: list[asyncio.Future[None]] = []

    def restore(self, spent: Spend) -> None:
        """Take over what the run had spent before (read from its journal)."""
        self._settled = spent

    async def reserve(self, amount: Spend, owner: str = "") -> Reservation:
        """Set `amount` aside, waiting for open reservations where that can help.

        `owner` is who may die without settling (see `release`).

        Raises:
            BudgetSpentError: it does not fit what is left (`spent` is what has been settled), or
                the wall time is over.
        """
        while not self._fits(amount):
            await self._change()
        reservation = Reservation(id=str(next(self._names)), amount=amount)
        self._open[reservation.id] = amount
        self._owners[reservation.id] = owner
        self._reserved += amount
        return reservation

    async def settle(self, reservation: Reservation, actual: Spend) -> None:
        """Replace a reservation by what was spent. Settling it again changes nothing."""
        amount = self._open.pop(reservation.id, None)
        if amount is None:
            return
        del self._owners[reservation.id]
        self._reserved -= amount
        self._settled += actual
        for waiter in self._waiting:
            if not waiter.done():
                waiter.set_result(None)
        self._waiting.clear()

    async def release(self, owner: str) -> None:
        """Give back what a dead agent had set aside; what its last call cost nobody can tell."""
        for id in [id for id, name in self._owners.items() if name == owner]:
            await self.settle(Reservation(id=id, amount=self._open[id]), Spend())

    async def spent(self) -> Spend:
        """All settled spends."""
        return self._settled

    async def limits(self) -> Budget:
        """What may be spent."""
        return self._budget

    def _fits(self, amount: Spend) -> bool:
        """Whether `amount` can be set aside now; raises where it never will."""
        budget, settled = self._budget, self._settled
        elapsed = self._clock.monotonic() - self._started
        if budget.wall_s is not None and elapsed >= budget.wall_s:
            raise BudgetSpentError("seconds", budget.wall_s, elapsed)
        if budget.tokens is not None and settled.tokens + amount.tokens > budget.tokens:
            raise BudgetSpentError("tokens", budget.tokens, settled.tokens)
        if budget.usd is not None and settled.usd + amount.usd > budget.usd:
            raise BudgetSpentError("US dollars", budget.usd, settled.usd)
        held = settled + self._reserved + amount
        return (budget.tokens is None or held.tokens <= budget.tokens) and (
            budget.usd is None or held.usd <= budget.usd or not self._open
        )

    async def _change(self) -> None:
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        try:
            await waiter
        finally:
            if waiter in self._waiting:
                self._waiting.remove(waiter)
