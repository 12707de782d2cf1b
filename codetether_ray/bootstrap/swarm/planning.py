"""A swarm is planned in this process while its private Ray starts, so that nobody waits for Ray.

The plan and somebody's word on it are in the run's journal then, and the supervisor goes on from
there, as after any other end of a process.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from codetether_ray.bootstrap.agents import close_process
from codetether_ray.bootstrap.auditing.runs import audited_run, ended
from codetether_ray.bootstrap.follow import Audience, Follower
from codetether_ray.bootstrap.home import open_local_home
from codetether_ray.bootstrap.run_home import home_terms
from codetether_ray.bootstrap.swarm.home import plan_in_home
from codetether_ray.bootstrap.swarm.request import SwarmRequest
from codetether_ray.bootstrap.truth.reach import Reach
from codetether_ray.core.codec import JsonObject
from codetether_ray.core.events import ModelRequested, Record

if TYPE_CHECKING:
    from codetether_ray.actors.cluster import Cluster


_LEAVES_S = 0.1
"""From what is recorded of a request until it has left: importing Ray holds everything up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """A swarm that has a plan, and the Ray that was started meanwhile; or its result already."""

    reach: Reach
    result: JsonObject | None = None


@asynccontextmanager
async def planned_meanwhile(
    request: SwarmRequest, reach: Reach, audience: Audience, data_dir: Path, *, dashboard: bool
) -> AsyncIterator[Planned]:
    """Plan the swarm; Ray starts when the model was asked, and is left at the end.

    Raises:
        ClusterError: Ray could not be started; the plan is kept.
        CodetetherError: nothing can be planned.
    """
    is_asked = asyncio.Event()
    starting = asyncio.create_task(_start(is_asked, request, reach, audience, data_dir, dashboard))
    try:
        result = await _plan(request, audience, is_asked)
        if result is not None:
            yield Planned(reach=reach, result=result)
        else:
            is_asked.set()
            yield Planned(reach=replace(reach, cluster=await starting))
    finally:
        await _leave(starting)


async def _plan(
    request: SwarmRequest, audience: Audience, is_asked: asyncio.Event
) -> JsonObject | None:
    def show(record: Record) -> None:
        if isinstance(record.event, ModelRequested):
            is_asked.set()
        audience.show(record)

    async with audited_run(request, "plan") as done:
        home = await open_local_home(home_terms(request))
        follower = Follower(home.bus, request.swarm_id, show)
        try:
            await follower.start()
            result = await plan_in_home(home, request, audience.ask)
            if result is not None:
                ended(done, str(result["outcome"]), result)
            return result
        finally:
            await home.close()
            await follower.finish()
            await close_process()


async def _start(
    is_asked: asyncio.Event,
    request: SwarmRequest,
    reach: Reach,
    audience: Audience,
    data_dir: Path,
    dashboard: bool,
) -> "Cluster":
    await is_asked.wait()
    await asyncio.sleep(_LEAVES_S)
    from codetether_ray.actors.cluster import join_or_start
    from codetether_ray.bootstrap.drive import cluster_options

    wanted = cluster_options(
        request.swarm_id,
        reach,
        data_dir,
        dashboard=dashboard,
        memory_bytes=request.total_memory_bytes,
    )
    return await join_or_start(wanted, audience.notice)


async def _leave(starting: "asyncio.Task[Cluster]") -> None:
    """End the Ray that was started, or is about to be."""
    starting.cancel()
    (found,) = await asyncio.gather(starting, return_exceptions=True)
    if not isinstance(found, BaseException):
        await found.close()
