"""The durable event log of one run."""

from collections.abc import Sequence
from typing import Protocol

from codetether_ray.core.events import Record


class Journal(Protocol):
    """Appends records of one run and reads them back.

    One writer per run. Records get dense `seq`; those of one agent dense `agent_seq`.
    """

    async def append(self, records: Sequence[Record]) -> tuple[Record, ...]:
        """Return the numbered records once they are durable (flushed to disk).

        Order within a call, and between awaited calls, is kept.

        Raises:
            JournalError: nothing of this call is promised.
        """
        ...

    async def read(self, agent: str | None = None) -> tuple[Record, ...]:
        """All durable records, or those of one agent, in order of `seq`."""
        ...

    async def close(self) -> None:
        """Flush and let go of the run."""
        ...
