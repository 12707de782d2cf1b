"""A run's budget as its agents' processes see it: the state is the run's supervisor's."""

from codetether_ray.actors.caller import Caller
from codetether_ray.core.usage import Budget, Spend
from codetether_ray.ports.ledger import Reservation


class RayLedger:
    """The ledger port on a supervisor."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    async def reserve(self, amount: Spend, owner: str = "") -> Reservation:
        """Set `amount` aside for `owner`.

        Raises:
            BudgetSpentError: it does not fit what is left, or the wall time is over.
        """
        made: Reservation = await self._caller.ask("reserve", amount, owner)
        return made

    async def settle(self, reservation: Reservation, actual: Spend) -> None:
        """Replace a reservation by what was spent."""
        await self._caller.ask("settle", reservation, actual)

    async def release(self, owner: str) -> None:
        """Give back what a dead agent had set aside."""
        await self._caller.ask("release", owner)

    async def spent(self) -> Spend:
        """All settled spends."""
        spent: Spend = await self._caller.ask("spent")
        return spent

    async def limits(self) -> Budget:
        """What may be spent."""
        limits: Budget = await self._caller.ask("limits")
        return limits
