"""Where OKRs and their runs are kept."""

from collections.abc import Callable
from typing import Protocol

from codetether_ray.core.measures import KrReading
from codetether_ray.core.okrs import Okr, OkrRun

Change = Callable[[Okr, OkrRun, tuple[KrReading, ...]], tuple[Okr, OkrRun]]
"""From what is stored (all readings of the run, the new ones among them) to what shall be.

What it raises leaves everything as it was.
"""


class OkrStore(Protocol):
    """Keeps OKRs; each call is one transaction, on disk when it returns. Its methods block."""

    def add(self, okr: Okr, run: OkrRun | None = None) -> None:
        """Store a new OKR, and a run of it, together."""
        ...

    def add_run(self, run: OkrRun) -> None:
        """Store a new run of an OKR that is there.

        Raises:
            UnknownOkrError: there is no such OKR.
        """
        ...

    def okr(self, okr_id: str) -> Okr:
        """The OKR of that id.

        Raises:
            UnknownOkrError: there is none.
        """
        ...

    def okrs(self) -> tuple[Okr, ...]:
        """All, oldest first."""
        ...

    def run(self, run_id: str) -> OkrRun:
        """The run of that id.

        Raises:
            UnknownOkrError: there is none.
        """
        ...

    def runs(self) -> tuple[OkrRun, ...]:
        """All, oldest first."""
        ...

    def change(
        self, run_id: str, change: Change, readings: tuple[KrReading, ...] = ()
    ) -> tuple[Okr, OkrRun]:
        """Change a run and its OKR, and keep readings of it; nobody changes them meanwhile.

        Versions grow by one where a value became another. A reading of the same key result and
        turn is kept once.

        Raises:
            UnknownOkrError: there is no such run.
        """
        ...

    def change_okr(self, okr_id: str, change: Callable[[Okr], Okr]) -> Okr:
        """Change an OKR; nobody changes it meanwhile.

        Raises:
            UnknownOkrError: there is none.
        """
        ...

    def readings(self, run_id: str) -> tuple[KrReading, ...]:
        """What was measured in a run, by turn, then as it was stored."""
        ...

    def close(self) -> None:
        """Let go of the store."""
        ...
