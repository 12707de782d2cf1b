"""What tests run inside supervisors."""

import asyncio
import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from codetether_ray.actors.door import Badge, Door, Served
from codetether_ray.actors.nodes import this_node
from codetether_ray.actors.world import World
from codetether_ray.bootstrap.agents import WIRING
from codetether_ray.core.events import AgentPlaced
from codetether_ray.core.messages import user
from codetether_ray.core.spec import AgentSpec, Correlation, TurnResult
from codetether_ray.core.usage import Budget
from codetether_ray.local.admission import LocalAdmission
from codetether_ray.local.clock import SystemClock
from codetether_ray.local.journal import LocalJournal
from codetether_ray.local.ledger import LocalLedger
from codetether_ray.local.publisher import LocalPublisher
from codetether_ray.local.runtime import HostedRuntime
from codetether_ray.local.shares import LocalShares
from codetether_ray.ports.journal import Journal
from tests.ray import nasty


class Desk:
    """A run's door, opened anew for each test, so that one process serves them all."""

    def __init__(self) -> None:
        self._door = Door("swm_desk")
        self._served: Served | None = None

    async def fresh(self, data_dir: str, run_id: str, budget: Budget) -> Badge:
        """Serve a new run; a badge for a visitor."""
        if self._served is not None:
            await self._served.journal.close()
        journal = await LocalJournal.open(Path(data_dir), run_id, Correlation(run_id=run_id))
        ledger = LocalLedger(budget, SystemClock())
        self._served = Served(journal=journal, ledger=ledger, shares=LocalShares())
        self._door = Door(run_id)
        self._door.serve(self._served)
        return self._door.admit("test")

    async def admit(self) -> Badge:
        """Another badge."""
        return self._door.admit("test")

    async def dismiss(self, badge: Badge) -> None:
        """Take one back."""
        await self._door.dismiss(badge)

    async def call(
        self, badge: Badge, number: int, floor: int, verb: str, arguments: tuple[Any, ...]
    ) -> Any:
        """See `Door`."""
        return await self._door.call(badge, number, floor, verb, arguments)

    async def calls(self, calls: bytes, patience_s: float) -> bytes:
        """See `Door`."""
        return await self._door.calls_in_bytes(calls, patience_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """Agents to run at once in one supervisor, and what to tell each."""

    data_dir: str
    correlation: Correlation
    specs: tuple[AgentSpec, ...]
    text: str = "do it"
    wiring: str = WIRING
    pack: int = 1
    max_live: int | None = None
    budget: Budget = field(default_factory=Budget)


async def run_agents(job: Job, world: World) -> dict[str, Any]:
    """Run all of a job's agents through a runtime on Ray; results by path, and the most alive."""
    clock = SystemClock()
    journal = await LocalJournal.open(Path(job.data_dir), world.run_id, job.correlation)
    ledger = LocalLedger(job.budget, clock)
    host = world.host(job.wiring, pack=job.pack)
    live = _Counted(host)
    admission = LocalAdmission(host.capacity, clock, max_live=job.max_live)
    runtime = HostedRuntime(
        live, admission, ledger, _voices(journal, world, clock), clock, directory=world.directory
    )
    world.serve(
        Served(journal=journal, ledger=ledger, shares=LocalShares(world.bus), children=runtime)
    )
    world.begun.set()
    try:
        results = await asyncio.gather(
            *(runtime.run(spec, user(job.text)) for spec in job.specs), return_exceptions=True
        )
        records = await journal.read()
        return {
            "results": {s.path: r for s, r in zip(job.specs, results, strict=True)},
            "kinds": [(r.agent, r.event.tag) for r in records],
            "placed": [(r.agent, r.event) for r in records if isinstance(r.event, AgentPlaced)],
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
    world.begun.set()
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        return {"answer": answer, "pid": os.getpid(), "time": time.time()}


async def fail(options: Any, world: World) -> None:
    """Raise what it is given."""
    raise options


async def tell_where_it_stands(options: dict[str, Any], world: World) -> str:
    """Write what this process knows to `life-N` of a folder, then wait for a file `end` in it."""
    folder = Path(options["folder"])
    number = len(list(folder.glob("life-*")))
    fresh = folder / "fresh"
    fresh.write_text(f"restarted: {world.is_restarted}, since: {world.since}")
    fresh.rename(folder / f"life-{number}")
    world.begun.set()
    try:
        while not (folder / "end").exists():
            await asyncio.sleep(0.02)
    except asyncio.CancelledError:
        return "cancelled"
    return "done"


async def do_deeds(job: Job, world: World) -> list[dict[str, Any]]:
    """Run the agents one after the other; what the next one would find in its process."""
    journal = await LocalJournal.open(Path(job.data_dir), world.run_id, job.correlation)
    world.serve(Served(journal=journal, ledger=LocalLedger(job.budget, SystemClock())))
    world.begun.set()
    host = world.host(job.wiring, stays=True)
    found, node = [], this_node()
    next_ = await host._leases.lease(node, "")
    for spec in job.specs:
        body, before = next_.body, await next_.actor.__ray_call__.remote(nasty.look)
        host._leases.give_back(next_, 0)
        process = await host.start(spec)
        result = await process.turn(user(job.text))
        pid = int(process.place.process.rpartition(":")[2])
        await process.end()
        next_ = await host._leases.lease(node, "")
        found.append(
            {
                "deed": spec.name,
                "outcome": result.outcome,
                "was_used": body.process.pid == pid,
                "is_used_again": next_.body == body,
                "is_alive": body.process.is_alive,
                "before": before,
                "after": await next_.actor.__ray_call__.remote(nasty.look),
            }
        )
    await host.close()
    await journal.close()
    return found
