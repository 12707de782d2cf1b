"""A child run in its parent's process: a home of its own, closed when it has ended."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from codetether_ray.bootstrap.auditing.runs import audited_run, ended
from codetether_ray.bootstrap.children.runs import Show
from codetether_ray.bootstrap.follow import Follower
from codetether_ray.bootstrap.home import open_local_home
from codetether_ray.bootstrap.run_home import home_terms
from codetether_ray.bootstrap.run_request import RunRequest
from codetether_ray.core.codec import JsonObject


@dataclass(frozen=True, slots=True)
class Way:
    """How runs of a kind are done, in this process and in a supervisor's."""

    in_home: Callable[..., Awaitable[JsonObject]]
    supervised: str


def way_of(kind: str) -> Way:
    """The way of a kind."""
    if kind == "swarm":
        from codetether_ray.bootstrap.swarm.home import swarm_in_home

        return Way(swarm_in_home, "codetether_ray.bootstrap.on_ray:swarm_in_supervisor")
    from codetether_ray.bootstrap.ralph.home import ralph_in_home

    return Way(ralph_in_home, "codetether_ray.bootstrap.on_ray:ralph_in_supervisor")


async def run_here(request: RunRequest, show: Show) -> JsonObject:
    """Do a run to its result in this process, beside its parent's."""
    way = way_of(request.kind)
    async with audited_run(request) as done:
        home = await open_local_home(home_terms(request))
        follower = Follower(home.bus, request.run_id, show)
        try:
            await follower.start()
            result = await way.in_home(home, request, nobody)
            ended(done, str(result["outcome"]), result)
            return result
        finally:
            await home.close()
            await follower.finish()


async def nobody(question: Any) -> bool:
    """The answer to what a child asks: nobody is asked for it, so nothing is agreed to."""
    del question
    return False
