"""Replicas as holders of tasks: a name that tells which actor it is, and whether that has died."""

import asyncio
from uuid import uuid4

import ray

from codetether_ray.actors.recorded import is_dead

_KIND = "replica"


def new_holder() -> str:
    """A new name for what the actor that this process is holds; none before had it."""
    return f"{_KIND}-{ray.get_runtime_context().get_actor_id()}-{uuid4().hex[:12]}"


async def is_gone(holder: str) -> bool:
    """Whether a holder is an actor of this cluster that has ended for good."""
    kind, _, rest = holder.partition("-")
    return kind == _KIND and await asyncio.to_thread(is_dead, rest.partition("-")[0])
