"""The fan-out that the swarm benchmark runs in a supervisor: N agents at once, nothing else."""

import asyncio
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from codetether_ray.actors.world import World
from codetether_ray.bootstrap.home import HomeTerms
from codetether_ray.bootstrap.on_ray import open_home
from codetether_ray.core.messages import user
from codetether_ray.core.spec import AgentSpec, Correlation
from codetether_ray.core.usage import Budget
from codetether_ray.ports.pool import PoolTerms
from codetether_ray.tools.catalog import tools_for
from codetether_ray.workspace.open import open_workspace

TURNS = 3


async def run(options: dict[str, Any], world: World) -> dict[str, float]:
    """Run the agents; wall seconds from the first that is asked for to the last that has ended.

    The driver is asked to measure before processes are made that wait, and before the fan-out.
    """
    await world.ask_driver("idle")
    correlation = Correlation(run_id=world.run_id, swarm_id=world.run_id)
    data_dir, directory = Path(options["data_dir"]), Path(options["directory"])
    warm = options.get("warm", 0)
    terms = HomeTerms(
        correlation=correlation,
        data_dir=data_dir,
        budget=Budget(),
        pack=options.get("pack", 1),
        pool=PoolTerms(
            warm=warm,
            idle_max=1 if options.get("pack", 1) > 1 else 16,
            agents_max=options.get("agents_max", 200),
        ),
    )
    home = await open_home(world, terms)
    home.begun()
    if warm:
        await home.runtime._host._leases.pool.warmed()
    workspace = await open_workspace(directory, world.run_id, data_dir=data_dir)
    await workspace.open()

    async def in_worktree(spec: AgentSpec) -> AgentSpec:
        return replace(spec, root=str((await workspace.start(spec.name)).path))

    def spec(number: int) -> AgentSpec:
        return AgentSpec(
            path=f"sub/{number}",
            kind="subagent",
            name=f"part-{number}",
            model="local/bench",
            base_url=options["url"],
            root=str(directory),
            correlation=correlation,
            tools=tools_for("subagent"),
            memory_bytes=1_000_000,
            data_dir=str(data_dir),
        )

    await world.ask_driver("ready")
    world_ready = time.perf_counter()
    prepare = in_worktree if options["worktrees"] else None
    results = await asyncio.gather(
        *(
            home.runtime.run(spec(n), user("Look around."), prepare=prepare)
            for n in range(options["agents"])
        )
    )
    wall = time.perf_counter() - world_ready
    failed = [r for r in results if not r.is_success or r.steps != TURNS]
    await home.close()
    if failed:
        raise RuntimeError(f"{len(failed)} agents failed, the first: {failed[0]}")
    return {"wall_s": wall}
