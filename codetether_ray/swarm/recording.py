"""Records that a cancel must not tear: once they are being written, they may be on disk already."""

import asyncio

from codetether_ray.core.events import DurableEvent
from codetether_ray.ports.publisher import Publisher


async def record_whole(publisher: Publisher, *events: DurableEvent) -> None:
    """Record `events`, and return when they are, though the caller is cancelled meanwhile.

    So that who asked knows what the journal says. The cancel is not lost: `give_way` raises it.

    Raises:
        JournalError: they are not recorded.
    """
    recording = asyncio.ensure_future(publisher.record(*events))
    while not recording.done():
        try:
            await asyncio.wait({recording})
        except asyncio.CancelledError:
            continue  # it stays noted on the task
    recording.result()


def give_way() -> None:
    """End here if the current task was cancelled while it recorded.

    Raises:
        asyncio.CancelledError: it was.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
