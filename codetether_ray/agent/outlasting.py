"""Waiting for what must not be left half done, whoever cancels meanwhile."""

import asyncio
from typing import Any


async def outlast(*tasks: asyncio.Task[Any]) -> bool:
    """Wait until the tasks are done, through any cancellation; whether there was one.

    Who calls this raises `CancelledError` afterwards if it returns True.
    """
    was_cancelled = False
    waiting = set(tasks)
    while waiting:
        try:
            _, waiting = await asyncio.wait(waiting)
        except asyncio.CancelledError:
            was_cancelled = True
            waiting = {task for task in waiting if not task.done()}
    return was_cancelled
