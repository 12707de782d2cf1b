"""Stops a task's agent, wherever it runs. Who asked waits a while; the attempt goes on without."""

import asyncio
from collections.abc import Coroutine
from contextlib import aclosing
from typing import Any

from a2a.types import InternalError, Task, TaskNotCancelableError, TaskNotFoundError, TaskState

from codetether_ray.a2a.agents import TaskAgents
from codetether_ray.a2a.holder import Holder
from codetether_ray.a2a.means import Means
from codetether_ray.a2a.states import NAMES, TERMINAL
from codetether_ray.a2a.watching import watch
from codetether_ray.core.errors import CodetetherError
from codetether_ray.ports.tasks import TaskRecord


class Cancelling:
    """The cancels that are under way at one replica: one for each task, whoever asks for it."""

    def __init__(self, means: Means, holder: Holder) -> None:
        self._means = means
        self._holder = holder
        self._going: dict[str, asyncio.Task[None]] = {}

    async def cancel(self, task_id: str, owner: str) -> Task:
        """The task as it is when it has ended, or when the wait is over: it may be working still.

        Raises:
            TaskNotFoundError: there is none, or it is another owner's.
            TaskNotCancelableError: it has ended otherwise.
            InternalError: its agent cannot be stopped.
        """
        _check_open(await self._task(task_id, owner))
        going = self._going.get(task_id)
        if going is None:
            going = self._going[task_id] = self._means.go(self._stop(task_id, owner))
            going.add_done_callback(lambda done: self._over(task_id, done))
        await _wait(self._means, asyncio.shield(going), self._means.timing.cancel)
        if going.done() and not going.cancelled():
            going.result()
        task = await self._task(task_id, owner)
        if task.status.state != TaskState.TASK_STATE_CANCELED:
            _check_open(task)
        return task

    def _over(self, task_id: str, done: asyncio.Task[None]) -> None:
        del self._going[task_id]
        if not done.cancelled():
            done.exception()  # told to who waits, if somebody does

    async def _stop(self, task_id: str, owner: str) -> None:
        """Have it stopped until it has ended: a holder that died has a successor a lease later."""
        means = self._means
        until = means.clock.monotonic() + means.timing.cancel + 2 * means.timing.lease
        while means.clock.monotonic() < until:
            record = await self._record(task_id, owner)
            task = Task.FromString(record.payload)
            if task.status.state in TERMINAL:
                return
            work = means.works.get(task_id)
            if work is not None:
                await _stop_here(means.agents, work.draft.snapshot())
                await _wait(means, work.until_over(), means.timing.lease / 3)
            elif record.holder and record.held_until > means.clock.now():
                await self._stop_there(record)
            elif record.order:  # left behind: it is stopped by whoever has taken it up
                await self._holder.adopt()
            else:
                await self._holder.cancel_idle(record, task)
            await means.clock.sleep(min(means.timing.tick, 0.1))

    async def _stop_there(self, record: TaskRecord) -> None:
        async def rest() -> None:
            watched = watch(record.id, record.owner, self._means)
            async with aclosing(watched) as updates:
                async for _ in updates:
                    pass

        await self._means.signal(record.id, "cancel")
        await _wait(self._means, rest(), self._means.timing.lease / 3)

    async def _task(self, task_id: str, owner: str) -> Task:
        task: Task = Task.FromString((await self._record(task_id, owner)).payload)
        return task

    async def _record(self, task_id: str, owner: str) -> TaskRecord:
        record = await self._means.store.get(task_id, owner)
        if record is None:
            raise TaskNotFoundError(f"there is no task {task_id}")
        return record


def _check_open(task: Task) -> None:
    if task.status.state in TERMINAL:
        raise TaskNotCancelableError(
            f"task {task.id} has ended already ({NAMES[task.status.state]})"
        )


async def _stop_here(agents: TaskAgents, task: Task) -> None:
    try:
        await agents.cancel(task)
    except CodetetherError as error:
        raise InternalError(f"the agent could not be stopped: {error}") from error


async def _wait(
    means: Means, effect: "Coroutine[Any, Any, None] | asyncio.Future[None]", most: float
) -> None:
    """Wait until something has happened, or for `most` seconds."""
    waited = asyncio.ensure_future(effect)
    timer = asyncio.ensure_future(means.clock.sleep(most))
    try:
        await asyncio.wait({waited, timer}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        waited.cancel()
        timer.cancel()
        await asyncio.gather(waited, timer, return_exceptions=True)
