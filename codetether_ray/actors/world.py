"""What a run finds in its supervisor: the cluster's services, its own door, a host for agents."""

import asyncio
import os
import secrets
from collections.abc import Awaitable, Callable, Collection
from contextlib import suppress
from typing import Any

from ray.exceptions import RayError

from codetether_ray.actors.agent import Links
from codetether_ray.actors.bus import RayBus
from codetether_ray.actors.directory import RayDirectory
from codetether_ray.actors.door import Door, Served
from codetether_ray.actors.dossier import LEASE_S, Dossier
from codetether_ray.actors.host import RayHost
from codetether_ray.actors.limiter import RayLimiter
from codetether_ray.actors.metrics import RayMetrics
from codetether_ray.actors.node import RayNode
from codetether_ray.actors.nodes import this_node
from codetether_ray.actors.pool import OwnLeases, SharedLeases, shared_pool
from codetether_ray.actors.scheduler import open_admission
from codetether_ray.actors.services import Services
from codetether_ray.actors.sight import draining_nodes
from codetether_ray.core.usage import Budget
from codetether_ray.local.far_admission import FarAdmission
from codetether_ray.ports.admission import Party
from codetether_ray.ports.pool import PoolTerms
from codetether_ray.sandbox.environment import tool_environment
from codetether_ray.telemetry.identity import RunTrace

_LOOK_S = 2.0
"""How often it is seen whether a node is about to go."""


class World:
    """Given to the run function."""

    def __init__(
        self,
        run_id: str,
        services: Services,
        supervisor: Any,
        *,
        dossier: Dossier | None = None,
        lease_s: float = LEASE_S,
        since: int = 0,
        is_restarted: bool = False,
        is_far: bool = False,
    ) -> None:
        self.run_id = run_id
        self.is_restarted = is_restarted
        """Whether an earlier process of this supervisor died: go on from the journal."""
        self.since = since
        """How many records the run had before this supervisor."""
        self.is_far = is_far
        """Whether the run's keys are its driver's, which is asked for them."""
        self.bus: RayBus = services.bus()
        self.directory: RayDirectory = services.directory()
        self.limiter: RayLimiter = services.limiter()
        self.metrics = RayMetrics(services.registry_actor, run_id)
        self.door = Door(run_id)
        self.begun = asyncio.Event()
        """Set by the run function once its end will be recorded: it is not cancelled before."""
        self.questions: asyncio.Queue[tuple[Any, asyncio.Future[Any]]] = asyncio.Queue()
        self.services = services
        self._supervisor = supervisor
        self._life = secrets.token_hex(4)
        self._dossier = dossier
        self.lease_s = lease_s

    async def succeed(self) -> None:
        """See that nothing of an earlier life of this supervisor goes on beside this one."""
        if self.is_restarted and self.is_shared:
            await self._shared_leases().succeed()

    def host(
        self,
        wiring: str,
        *,
        stays: bool = False,
        pack: int = 1,
        pool: PoolTerms | None = None,
        trace: RunTrace | None = None,
        budget: Budget | None = None,
    ) -> RayHost:
        """A host whose agents are wired by the function that `wiring` (`module:function`) names.

        `stays`: they live on this node, where the run's files are. `pack`: how many share a
        process. `pool`: terms for this run's own processes, where there are no shared ones.
        `trace`: the run's, where its commands and providers are to know it. `budget`: the run's,
        if it stays what it is: agents need not ask for what has no limit.
        """
        links = Links(
            self._supervisor,
            self.services,
            environ=tuple(tool_environment(os.environ).items()),
            home=this_node(),
            trace=trace,
            budget=budget,
            is_far=self.is_far,
        )
        note = self._dossier.note if self._dossier is not None else None
        return RayHost(
            wiring,
            links,
            self.door,
            lease_s=self.lease_s,
            note=note,
            stays=stays,
            leases=self._shared_leases(pool) if self.is_shared else OwnLeases(pool or PoolTerms()),
            pack=pack,
        )

    def _shared_leases(self, pool: PoolTerms | None = None) -> SharedLeases:
        return SharedLeases(shared_pool(pool), f"{self.run_id} {self._life}", self._supervisor)

    def admission(self, party: Party) -> FarAdmission:
        """This run's way to the scheduler that all runs of a shared cluster meet at."""
        return open_admission(self.services.registry_actor, party)

    @property
    def is_shared(self) -> bool:
        """Whether the cluster was joined: its other nodes, if it has any, may be used as well."""
        return self._dossier is not None and self._dossier.job().lasts

    def node(self, id: str) -> RayNode:
        """The daemon of another node of the cluster."""
        return RayNode.on(id, lasts=True)

    async def watch_departures(self, leave: Callable[[Collection[str]], Awaitable[None]]) -> None:
        """Tell `leave` which nodes are about to go, again and again, until cancelled."""
        while self.is_shared:
            await asyncio.sleep(_LOOK_S)
            with suppress(RayError, RuntimeError, ValueError, OSError):  # the next look may answer
                going = await asyncio.to_thread(draining_nodes)
                if going:
                    await leave(going)

    def serve(self, served: Served) -> None:
        """Let agents reach the run's state; before the first agent starts."""
        self.door.serve(served)

    async def ask_driver(self, question: Any) -> Any:
        """Put a question (a plain value) to who follows the run; its answer."""
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        await self.questions.put((question, answer))
        return await answer
