"""Follows a task that is worked on elsewhere, or that waits: every change is told, once.

It listens first, asks the holder to show the task, and reads the store; what it is told then is
the difference to what it knows. Events of versions that it knows are dropped; where one is missing
it asks and reads again. From time to time it reads without being asked, so that a channel that
fails costs time and nothing else.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Any

from a2a.types import StreamResponse, Task, TaskNotFoundError

from codetether_ray.a2a.differences import difference
from codetether_ray.a2a.draft import Draft
from codetether_ray.a2a.means import Means, Watch, update_of
from codetether_ray.a2a.states import RESTING, TERMINAL
from codetether_ray.a2a.work import Told
from codetether_ray.ports.clock import Clock
from codetether_ray.ports.task_channel import Lost, TaskEvent
from codetether_ray.ports.tasks import TaskRecord


class Known:
    """A task as somebody was told it."""

    def __init__(self, record: TaskRecord, means: Means) -> None:
        self._means = means
        self.version = record.version
        self._draft = self._of(Task.FromString(record.payload))

    @property
    def task(self) -> Task:
        """As it is known."""
        return self._draft.task

    def see(self, version: int, task: Task) -> tuple[Told, ...]:
        """What to tell of a task that was read."""
        if version <= self.version:
            return ()
        told = difference(self._draft.task, task)
        self.version = version
        self._draft = self._of(task)
        return told

    def hear(self, event: TaskEvent) -> tuple[Told, ...] | None:
        """What to tell of an event; None where one before it is missing."""
        if event.version <= self.version:
            return ()
        update = update_of(StreamResponse.FromString(event.payload))
        if isinstance(update, Task):
            return self.see(event.version, update)
        if event.version != self.version + 1:
            return None
        self._draft.take(update)
        self.version = event.version
        return (update,)

    def _of(self, task: Task) -> Draft:
        return Draft(task, self._means.limits, self._means.clock.now)


async def watch(
    task_id: str, owner: str, means: Means, *, is_patient: bool = False
) -> AsyncGenerator[Told]:
    """The task as it is now, then its updates up to its rest.

    The patient follow on a task that waits when this begins, until it has ended or waits again.

    Raises:
        TaskNotFoundError: there is none, or it is another owner's.
    """
    async with means.listen(task_id) as (events, watched):
        await means.signal(task_id, "show")
        record = await _read(watched, owner, means)
        known = Known(record, means)
        begun_at = known.version
        first = Task()
        first.CopyFrom(known.task)
        yield first
        if first.status.state in (TERMINAL if is_patient else RESTING):
            return
        async with aclosing(_paced(events, means.clock, means.timing.lease / 3)) as paced:
            async for event in paced:
                told = known.hear(event) if isinstance(event, TaskEvent) else None
                if told is None:
                    if event is not None:
                        await means.signal(task_id, "show")
                    record = await _read(watched, owner, means)
                    told = known.see(record.version, Task.FromString(record.payload))
                for update in told:
                    yield update
                if known.version > begun_at and known.task.status.state in RESTING:
                    return


async def _read(watched: Watch, owner: str, means: Means) -> TaskRecord:
    record = await means.store.get(watched.task_id, owner)
    if record is None:
        raise TaskNotFoundError(f"there is no task {watched.task_id}")
    watched.holder = record.holder if record.order else ""
    return record


async def _paced(
    events: AsyncIterator[TaskEvent | Lost], clock: Clock, pause: float
) -> AsyncGenerator[TaskEvent | Lost | None]:
    """Events, and None whenever a pause has gone by."""
    coming: asyncio.Future[TaskEvent | Lost] = asyncio.ensure_future(anext(events))
    timer = asyncio.ensure_future(clock.sleep(pause))
    try:
        while True:
            waited: set[asyncio.Future[Any]] = {coming, timer}
            await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
            if coming.done():
                if coming.exception() is not None:  # no channel any more: the timer alone
                    coming = asyncio.get_running_loop().create_future()
                    continue
                yield coming.result()
                coming = asyncio.ensure_future(anext(events))
            if timer.done():
                timer = asyncio.ensure_future(clock.sleep(pause))
                yield None
    finally:
        coming.cancel()
        timer.cancel()
        await asyncio.gather(coming, timer, return_exceptions=True)
