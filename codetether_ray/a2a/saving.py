"""Saves of tasks: many in one call, and of each task only the newest version.

While a save is under way, what changes meanwhile waits and goes with the next one.
"""

import asyncio
import logging

from codetether_ray.a2a.limits import Timing
from codetether_ray.a2a.work import Work
from codetether_ray.ports.clock import Clock
from codetether_ray.ports.tasks import TaskRecord, TaskStore

_log = logging.getLogger(__name__)


class Saver:
    """Saves the works of one holder; a work whose save is refused, or can't be done, is lost."""

    def __init__(self, store: TaskStore, clock: Clock, timing: Timing, holder: str) -> None:
        self._store = store
        self._clock = clock
        self._timing = timing
        self._holder = holder
        self._wanted: dict[Work, None] = {}
        self._troubled: dict[Work, asyncio.Task[None]] = {}
        """Works that could not be saved, and are tried again, each alone."""
        self._saving: asyncio.Task[None] | None = None

    def want(self, work: Work) -> None:
        """Save a work's newest version soon."""
        self._wanted[work] = None
        if self._saving is None:
            self._saving = asyncio.create_task(self._save())

    async def save(self, work: Work) -> bool:
        """Wait until the version that the work has now is on disk; False where it won't be."""
        if work.saved < work.version:
            self.want(work)
        return await work.until_saved(work.version)

    async def close(self) -> None:
        """Try nothing again, and wait a while for what is being saved."""
        troubled = list(self._troubled.values())
        for task in troubled:
            task.cancel()
        await asyncio.gather(*troubled, return_exceptions=True)
        if self._saving is not None:
            timer = asyncio.ensure_future(self._clock.sleep(self._timing.lease / 3))
            await asyncio.wait({self._saving, timer}, return_when=asyncio.FIRST_COMPLETED)
            timer.cancel()
            await asyncio.gather(timer, return_exceptions=True)

    async def _save(self) -> None:
        try:
            while self._wanted:
                works = [
                    work
                    for work in self._wanted
                    if work.saved < work.version and not work.is_lost and work not in self._troubled
                ]
                self._wanted.clear()
                if works:
                    await self._save_all(works)
        finally:
            self._saving = None

    async def _save_all(self, works: list[Work]) -> None:
        records = self._records(works)
        try:
            refused = await self._store.save(records)
        except Exception:  # noqa: BLE001  # whatever the store's trouble is, it is tried again
            _log.exception("%d tasks could not be saved; trying again", len(works))
            for work, record in zip(works, records, strict=True):
                self._troubled[work] = asyncio.create_task(self._save_again(work, record))
            return
        _mark(works, records, refused)

    async def _save_again(self, work: Work, record: TaskRecord) -> None:
        """Try alone, so that one that can't be kept does not stop the others."""
        try:
            await self._try_for_a_while(work, record)
        finally:
            self._troubled.pop(work, None)
        if work.saved < work.version and not work.is_lost:
            self.want(work)

    async def _try_for_a_while(self, work: Work, record: TaskRecord) -> None:
        tries = max(1, round(self._timing.lease / self._timing.retry))
        for _ in range(tries):
            await self._clock.sleep(self._timing.retry)
            if record.version != work.version:  # else the very same: it may be there already
                record = self._records([work])[0]
            try:
                refused = await self._store.save([record])
            except Exception as error:  # noqa: BLE001  # as above; the first one was logged whole
                _log.warning("task %s could not be saved: %s", work.id, error)
            else:
                _mark([work], [record], refused)
                return
        work.lose()

    def _records(self, works: list[Work]) -> list[TaskRecord]:
        now = self._clock.now()
        for work in works:
            work.is_announced = True
        return [work.record(self._holder, now, self._timing.lease) for work in works]


def _mark(works: list[Work], records: list[TaskRecord], refused: tuple[str, ...]) -> None:
    for work, record in zip(works, records, strict=True):
        if record.id in refused:
            work.lose()
        else:
            work.mark_saved(record.version, record.held_until)
