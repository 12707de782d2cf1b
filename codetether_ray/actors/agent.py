"""One agent in a process of one or many: a `LocalAgent` whose run's services are elsewhere."""

import asyncio
import importlib
import logging
from dataclasses import dataclass
from typing import Any, cast

from codetether_ray.actors.audit import RayAudit
from codetether_ray.actors.broker import RaySecrets
from codetether_ray.actors.caller import Caller
from codetether_ray.actors.door import Badge
from codetether_ray.actors.family import RayChildren, RayChildRuns, RayShares
from codetether_ray.actors.journal import RayJournal
from codetether_ray.actors.keeper import RayKeeper
from codetether_ray.actors.ledger import RayLedger
from codetether_ray.actors.line import Line
from codetether_ray.actors.services import Services
from codetether_ray.agent.parts import AgentLinks, Wiring
from codetether_ray.core.errors import CodetetherError
from codetether_ray.core.messages import Message
from codetether_ray.core.spec import AgentSpec, TurnResult
from codetether_ray.core.usage import Budget
from codetether_ray.local.agent import LocalAgent
from codetether_ray.local.clock import SystemClock
from codetether_ray.local.publisher import LocalPublisher
from codetether_ray.ports.runtime import AgentStatus
from codetether_ray.telemetry.identity import RunTrace
from codetether_ray.telemetry.logs import FIELDS, correlated

_COMPANY_S = 0.5
"""How long what one of many sub-agents says waits for more, on its way to who watches."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Links:
    """Handles that agents are given: their run's supervisor, and the cluster's services."""

    supervisor: Any
    services: Services
    environ: tuple[tuple[str, str], ...] = ()
    """Variables (no secrets) of the driver, where the agent lives on its machine: a shared head
    was started with others."""
    home: str = ""
    """The supervisor's node. Elsewhere an agent reaches audit log and keys through its door."""
    trace: RunTrace | None = None
    """The run's trace, where its commands and providers are to know it."""
    budget: Budget | None = None
    """The run's, where it is known."""
    is_far: bool = False
    """Whether the run's keys are its driver's, and not in the store of the supervisor's user."""

    def is_away(self, spec: AgentSpec) -> bool:
        """Whether an agent lives on another node than its supervisor."""
        return spec.node not in ("", self.home)


class Post:
    """What the agents of one run share in a process: ways to the supervisor, bus and limiter."""

    def __init__(self, links: Links, wiring: Wiring, *, is_away: bool) -> None:
        self.links = links
        self.wiring = wiring
        self.is_away = is_away
        self.line = Line(links.supervisor)
        self.bus = links.services.bus()
        self.limiter = links.services.limiter()
        self.clock = SystemClock()
        self.turns = 0
        """How many are under way here."""

    async def close(self) -> None:
        """Send what waits."""
        await self.line.flush()
        await self.bus.aclose()


class Seat:
    """One agent's place in a process.

    It is made from values and handles alone; keys and clients are gathered here by the wiring.
    """

    def __init__(self, spec: AgentSpec, badge: Badge, post: Post, *, is_new: bool = False) -> None:
        """`is_new`: nothing is journaled of the agent."""
        self.spec = spec
        self._spec = spec
        self._post = post
        caller = Caller(post.links.supervisor, badge, post.line)
        self._turns: set[asyncio.Task[Any]] = set()
        self._ledger = RayLedger(caller, post.links.budget)
        self._publisher = LocalPublisher(
            RayJournal(caller, is_empty=is_new),
            post.bus,
            spec.correlation,
            spec.path,
            post.clock,
            company_s=_COMPANY_S if spec.kind == "subagent" else None,
        )
        made = AgentLinks(
            publisher=self._publisher,
            ledger=self._ledger,
            limiter=post.limiter,
            children=RayChildren(caller),
            runs=RayChildRuns(caller),
            shares=RayShares(caller),
            trace=post.links.trace,
            audit=RayAudit(caller) if post.is_away else None,
            secrets=RaySecrets(caller) if post.is_away or post.links.is_far else None,
            keeper=RayKeeper(caller) if post.is_away else None,
        )
        self._agent = LocalAgent(spec, made, post.wiring)

    async def turn(self, message: Message) -> TurnResult:
        """Take a turn; when it is over its events are on the bus, and with the last turn that is
        under way here the process's audit chain is closed."""
        task = asyncio.current_task()
        assert task is not None
        self._turns.add(task)
        self._post.turns += 1
        try:
            with correlated(run=self._spec.correlation.run_id, agent=self._spec.path):
                return await self._logged(message)
        finally:
            self._turns.discard(task)
            self._post.turns -= 1
            if self._post.is_away or not self._post.turns:  # each of many would close a chain
                await self._agent.rest()
            await self._ledger.rest()
            await self._publisher.close()

    async def _logged(self, message: Message) -> TurnResult:
        """A turn, with its beginning and its end in this process's log."""
        _log.info("turn begins", extra={FIELDS: {"kind": self._spec.kind}})
        outcome = "cut off"
        try:
            result = await self._agent.turn(message)
            outcome = result.outcome
        except CodetetherError as error:
            outcome = type(error).__name__
            raise
        finally:
            _log.info("turn ends", extra={FIELDS: {"outcome": outcome}})
        return result

    async def cancel(self) -> None:
        """Cancel the running turn, if any."""
        await self._agent.cancel()

    async def leave(self) -> None:
        """Stop the running turn, if any, after its present step."""
        await self._agent.leave()

    async def status(self) -> AgentStatus:
        """What it is doing."""
        return await self._agent.status()

    async def close(self) -> None:
        """Cancel the running turn, end its tools, publish what waits."""
        await self._agent.close()
        await self._publisher.close()

    async def abandon(self) -> None:
        """Cut off a turn that ends by no cancel, and end what its tools have left running."""
        for task in tuple(self._turns):
            task.cancel()
        await self._agent.end_leftovers()


def resolve(name: str) -> Wiring:
    """The function that `module:function` names."""
    module, _, function = name.partition(":")
    return cast("Wiring", getattr(importlib.import_module(module), function))
