"""What an actor costs to start: CPU, wall time and memory, forked, pooled, packed against cold.

    python scripts/bench/spawn.py [--counts 1,10,50,100] [--rounds 3]

Each case runs in a Ray of its own, in turn, so that load hits all alike; figures are medians over
the rounds, per actor. CPU is what the actor's process used until its second answer (its own clock),
with its launcher's and the fork server's share. Memory is read once all have answered twice. What
`pool` and `packed` count, `spawn_agents.py` tells.
"""

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from spawn_agents import in_supervisor, leased

from codetether_ray.actors.cluster import ClusterOptions, join_or_start
from codetether_ray.actors.forkserver.protocol import SWITCH
from codetether_ray.actors.forkserver.status import Status, status_of

_QUIET_S = 2.0
"""After Ray has started, and before memory is read."""
_MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one actor, on average."""

    cpu_s: float
    wall_s: float
    pss_mib: float
    private_mib: float


Measure = Callable[[int], Awaitable[Cost]]


@dataclass(frozen=True, slots=True)
class Case:
    """A way to start many actors on a fresh Ray."""

    environ: Mapping[str, str]
    """Its Ray is started with these."""
    measure: Measure
    """Starts so many, and ends them."""


class Light:
    """An actor that does nothing: what it costs is what an actor costs."""

    async def used(self) -> tuple[int, float]:
        """Its process, and the CPU (s) that it used."""
        return os.getpid(), time.process_time()


async def separate(count: int) -> Cost:
    """Actors of Ray, a process each."""
    import ray

    node = ray.get_runtime_context().get_node_id()
    before = status_of(node)
    light = ray.remote(Light).options(num_cpus=0)
    began = time.perf_counter()
    actors = [light.remote() for _ in range(count)]
    await asyncio.gather(*(actor.used.remote() for actor in actors))
    wall_s = time.perf_counter() - began
    used = await asyncio.gather(*(actor.used.remote() for actor in actors))
    cpu_s = sum(cpu_s for _, cpu_s in used) + _shared_cpu_s(before, status_of(node))
    await asyncio.sleep(_QUIET_S)
    memory = [_memory(pid) for pid, _ in used]
    for actor in actors:
        ray.kill(actor)
    pss, private = (sum(part) / count / _MIB for part in zip(*memory, strict=True))
    return Cost(cpu_s / count, wall_s / count, pss, private)


def _shared_cpu_s(before: Status | None, after: Status | None) -> float:
    """What launchers and the fork server used between two looks."""
    if before is None or after is None:
        return 0.0
    used_s = after.launchers_cpu_s - before.launchers_cpu_s
    return used_s + after.cpu_s - before.cpu_s


def _memory(pid: int) -> tuple[int, int]:
    """PSS and private memory that was written, in bytes."""
    found = {}
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]:
        name, size, *_ = line.split()
        found[name] = int(size) * 1024
    return found["Pss:"], found["Private_Dirty:"]


async def pooled(count: int) -> Cost:
    """Processes that wait in the cluster's pool: what a lease of one takes."""
    wall_s, cpu_s, memory = await leased(count, _memory)
    pss, private = (sum(part) / count / _MIB for part in zip(*memory, strict=True))
    return Cost(cpu_s, wall_s, pss, private)


async def packed(count: int) -> Cost:
    """Whole agents in one process, up to their first request; what each adds to it."""
    found = await in_supervisor(count)
    return Cost(found["cpu_s"], found["wall_s"], found["pss_mib"], found["pss_mib"])


CASES: dict[str, Case] = {
    "cold": Case({SWITCH: "0"}, separate),
    "forked": Case({SWITCH: "1"}, separate),
    "pool": Case({SWITCH: "1"}, pooled),
    "packed": Case({SWITCH: "1"}, packed),
}
"""Another way to start agents is another line here; the others are paired with the first."""


async def _on_a_ray(case: Case, counts: list[int]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        cluster = await join_or_start(ClusterOptions(data_dir=Path(folder), address="local"))
        try:
            await case.measure(1)  # what Ray itself does at the first
            for count in counts:
                await asyncio.sleep(_QUIET_S)
                print(json.dumps(asdict(await case.measure(count))), flush=True)
        finally:
            await cluster.close()


def _costs(name: str, counts: str) -> list[dict[str, float]]:
    done = subprocess.run(
        [sys.executable, __file__, "--case", name, "--counts", counts],
        env={**os.environ, **CASES[name].environ},
        stdout=subprocess.PIPE,
        check=True,
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


def _report(name: str, base: str, count: int, ours: list[Any], against: list[Any]) -> None:
    for field in ours[0]:
        mine, other = (
            statistics.median(cost[field] for cost in costs) for costs in (ours, against)
        )
        line = {
            "bench": "spawn",
            "case": f"{name}, {count} at once: {field.rpartition('_')[0]} per actor",
            "unit": field.rpartition("_")[2].replace("mib", "MiB"),
            "ours": round(mine, 4),
            "against": f"{base}: {other:.4f}",
            "ratio": round(mine / other, 4),
        }
        print(json.dumps(line), flush=True)


def main() -> None:
    """Run the cases in turn, and print each against the first."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--counts", default="1,10,50,100")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--case", choices=tuple(CASES), help=argparse.SUPPRESS)
    options = parser.parse_args()
    counts = [int(count) for count in options.counts.split(",")]
    if options.case:
        asyncio.run(_on_a_ray(CASES[options.case], counts))
        return
    found: dict[str, list[list[dict[str, float]]]] = {name: [] for name in CASES}
    for _ in range(options.rounds):
        for name in CASES:
            found[name].append(_costs(name, options.counts))
    base = next(iter(CASES))
    for name in list(CASES)[1:]:
        for i, count in enumerate(counts):
            ours, against = ([round_[i] for round_ in found[n]] for n in (name, base))
            _report(name, base, count, ours, against)


if __name__ == "__main__":
    main()
