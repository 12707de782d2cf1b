"""Swarms of agents as Ray actors, and the same loop in one process.

    python scripts/bench/swarm.py [AGENTS …]          # default: 10 50 100

Each agent takes 3 model turns of 200 ms against an HTTP model in another process, with a real tool
call after the first two; the journal is on. On Ray: wall time over the ideal 0.6 s and CPU per
model turn; then, in a second run, since weighing slows what is weighed, peak memory (PSS) of all
processes, Ray's own included, against the same cluster idle: packed into one process, a process
each from a warm pool, from an empty one (what has ended serves those that still wait), from an
empty one with worktrees, and a process each freshly started. A line per case.
"""

import asyncio
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from swarm_local import IDEAL_S, TURNS, local_cases, start_model

from codetether_ray.actors.cluster import ClusterOptions, join_or_start
from codetether_ray.actors.dossier import Dossier, Job
from codetether_ray.actors.services import start_services
from codetether_ray.actors.supervised import RaySupervisor
from codetether_ray.core.ids import new_run_id

_HERE = Path(__file__).parent
_SETTLE_S = 3.0
_WAYS: dict[str, Callable[[int], dict[str, Any]]] = {
    "packed": lambda agents: {"pack": agents, "warm": 1},
    "a warm process each": lambda agents: {"warm": agents},
    "a process each, the pool empty": lambda _: {},
    "a process each, the pool empty, worktrees": lambda _: {"worktrees": True},
    "a fresh process each": lambda _: {"agents_max": 1},
}
"""Terms of the fan-out, by how its agents live; `warm`: processes that wait when it begins."""


class Meter:
    """Samples this process and its descendants while it is open: their CPU, or their memory too."""

    def __init__(self, *, weighs: bool) -> None:
        words = [sys.executable, str(_HERE / "process_tree.py"), str(os.getpid())]
        self._process = subprocess.Popen(
            words + ["--weigh"] * weighs,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def stop(self) -> list[dict[str, float]]:
        """All samples."""
        out, _ = self._process.communicate()
        return [json.loads(line) for line in out.splitlines()]


async def fan_out(agents: int, url: str, work: Path, way: str, *, weighs: bool) -> dict[str, float]:
    """One fan-out on a private Ray of its own: timed, or weighed."""
    options = {
        "agents": agents,
        "url": url,
        "worktrees": False,
        "directory": str(work / "repository"),
        "data_dir": tempfile.mkdtemp(dir=work),
        **_WAYS[way](agents),
    }
    cluster = await join_or_start(
        ClusterOptions(data_dir=Path(str(options["data_dir"])), address="local")
    )
    try:
        services = start_services(is_private=True)
        run_id = new_run_id("swarm")
        job = Job(function="swarm_fanout:run", options=options)
        seen: dict[str, dict[str, float]] = {}

        async def measure(moment: str) -> None:
            await asyncio.sleep(_SETTLE_S)
            meter = Meter(weighs=weighs)
            await asyncio.sleep(1.0)
            seen[moment] = meter.stop()[-1]
            if moment == "ready":
                meters.append(Meter(weighs=weighs))

        meters: list[Meter] = []
        dossier = Dossier.of(Path(str(options["data_dir"])), run_id)
        supervisor = RaySupervisor.start(run_id, services, job, dossier)
        result: dict[str, Any] = await supervisor.result(measure)
        samples = meters[0].stop()
        supervisor.end()
    finally:
        await cluster.close()
    return {
        "wall_s": result["wall_s"],
        "cpu_ms": (samples[-1]["cpu_s"] - seen["ready"]["cpu_s"]) * 1000 / (agents * TURNS),
        "idle_mb": seen["idle"]["pss"] / 1e6,
        "peak_mb": max(sample["pss"] for sample in samples) / 1e6,
    }


def ray_cases(sizes: list[int], url: str) -> None:
    """Print the cases on Ray."""
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        subprocess.run([_HERE.parent / "demo_workspace", work / "repository"], check=True)
        for agents in sizes:
            for way in _WAYS:
                timed = _apart(agents, url, work, way)
                weighed = _apart(agents, url, work, way, "--weigh")
                case = f"{agents} agents x {TURNS} turns x 200 ms on Ray, {way}"
                peak, idle = weighed["peak_mb"], weighed["idle_mb"]
                line(f"{case}: wall", "s", timed["wall_s"], "ideal", IDEAL_S)
                line(f"{case}: CPU per model turn", "ms", timed["cpu_ms"], None, None)
                line(f"{case}: peak PSS", "MB", peak, "idle cluster", idle)
                line(f"{case}: peak PSS beyond idle", "MB", peak - idle, None, None)
                each = (peak - idle) / agents
                line(f"{case}: PSS per agent beyond idle", "MB", each, None, None)


def _apart(agents: int, url: str, work: Path, way: str, *more: str) -> dict[str, float]:
    """`fan_out` in a process of its own, so that one case leaves nothing to the next."""
    command = [sys.executable, __file__, "--one", str(agents), url, str(work), way, *more]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def line(case: str, unit: str, ours: float, name: str | None, value: float | None) -> None:
    """One case."""
    row = {
        "bench": "swarm",
        "case": case,
        "unit": unit,
        "ours": round(ours, 3),
        "against": {name: round(value, 3)} if name and value else None,
        "ratio": round(ours / value, 3) if value else None,
    }
    print(json.dumps(row), flush=True)


def main() -> None:
    """Print all cases."""
    if sys.argv[1:2] == ["--one"]:
        agents, url, work, way, *more = sys.argv[2:]
        one = fan_out(int(agents), url, Path(work), way, weighs=bool(more))
        print(json.dumps(asyncio.run(one)))
        return
    sizes = [int(a) for a in sys.argv[1:]] or [10, 50, 100]
    server, url = start_model()
    try:
        local_cases(sizes, url)
        ray_cases(sizes, url)
    finally:
        server.terminate()
        server.wait()


if __name__ == "__main__":
    main()
