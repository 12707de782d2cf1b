"""The runtime over Ray keeps the promises of every runtime: each agent here is an actor."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
import ray

from codetether_ray.actors.door import Badge, Served
from codetether_ray.actors.services import Services
from codetether_ray.actors.world import World
from codetether_ray.core.messages import Message
from codetether_ray.core.spec import AgentSpec, Correlation, TurnResult
from codetether_ray.local.admission import LocalAdmission
from codetether_ray.local.clock import SystemClock
from codetether_ray.local.journal import LocalJournal
from codetether_ray.local.ledger import LocalLedger
from codetether_ray.local.publisher import LocalPublisher
from codetether_ray.local.runtime import HostedRuntime
from codetether_ray.ports.runtime import AgentStatus, Prepare
from tests.contracts.runtime import RUN, WIRING, Open, RuntimeContract, Terms


class Counter:
    """A run whose runtime is served to the test, call by call."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def call(
        self, badge: Badge, number: int, floor: int, verb: str, arguments: tuple[Any, ...]
    ) -> Any:
        return await self._world.door.call(badge, number, floor, verb, arguments)

    async def calls(self, calls: bytes, patience_s: float) -> bytes:
        return await self._world.door.calls_in_bytes(calls, patience_s)

    async def open_runtime(self, data_dir: str, terms: Terms) -> None:
        me = ray.get_runtime_context().current_actor
        clock, world = SystemClock(), World(RUN, self._services, me)
        correlation = Correlation(run_id=RUN, swarm_id=RUN)
        self._journal = await LocalJournal.open(Path(data_dir), RUN, correlation)
        ledger = LocalLedger(terms.budget, clock)
        host = world.host(WIRING)
        self._runtime = HostedRuntime(
            host,
            LocalAdmission(host.capacity, clock, max_live=terms.max_live),
            ledger,
            lambda spec: LocalPublisher(self._journal, None, correlation, spec.path, clock),
            clock,
        )
        self._world = world
        world.serve(Served(journal=self._journal, ledger=ledger, children=self._runtime))
        self._callers: dict[str, asyncio.Task[TurnResult]] = {}

    async def ask(
        self, spec: AgentSpec, message: Message, prepare: Prepare | None, priority: int
    ) -> TurnResult | BaseException:
        call = self._runtime.run(spec, message, prepare=prepare, priority=priority)
        self._callers[spec.path] = asyncio.ensure_future(call)
        (result,) = await asyncio.gather(self._callers[spec.path], return_exceptions=True)
        return result

    async def drop(self, path: str) -> None:
        caller = self._callers[path]
        caller.cancel()
        await asyncio.wait({caller})

    async def cancel_agent(self, path: str) -> bool:
        return await self._runtime.cancel(path)

    async def agents(self) -> tuple[AgentStatus, ...]:
        return await self._runtime.list()

    async def close_runtime(self) -> None:
        await self._runtime.close()
        await self._journal.close()


class FarRuntime:
    """The test's side of a runtime in a supervisor."""

    def __init__(self, actor: Any) -> None:
        self._actor = actor

    async def run(
        self,
        spec: AgentSpec,
        message: Message,
        *,
        prepare: Prepare | None = None,
        priority: int = 0,
    ) -> TurnResult:
        try:
            result = await self._actor.ask.remote(spec, message, prepare, priority)
        except asyncio.CancelledError:
            await self._actor.drop.remote(spec.path)
            raise
        if isinstance(result, BaseException):
            raise result
        return result

    async def cancel(self, path: str) -> bool:
        return await self._actor.cancel_agent.remote(path)

    async def list(self) -> tuple[AgentStatus, ...]:
        return await self._actor.agents.remote()

    async def close(self) -> None:
        await self._actor.close_runtime.remote()


class TestRayRuntime(RuntimeContract):
    @pytest.fixture
    def open_runtime(self, services: Services, tmp_path: Path):
        actors = []

        async def open_it(terms: Terms) -> FarRuntime:
            actor = ray.remote(Counter).options(num_cpus=0, max_concurrency=1000).remote(services)
            actors.append(actor)
            await actor.open_runtime.remote(str(tmp_path / "data"), terms)
            return FarRuntime(actor)

        made: Open = open_it
        yield made
        for actor in actors:
            ray.kill(actor)
