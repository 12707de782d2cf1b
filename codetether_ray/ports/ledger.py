"""The budget of a run, held across all its agents."""

from dataclasses import dataclass
from typing import Protocol

from codetether_ray.core.usage import Budget, Spend


@dataclass(frozen=True, slots=True, kw_only=True)
class Reservation:
    """A spend set aside for one call."""

    id: str
    amount: Spend


class Ledger(Protocol):
    """Reserves before each model call and settles after it."""

    async def reserve(self, amount: Spend, owner: str = "") -> Reservation:
        """Set `amount` aside for `owner` (an agent's path), who may die without settling.

        Raises:
            BudgetSpentError: it does not fit what is left, or the wall time is over.
        """
        ...

    async def settle(self, reservation: Reservation, actual: Spend) -> None:
        """Replace a reservation by what was spent (zero if the call failed unbilled)."""
        ...

    async def release(self, owner: str) -> None:
        """Give back what a dead agent had set aside; what its last call cost nobody can tell."""
        ...

    async def spent(self) -> Spend:
        """All settled spends."""
        ...

    async def limits(self) -> Budget:
        """What may be spent."""
        ...
