"""What is told of an actor that was asked for and is not up: nobody waits in silence."""

import asyncio
import os
from collections.abc import Callable
from typing import Any

from codetether_ray.actors.pulse import patiently
from codetether_ray.actors.recorded import recorded

_SILENT_S = 8.0
"""A process is up after a second or two; a busy machine takes longer, and it is time to say so."""
_AGAIN_S = 30.0
_BUSY = 2.0
"""Load per core above which it is told of."""
_WORDS = {
    "DEPENDENCIES_UNREADY": "Ray has not placed it yet",
    "PENDING_CREATION": "Ray has not started its process yet",
    "ALIVE": "its process is up and has not answered yet",
    "RESTARTING": "its process ended, and Ray has not started another yet",
}
"""By the state that Ray's control service says it is in."""


async def told_of(
    answer: "asyncio.Future[Any]", patience_s: float, actor: Any, tell: Callable[[str], None]
) -> bool:
    """Wait for the first answer of `actor`; False if there is none after `patience_s`.

    `tell` is given half a sentence on what is waited for: after some seconds, and then again.
    """
    left_s, next_s = patience_s, _SILENT_S
    while left_s > next_s:
        if await patiently(answer, next_s):
            return True
        left_s -= next_s
        tell(f"is not up after {patience_s - left_s:.0f} s: {await _why(actor)}")
        next_s = _AGAIN_S
    return await patiently(answer, left_s)


async def _why(actor: Any) -> str:
    row = await asyncio.to_thread(recorded, actor._actor_id.hex())
    said = _WORDS.get(str(row.get("State")), "Ray does not say why")
    cores = os.cpu_count() or 1
    load = os.getloadavg()[0]
    if load > _BUSY * cores:
        said += f" (this machine is busy: load {load:.0f} on {cores} cores)"
    return said
