"""An agent as a Ray actor: a `LocalAgent` whose run's services are elsewhere."""

import importlib
import os
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, cast

from codetether_ray.actors.audit import RayAudit
from codetether_ray.actors.broker import RaySecrets
from codetether_ray.actors.caller import Caller
from codetether_ray.actors.door import Badge
from codetether_ray.actors.family import RayChildren, RayShares
from codetether_ray.actors.journal import RayJournal
from codetether_ray.actors.keeper import RayKeeper
from codetether_ray.actors.ledger import RayLedger
from codetether_ray.actors.services import Services
from codetether_ray.agent.parts import AgentLinks, Wiring
from codetether_ray.core import failpoints
from codetether_ray.core.messages import Message
from codetether_ray.core.spec import AgentKind, AgentSpec, TurnResult
from codetether_ray.local.agent import LocalAgent
from codetether_ray.local.clock import SystemClock
from codetether_ray.local.publisher import LocalPublisher
from codetether_ray.ports.runtime import AgentStatus


@dataclass(frozen=True, slots=True)
class Links:
    """Handles that an agent is given: its run's supervisor, and the cluster's services."""

    supervisor: Any
    services: Services
    environ: tuple[tuple[str, str], ...] = ()
    """Variables (no secrets) of the driver, where the agent lives on its machine: a shared head
    was started with others."""
    home: str = ""
    """The supervisor's node. Elsewhere an agent reaches audit log and keys through its door."""
    is_far: bool = False
    """Whether the run's keys are its driver's, and not in the store of the supervisor's user."""

    def is_away(self, spec: AgentSpec) -> bool:
        """Whether an agent lives on another node than its supervisor."""
        return spec.node not in ("", self.home)


class AgentActor:
    """The class of an agent's actor; its kinds below have names that people read in a dashboard.

    It is made from values and handles alone; keys and clients are gathered here by the wiring.
    """

    def __init__(self, spec: AgentSpec, wiring: str, links: Links, badge: Badge) -> None:
        is_away = links.is_away(spec)
        if not is_away:  # the driver's own machine
            os.environ.update(links.environ)
        failpoints.arm(os.environ, "agent")
        self._spec = spec
        self._bus = links.services.bus()
        caller = Caller(links.supervisor, badge)
        self._publisher = LocalPublisher(
            RayJournal(caller), self._bus, spec.correlation, spec.path, SystemClock()
        )
        made = AgentLinks(
            publisher=self._publisher,
            ledger=RayLedger(caller),
            limiter=links.services.limiter(),
            children=RayChildren(caller),
            shares=RayShares(caller),
            audit=RayAudit(caller) if is_away else None,
            secrets=RaySecrets(caller) if is_away or links.is_far else None,
            keeper=RayKeeper(caller) if is_away else None,
        )
        self._agent = LocalAgent(spec, made, resolve(wiring))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._spec.correlation.run_id} · {self._spec.name})"

    async def turn(self, message: Message) -> TurnResult:
        """Take a turn; when it is over its events are on the bus, its audit chain is closed."""
        try:
            return await self._agent.turn(message)
        finally:
            await self._agent.rest()
            await self._publisher.close()

    async def cancel(self) -> None:
        """Cancel the running turn, if any."""
        await self._agent.cancel()

    async def status(self) -> AgentStatus:
        """What it is doing."""
        return await self._agent.status()

    async def close(self) -> None:
        """Cancel the running turn, end its tools, publish what waits."""
        await self._agent.close()
        await self._publisher.close()


class Agent(AgentActor):
    """The agent of a session."""


class Planner(AgentActor):
    """Makes a swarm's plan."""


class SubAgent(AgentActor):
    """Works on a subtask, or for another agent."""


class Resolver(AgentActor):
    """Resolves a merge conflict."""


class Synthesis(AgentActor):
    """Answers a swarm's task from its results."""


KINDS: MappingProxyType[AgentKind, type[AgentActor]] = MappingProxyType(
    {
        "main": Agent,
        "planner": Planner,
        "subagent": SubAgent,
        "resolver": Resolver,
        "synthesis": Synthesis,
    }
)


def resolve(name: str) -> Wiring:
    """The function that `module:function` names."""
    module, _, function = name.partition(":")
    return cast("Wiring", getattr(importlib.import_module(module), function))
