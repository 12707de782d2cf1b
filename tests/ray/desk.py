"""What tests run inside supervisors."""

import asyncio
import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from codetether_ray.actors.supervisor import Served, Supervisor, World
from codetether_ray.bootstrap.agents import WIRING
from codetether_ray.core.messages import user
from codetether_ray.core.spec import AgentSpec, Correlation, TurnResult
from codetether_ray.core.usage import Budget
from codetether_ray.local.admission import Admission
from codetether_ray.local.clock import SystemClock
from codetether_ray.local.journal import LocalJournal
from codetether_ray.local.ledger import LocalLedger
from codetether_ray.local.publisher import LocalPublisher
from codetether_ray.local.runtime import HostedRuntime
from codetether_ray.local.shares import LocalShares
from codetether_ray.ports.journal import Journal


class Desk(Supervisor):
    """A supervisor whose run is replaced for each test, so that one process serves them all."""

    async def fresh(self, data_dir: str, run_id: str, budget: Budget) -> None:
        if self._world is not None and self._world.served is not None:
            await self._world.served.journal.close()
        self._world = World(run_id, self._services, None)
        journal = await LocalJournal.open(Path(data_dir), run_id, Correlation(run_id=run_id))
        self._world.serve(
            Served(journal=journal, ledger=LocalLedger(budget, SystemClock()), shares=LocalShares())
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """Agents to run at once in one supervisor, and what to tell each."""

    data_dir: str
    correlation: Correlation
    specs: tuple[AgentSpec, ...]
    text: str = "do it"
    max_live: int | None = None
    budget: Budget = field(default_factory=Budget)


async def run_agents(job: Job, world: World) -> dict[str, Any]:
    """Run all of a job's agents through a runtime on Ray; results by path, and the most alive."""
    clock = SystemClock()
    journal = await LocalJournal.open(Path(job.data_dir), world.run_id, job.correlation)
    ledger = LocalLedger(job.budget, clock)
    host = world.host(WIRING)
    live = _Counted(host)
    admission = Admission(host.capacity, clock, max_live=job.max_live)
    runtime = HostedRuntime(
        live, admission, ledger, _voices(journal, world, clock), clock, directory=world.directory
    )
    world.serve(
        Served(journal=journal, ledger=ledger, shares=LocalShares(world.bus), children=runtime)
    )
    try:
        results = await asyncio.gather(
            *(runtime.run(spec, user(job.text)) for spec in job.specs), return_exceptions=True
        )
        records = await journal.read()
        return {
            "results": {s.path: r for s, r in zip(job.specs, results, strict=True)},
            "kinds": [(r.agent, r.event.tag) for r in records],
            "most_running": live.most,
        }
    finally:
        await runtime.close()
        await journal.close()


def _voices(journal: Journal, world: World, clock: SystemClock) -> Any:
    made: dict[str, LocalPublisher] = {}

    def voice(spec: AgentSpec) -> LocalPublisher:
        if spec.path not in made:
            made[spec.path] = LocalPublisher(journal, world.bus, spec.correlation, spec.path, clock)
        return made[spec.path]

    return voice


class _Counted:
    """A host that counts agents whose turn is under way."""

    def __init__(self, host: Any) -> None:
        self._host = host
        self.running = self.most = 0
        self.capacity = host.capacity
        self.close = host.close

    async def start(self, spec: AgentSpec, *, attempt: int = 0) -> Any:
        process = await self._host.start(spec, attempt=attempt)
        plain = process.turn

        async def turn(message: Any) -> TurnResult:
            self.running += 1
            self.most = max(self.most, self.running)
            try:
                return await plain(message)
            finally:
                self.running -= 1

        process.turn = turn
        return process


async def ask_and_wait(options: dict[str, Any], world: World) -> Any:
    """Ask the driver a question, then wait to be cancelled; what was answered."""
    answer = await world.ask_driver(options["question"])
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        return {"answer": answer, "pid": os.getpid(), "time": time.time()}


async def fail(options: Any, world: World) -> None:
    """Raise what it is given."""
    raise options
