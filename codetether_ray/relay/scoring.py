"""What a relay needs of whoever measures its key results."""

from typing import Protocol

from codetether_ray.core.events import KrMeasured


class Scoring(Protocol):
    """Measures, and keeps what was measured where the objective is kept."""

    async def measure(self, turn: int, commit: str) -> KrMeasured:
        """Measure every key result at a commit, after `turn` turns (0: the baseline)."""
        ...

    async def keep(self, measured: KrMeasured) -> None:
        """Store a measurement that is in the journal; again is as once."""
        ...

    async def is_cancelled(self) -> bool:
        """Whether somebody has cancelled the work meanwhile."""
        ...
