"""Follows a run's journal, wherever the truth is, until nobody is at the run any more."""

import asyncio
from collections.abc import AsyncIterator

from codetether_ray.bootstrap.control.owned import READ_ON, Read
from codetether_ray.bootstrap.truth.place import Truth
from codetether_ray.core.codec import JsonObject

_SHORTEST_S, _LONGEST_S = 0.2, 1.0
"""Between two looks: short where something has just come, longer the longer nothing does."""


async def follow(
    truth: Truth, run_id: str, owner: str | None, *, after: int = -1, goes_on: bool = True
) -> AsyncIterator[JsonObject]:
    """The durable records whose number is above `after`, as JSON; in order, none twice.

    `goes_on`: those that are still to come as well, until the run has ended, or was cut off.

    Raises:
        UnknownRunError: the owner has no such run.
        ClusterError: the head does not answer.
    """
    offset, pause_s = 0, _SHORTEST_S
    while True:
        read: Read = await truth.ask(READ_ON, run_id, owner, offset, after)
        has_moved = read.offset > offset
        offset = read.offset
        for record in read.records:
            yield record
        if has_moved:
            pause_s = _SHORTEST_S
            if read.records:
                continue  # there may be more than fits one answer
        if not (goes_on and read.is_alive):
            return
        await asyncio.sleep(pause_s)
        pause_s = min(pause_s * 1.5, _LONGEST_S)
