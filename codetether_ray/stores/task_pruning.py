"""Tasks that ended long ago go, a few at a time, so that nobody waits for it."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from codetether_ray.core.errors import TaskStoreError
from codetether_ray.ports.clock import Clock

_DAY_S = 86_400.0
_EVERY_S = 3_600.0
_STEP = 200
"""Tasks that one transaction removes."""
_PAUSE_S = 0.2

Prune = Callable[[float, int], Awaitable[int]]
"""Removes up to so many tasks that ended before a time (seconds since the epoch); how many."""

_log = logging.getLogger(__name__)


class Pruning:
    """Prunes once an hour, from now on until `close`."""

    def __init__(self, prune: Prune, keep_days: float, clock: Clock) -> None:
        """Begin, in the running event loop."""
        self._prune = prune
        self._keep_s = keep_days * _DAY_S
        self._clock = clock
        self._work = asyncio.create_task(self._run(), name="pruning tasks")

    async def close(self) -> None:
        """Stop, between two steps."""
        self._work.cancel()
        await asyncio.gather(self._work, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            try:
                gone = await self._prune(self._clock.now() - self._keep_s, _STEP)
            except TaskStoreError as error:
                _log.warning("tasks that ended are not pruned now: %s", error)
                gone = 0
            await self._clock.sleep(_PAUSE_S if gone >= _STEP else _EVERY_S)
