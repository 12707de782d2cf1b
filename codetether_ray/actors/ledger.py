"""A run's budget as its agents' processes see it: the state is the run's supervisor's."""

from typing import Any

from codetether_ray.actors.calls import ask
from codetether_ray.core.usage import Budget, Spend
from codetether_ray.ports.ledger import Reservation

_SUPERVISOR = "the run's supervisor"


class RayLedger:
    """The ledger port on a supervisor."""

    def __init__(self, supervisor: Any) -> None:
        self._supervisor = supervisor

    async def reserve(self, amount: Spend, owner: str = "") -> Reservation:
        """Set `amount` aside for `owner`.

        Raises:
            BudgetSpentError: it does not fit what is left, or the wall time is over.
        """
        made: Reservation = await ask(self._supervisor.reserve.remote(amount, owner), _SUPERVISOR)
        return made

    async def settle(self, reservation: Reservation, actual: Spend) -> None:
        """Replace a reservation by what was spent."""
        await ask(self._supervisor.settle.remote(reservation, actual), _SUPERVISOR)

    async def release(self, owner: str) -> None:
        """Give back what a dead agent had set aside."""
        await ask(self._supervisor.release.remote(owner), _SUPERVISOR)

    async def spent(self) -> Spend:
        """All settled spends."""
        spent: Spend = await ask(self._supervisor.spent.remote(), _SUPERVISOR)
        return spent

    async def limits(self) -> Budget:
        """What may be spent."""
        limits: Budget = await ask(self._supervisor.limits.remote(), _SUPERVISOR)
        return limits
