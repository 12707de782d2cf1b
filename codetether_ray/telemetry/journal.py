"""A journal that tells of each record when it is on disk, and how long that took."""

import logging
from collections.abc import Callable, Sequence

from codetether_ray.core.events import Record
from codetether_ray.ports.clock import Clock
from codetether_ray.ports.journal import Journal
from codetether_ray.ports.metrics import Observe

_LOG = logging.getLogger(__name__)


class ObservedJournal:
    """Wraps a run's journal. Who observes cannot hold it up or make it fail."""

    def __init__(
        self,
        journal: Journal,
        observe: Observe,
        clock: Clock,
        took: Callable[[float, int], None] | None = None,
    ) -> None:
        """`took` is given seconds and the number of records of each append."""
        self._journal = journal
        self._observe = observe
        self._clock = clock
        self._took = took

    async def append(self, records: Sequence[Record]) -> tuple[Record, ...]:
        """See the port."""
        began = self._clock.monotonic()
        kept = await self._journal.append(records)
        if self._took is not None and kept:
            self._took(self._clock.monotonic() - began, len(kept))
        self._tell(kept)
        return kept

    async def read(self, agent: str | None = None) -> tuple[Record, ...]:
        """See the port."""
        return await self._journal.read(agent)

    async def close(self) -> None:
        """See the port."""
        await self._journal.close()

    def _tell(self, kept: Sequence[Record]) -> None:
        for record in kept:
            try:
                self._observe(record)
            except Exception:  # noqa: BLE001 - the run does not depend on being watched
                _LOG.exception("monitoring could not take record %d", record.seq)
