"""Cases of the spawn benchmark for whole agents: packed into one process, or in pooled processes.

A packed agent is counted from the moment that it is asked for until its first model request would
leave: admitted, announced, seated, journaled, its tools and prompt made. Its model never answers,
so that all of them live when memory is read.
"""

import asyncio
import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from codetether_ray.actors.world import World
from codetether_ray.agent.parts import AgentLinks, AgentParts
from codetether_ray.bootstrap.agents import build_parts
from codetether_ray.bootstrap.home import HomeTerms, open_journal, open_ledger
from codetether_ray.core.ids import new_run_id
from codetether_ray.core.messages import user
from codetether_ray.core.models import ModelRequest
from codetether_ray.core.spec import AgentSpec, Correlation, TurnResult
from codetether_ray.core.usage import Budget
from codetether_ray.local.admission import LocalAdmission
from codetether_ray.local.clock import SystemClock
from codetether_ray.local.publisher import LocalPublisher
from codetether_ray.local.runtime import HostedRuntime
from codetether_ray.ports.pool import PoolTerms
from codetether_ray.testing.fakes import ScriptedProvider
from codetether_ray.tools.catalog import tools_for

_POLL_S = 0.005
_QUIET_S = 1.0
_asking: set[str] = set()


async def wire(spec: AgentSpec, links: AgentLinks) -> AgentParts:
    """The default wiring, but for the model."""
    return replace(await build_parts(spec, links), provider=ScriptedProvider(_never))


async def close_process() -> None:
    """Nothing is shared but a set of names."""


async def _never(request: ModelRequest) -> str:
    _asking.add(request.agent)
    await asyncio.Event().wait()
    return ""


def look(_: object) -> tuple[int, float, int]:
    """How many have come to their request, CPU used and PSS of this process. Called there."""
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    pss = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))
    return len(_asking), time.process_time(), pss


def asking(_: object) -> int:
    """How many have come to their request. Called there."""
    return len(_asking)


async def packed(options: dict[str, Any], world: World) -> dict[str, float]:
    """Start agents in one process; what each of them took."""
    from codetether_ray.actors.door import Served

    count = options["agents"]
    clock, correlation = SystemClock(), Correlation(run_id=world.run_id)
    terms = HomeTerms(correlation=correlation, data_dir=Path(options["data_dir"]), budget=Budget())
    journal, ledger = await open_journal(terms), open_ledger(terms, clock)
    host = world.host(f"{__name__}:wire", stays=True, pack=count + 1, pool=PoolTerms(warm=1))

    def voice(spec: AgentSpec) -> LocalPublisher:
        return LocalPublisher(journal, world.bus, correlation, spec.path, clock)

    admission = LocalAdmission(host.capacity, clock)
    runtime = HostedRuntime(host, admission, ledger, voice, clock, directory=world.directory)
    world.serve(Served(journal=journal, ledger=ledger, children=runtime))
    world.begun.set()
    pool: Any = host._leases.pool  # type: ignore[attr-defined]
    await pool.warmed()
    (member,) = pool._idle
    actor = member.process.actor

    def spec(name: str) -> AgentSpec:
        return AgentSpec(
            path=f"sub/{name}",
            kind="subagent",
            name=name,
            model="local/bench",
            base_url="http://127.0.0.1:1/v1",
            root=options["data_dir"],
            correlation=correlation,
            tools=tools_for("subagent"),
            memory_bytes=1_000_000,
            data_dir=options["data_dir"],
        )

    works: list[asyncio.Future[TurnResult]] = []

    async def until(number: int) -> None:
        while await actor.__ray_call__.remote(asking) < number:
            ended = [work.result() for work in works if work.done()]
            if ended:
                raise RuntimeError(f"an agent ended: {ended[0]}")
            await asyncio.sleep(_POLL_S)

    works.append(asyncio.ensure_future(runtime.run(spec("first"), user("Look around."))))
    await until(1)
    await asyncio.sleep(_QUIET_S)
    _, cpu_s, pss = await actor.__ray_call__.remote(look)
    own_s, began = time.process_time(), time.perf_counter()
    works += [
        asyncio.ensure_future(runtime.run(spec(str(n)), user("Look around."))) for n in range(count)
    ]
    await until(len(works))
    wall_s = time.perf_counter() - began
    _, cpu_then_s, pss_then = await actor.__ray_call__.remote(look)
    used_s = cpu_then_s - cpu_s + time.process_time() - own_s
    for work in works:
        work.cancel()
    await asyncio.wait(works)
    await runtime.close()
    await journal.close()
    return {
        "cpu_s": used_s / count,
        "wall_s": wall_s / count,
        "pss_mib": (pss_then - pss) / count / (1 << 20),
    }


async def in_supervisor(agents: int) -> dict[str, float]:
    """`packed`, in a supervisor on the Ray that this process is connected to."""
    from codetether_ray.actors.dossier import Dossier, Job
    from codetether_ray.actors.services import start_services
    from codetether_ray.actors.supervised import RaySupervisor

    async def nobody(_: object) -> None:
        """Nothing is asked."""

    with tempfile.TemporaryDirectory() as folder:
        run_id = new_run_id("swarm")
        job = Job(
            function=f"{__name__}:packed",
            options={"agents": agents, "data_dir": folder},
        )
        services = start_services(is_private=False)
        dossier = Dossier.of(Path(folder), run_id)
        supervisor = RaySupervisor.start(run_id, services, job, dossier)
        try:
            found: dict[str, float] = await supervisor.result(nobody)
        finally:
            supervisor.end()
    return found


async def leased(
    count: int, weigh: Callable[[int], tuple[int, int]]
) -> tuple[float, float, list[tuple[int, int]]]:
    """Wall and CPU (s) of a lease of the cluster's pool, where as many processes are warm.

    `weigh` is called with the pid of each.
    """
    import ray

    from codetether_ray.actors.nodes import this_node
    from codetether_ray.actors.pool import SharedLeases, shared_pool

    class Holder:
        """Lives on."""

        async def outlive(self) -> None:
            await asyncio.Event().wait()

    pool = shared_pool(PoolTerms(idle_max=count))
    await pool.warm.remote(count)
    holder = ray.remote(Holder).options(num_cpus=0).remote()
    leases = SharedLeases(pool, f"bench {os.getpid()}", holder)
    first = await leases.lease(this_node(), "bench")
    leases.give_back(first, 0)
    await pool.warm.remote(count)
    await asyncio.sleep(_QUIET_S)
    before, began = time.process_time(), time.perf_counter()
    found = await asyncio.gather(*(leases.lease(this_node(), "bench") for _ in range(count)))
    wall_s, cpu_s = time.perf_counter() - began, time.process_time() - before
    memory = [weigh(lease.body.process.pid) for lease in found if lease.body.process]
    ray.kill(pool)
    return wall_s / count, cpu_s / count, memory
