"""A run's budget as its agents' processes see it: the state is the run's supervisor's."""

import asyncio
import itertools
from typing import Any

from codetether_ray.actors.caller import Caller
from codetether_ray.core.usage import Budget, Spend
from codetether_ray.ports.ledger import Reservation


class RayLedger:
    """The ledger port on a supervisor.

    Where the budget, which a run keeps for its life, has no limit that a call could meet, nothing
    is reserved. What was spent is told with what is journaled next.
    """

    def __init__(self, caller: Caller, budget: Budget | None = None) -> None:
        """`budget`: the run's, where it is known."""
        self._caller = caller
        self._budget = budget
        self._names = itertools.count(1)
        self._free: set[str] = set()
        self._told: set[asyncio.Future[Any]] = set()

    async def reserve(self, amount: Spend, owner: str = "") -> Reservation:
        """Set `amount` aside for `owner`.

        Raises:
            BudgetSpentError: it does not fit what is left, or the wall time is over.
        """
        if self._budget is not None and _is_free(self._budget):
            reservation = Reservation(id=f"free {next(self._names)}", amount=amount)
            self._free.add(reservation.id)
            return reservation
        made: Reservation = await self._caller.ask("reserve", amount, owner)
        return made

    async def settle(self, reservation: Reservation, actual: Spend) -> None:
        """Replace a reservation by what was spent; it is told soon, see `rest`."""
        if not reservation.id.startswith("free "):
            self._tell("settle", reservation, actual)
        elif reservation.id in self._free:
            self._free.discard(reservation.id)
            self._tell("spend", actual)

    async def release(self, owner: str) -> None:
        """Give back what a dead agent had set aside."""
        await self.rest()
        await self._caller.ask("release", owner)

    async def spent(self) -> Spend:
        """All settled spends."""
        await self.rest()
        spent: Spend = await self._caller.ask("spent")
        return spent

    async def limits(self) -> Budget:
        """What may be spent."""
        if self._budget is None:
            self._budget = await self._caller.ask("limits")
        return self._budget

    async def rest(self) -> None:
        """Wait until all that was settled is known to the supervisor, or cannot be told it."""
        if self._told:
            self._caller.hurry()
            await asyncio.wait(self._told)

    def _tell(self, verb: str, *arguments: Any) -> None:
        answer = self._caller.tell(verb, *arguments)
        self._told.add(answer)
        answer.add_done_callback(self._arrived)

    def _arrived(self, answer: "asyncio.Future[Any]") -> None:
        """It cannot fail alone: what is asked or journaled next fails as well, and says why."""
        self._told.discard(answer)
        if not answer.cancelled():
            answer.exception()


def _is_free(budget: Budget) -> bool:
    """Whether no call of a model can be one too many."""
    return budget.tokens is None and budget.usd is None and budget.wall_s is None
