"""The store of tasks inside one process: SQLite behind a thread that writes."""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar, cast

from codetether_ray.core.errors import TaskStoreError
from codetether_ray.local.clock import SystemClock
from codetether_ray.ports.clock import Clock
from codetether_ray.ports.tasks import KEEP_DAYS, PushRecord, TaskPage, TaskQuery, TaskRecord
from codetether_ray.stores.task_pruning import Pruning
from codetether_ray.stores.task_rules import to_row
from codetether_ray.stores.task_writer import Outcomes, Saves, TaskWriter
from codetether_ray.stores.tasks import FILE, SqliteTasks

T = TypeVar("T")


class LocalTasks:
    """The store port on one file; also what the store actor holds. One event loop's."""

    def __init__(
        self, store: SqliteTasks, keep_days: float = KEEP_DAYS, clock: Clock | None = None
    ) -> None:
        """Use an open store, which is closed with this one; tasks that end are kept so long."""
        self._store = store
        self._loop = asyncio.get_running_loop()
        self._writer: TaskWriter | None = TaskWriter(store.commit, self._deliver, store.tidy)
        self._pruning = Pruning(self.prune, keep_days, clock or SystemClock())

    async def save(self, records: Sequence[TaskRecord]) -> tuple[str, ...]:
        """See `TaskStore.save`."""
        return await self.save_rows([to_row(record) for record in records])

    async def save_rows(self, rows: Saves) -> tuple[str, ...]:
        """`save` in plain values."""
        if not rows:
            return ()
        refused: tuple[str, ...] = await self._put(rows)
        return refused

    async def get(self, task_id: str, owner: str | None) -> TaskRecord | None:
        """See `TaskStore.get`. Read at once: some microseconds, where a thread costs a hundred."""
        self._demand_open()
        return self._store.get(task_id, owner)

    async def list(self, query: TaskQuery) -> TaskPage:
        """See `TaskStore.list`."""
        self._demand_open()
        return await asyncio.to_thread(self._store.list, query)

    async def renew(self, holder: str, task_ids: Sequence[str], until: float) -> tuple[str, ...]:
        """See `TaskStore.renew`."""
        if not task_ids:
            return ()
        return await self._do(lambda: self._store.renew(holder, task_ids, until))

    async def adopt(
        self, holder: str, now: float, until: float, limit: int
    ) -> tuple[TaskRecord, ...]:
        """See `TaskStore.adopt`."""
        return await self._do(lambda: self._store.adopt(holder, now, until, limit))

    async def save_push(self, record: PushRecord) -> None:
        """See `TaskStore.save_push`."""
        await self._do(lambda: self._store.save_push(record))

    async def pushes(self, task_id: str, owner: str | None) -> tuple[PushRecord, ...]:
        """See `TaskStore.pushes`."""
        self._demand_open()
        return self._store.pushes(task_id, owner)

    async def delete_push(self, task_id: str, push_id: str, owner: str) -> bool:
        """See `TaskStore.delete_push`."""
        return await self._do(lambda: self._store.delete_push(task_id, push_id, owner))

    async def prune(self, before: float, limit: int) -> int:
        """Remove up to `limit` tasks that ended before a time; how many."""
        return await self._do(lambda: self._store.prune(before, limit))

    async def close(self) -> None:
        """See `TaskStore.close`: what was asked for before is done."""
        writer, self._writer = self._writer, None
        if writer is None:
            return
        await self._pruning.close()
        await asyncio.to_thread(writer.close)
        await asyncio.sleep(0)  # its last answers
        await asyncio.to_thread(self._store.close)

    async def _do(self, call: Callable[[], T]) -> T:
        return cast("T", await self._put(call))

    def _put(self, work: Any) -> "asyncio.Future[Any]":
        writer = self._demand_open()
        answer: asyncio.Future[Any] = self._loop.create_future()
        writer.put(answer, work)
        return answer

    def _demand_open(self) -> TaskWriter:
        if self._writer is None:
            raise TaskStoreError("the store of tasks is closed")
        return self._writer

    def _deliver(self, outcomes: Outcomes) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed, and nobody waits
            self._loop.call_soon_threadsafe(_settle, outcomes)


def _settle(outcomes: Outcomes) -> None:
    for answer, given in outcomes:
        if answer.done():
            continue
        if isinstance(given, Exception):
            answer.set_exception(given)
        else:
            answer.set_result(given)


async def open_local_tasks(
    data_dir: Path, keep_days: float = KEEP_DAYS, clock: Clock | None = None
) -> LocalTasks:
    """The store in `tasks.db` of a data directory, which no other process may use meanwhile.

    Raises:
        TaskStoreError: it cannot be opened, is in use, or a newer version wrote it.
    """
    store = await asyncio.to_thread(SqliteTasks, data_dir / FILE)
    return LocalTasks(store, keep_days, clock)
