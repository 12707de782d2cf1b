"""Several runs in one process at once: what they share is neither made twice nor closed early."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from codetether_ray.actors.cluster import sharing
from codetether_ray.bootstrap.agents import kept_process


@asynccontextmanager
async def several_runs() -> AsyncIterator[None]:
    """Within, runs share the connection to Ray and the agents' HTTP connections."""
    with sharing():
        async with kept_process():
            yield
