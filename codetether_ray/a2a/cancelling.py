"""Stops a task's agent, wherever it runs, and waits a while for the effect."""

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


async def cancel_task(task_id: str, owner: str, means: Means, holder: Holder) -> Task:
    """The task as it is when it has ended, or when the wait is over: it may be working still.

    Raises:
        TaskNotFoundError: there is none, or it is another owner's.
        TaskNotCancelableError: it has ended otherwise.
    """
    until = means.clock.monotonic() + means.timing.cancel
    while True:
        record = await means.store.get(task_id, owner)
        if record is None:
            raise TaskNotFoundError(f"there is no task {task_id}")
        task = Task.FromString(record.payload)
        _check_open(task)
        work = means.works.get(task_id)
        if work is not None:
            await _stop(means.agents, work.draft.snapshot())
            await _wait(means, work.until_over())
        elif record.holder and record.held_until > means.clock.now():
            await _cancel_there(record, means)
        else:  # its agent, should it run on somewhere, is stopped all the same
            await _stop(means.agents, task)
            await holder.cancel_idle(record, task)
        task = await _final(task_id, owner, means)
        if task.status.state == TaskState.TASK_STATE_CANCELED:
            return task
        _check_open(task)
        if means.clock.monotonic() >= until:
            return task
        await means.clock.sleep(min(means.timing.tick, 0.1))


def _check_open(task: Task) -> None:
    if task.status.state in TERMINAL:
        raise TaskNotCancelableError(
            f"task {task.id} has ended already ({NAMES[task.status.state]})"
        )


async def _final(task_id: str, owner: str, means: Means) -> Task:
    record = await means.store.get(task_id, owner)
    if record is None:
        raise TaskNotFoundError(f"there is no task {task_id}")
    task: Task = Task.FromString(record.payload)
    return task


async def _stop(agents: TaskAgents, task: Task) -> None:
    try:
        await agents.cancel(task)
    except CodetetherError as error:
        raise InternalError(f"the agent could not be stopped: {error}") from error


async def _cancel_there(record: TaskRecord, means: Means) -> None:
    async def rest() -> None:
        async with aclosing(watch(record.id, record.owner, means)) as updates:
            async for _ in updates:
                pass

    await means.signal(record.id, "cancel")
    await _wait(means, rest())


async def _wait(means: Means, effect: Coroutine[Any, Any, None]) -> None:
    waited = asyncio.ensure_future(effect)
    timer = asyncio.ensure_future(means.clock.sleep(means.timing.cancel))
    try:
        await asyncio.wait({waited, timer}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        waited.cancel()
        timer.cancel()
        await asyncio.gather(waited, timer, return_exceptions=True)
