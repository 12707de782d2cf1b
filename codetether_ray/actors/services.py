"""The named actors that every run of a cluster shares."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from ray.exceptions import RayError

from codetether_ray import __version__
from codetether_ray.actors.bus import RayBus
from codetether_ray.actors.classes import made_remote
from codetether_ray.actors.cluster import NAMESPACE
from codetether_ray.actors.directory import RayDirectory
from codetether_ray.actors.limiter import RayLimiter
from codetether_ray.actors.pulse import keep_alive, plain, this_body
from codetether_ray.actors.registry import Registry
from codetether_ray.local.clock import SystemClock

_CONCURRENCY = 10_000
"""Calls that the registry admits: one per process may wait for a rate limit."""


@dataclass(frozen=True, slots=True)
class Services:
    """Handles of a cluster's shared actors. A value: it travels to supervisors and agents."""

    bus_actor: Any
    registry_actor: Any
    is_shared: bool = False
    """Whether runs of other drivers meet on them too."""

    def bus(self) -> RayBus:
        """This process's way to the bus; make one per process."""
        return RayBus(self.bus_actor)

    def directory(self) -> RayDirectory:
        """The directory."""
        return RayDirectory(self.registry_actor)

    def limiter(self) -> RayLimiter:
        """The rate limiter; make one per process."""
        return RayLimiter(self.registry_actor, SystemClock())

    async def watch(self, run_id: str, supervisor: Any, lease_s: float) -> None:
        """Have this process, the supervisor of a run, replaced if it gives no sign of life.

        Until cancelled: a registry that was started anew has to be told again.
        """
        while True:
            with suppress(RayError):
                await plain(
                    self.registry_actor.watch.remote(run_id, supervisor, this_body(), lease_s)
                )
            await asyncio.sleep(lease_s)

    async def keep(self, lease_s: float) -> None:
        """Have an actor that gives no sign of life for `lease_s` started anew, until cancelled."""
        await asyncio.gather(*(_keep(a, lease_s) for a in (self.bus_actor, self.registry_actor)))


async def _keep(actor: Any, lease_s: float) -> None:
    while True:
        await keep_alive(actor, lease_s)


def start_services(*, is_private: bool) -> Services:
    """Find or make the actors.

    On a private Ray they end with it. On a shared cluster they are detached, one pair per version
    of this program, so that runs of many drivers meet on them.
    """
    options: dict[str, Any] = {"namespace": NAMESPACE}
    if not is_private:
        options |= {"lifetime": "detached", "get_if_exists": True}
    bus = RayBus.start(name=f"bus {__version__}", **options)
    registry = (
        made_remote(Registry)
        .options(
            name=f"registry {__version__}",
            num_cpus=0,
            max_concurrency=_CONCURRENCY,
            max_restarts=-1,
            max_task_retries=-1,
            **options,
        )
        .remote()
    )
    return Services(bus.actor, registry, is_shared=not is_private)
