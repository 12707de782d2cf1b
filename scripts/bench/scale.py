"""What a sub-agent costs in time, CPU and memory, on 1, 2 and 4 nodes of this machine.

    python scripts/bench/scale.py [--nodes 1,2,4] [--agents 50,100,200,400] [--pack N] [--kept FILE]

Each node is a host of its own (as the tests have it; root only), all on the same CPUs: it is not
shown that more nodes are faster, but that what one sub-agent costs does not grow with their number
or with that of the nodes. Each takes 3 model turns and writes two files of a real repository.
CPU is that of all nodes' processes, from the command's start to its end; memory the peak of their
proportional memory (PSS) beyond the idle cluster, for each sub-agent of those that lived at once:
as many as have room on a node, and so more on more nodes. A line per case, against the smallest
number of sub-agents on the same nodes, and one against the smallest number of nodes; the aim is a
ratio within 1.3. The nodes' files are in memory where there is room: ext4 makes files slowly for
minutes after many were deleted, so that each case would pay for the one before. With `--kept`,
what was measured is added to that file (JSON lines), and what is in it is not measured again: a
case at a time, where time is short.
"""

import argparse
import asyncio
import json
import os
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from codetether_ray.core.events import AgentPlaced, Record, TurnFinished
from codetether_ray.testing.hosts import why_not
from tests.cluster.lost_node import Scene
from tests.cluster.nodes import Nodes

_PERIOD_S = 1.0
_IN_MEMORY = Path("/dev/shm")
_ROOM = 8_000_000_000
"""Bytes: each of some hundred trees of the repository has ten million or so."""


@dataclass(frozen=True, slots=True)
class Used:
    """Seconds of CPU of one process, as last seen."""

    parent: int
    own: float
    of_children: float
    """Of those that it waited for, and of theirs."""


class Meter(threading.Thread):
    """Samples all nodes' processes until it is stopped."""

    def __init__(self, nodes: Nodes) -> None:
        super().__init__(daemon=True)
        self._nodes = nodes
        self._done = threading.Event()
        self._used: dict[tuple[int, str], Used] = {}
        self._alive: set[tuple[int, str]] = set()
        self.peak = 0
        self._look()
        self._before_s = self._cpu_s()

    def run(self) -> None:
        while not self._done.wait(_PERIOD_S):
            self._look()

    def stop(self) -> tuple[int, float]:
        """The most memory in bytes; CPU in seconds since it was made."""
        self._done.set()
        self.join()
        self._look()
        return self.peak, self._cpu_s() - self._before_s

    def _look(self) -> None:
        found = processes(self._nodes)
        self.peak = max(self.peak, sum(map(pss, found)))
        seen = {key: used for pid in found for key, used in cpu(pid).items()}
        self._used.update(seen)
        self._alive = set(seen)

    def _cpu_s(self) -> float:
        """Of all that were seen, and of those too short-lived for it that somebody waited for."""
        told: dict[int, float] = {}
        for key, used in self._used.items():
            if key not in self._alive:
                told[used.parent] = told.get(used.parent, 0.0) + used.own + used.of_children
        own = sum(used.own for used in self._used.values())
        return own + sum(
            max(used.of_children - told.get(pid, 0.0), 0.0) for (pid, _), used in self._used.items()
        )


def processes(nodes: Nodes) -> set[int]:
    """All that run on the nodes."""
    return {pid for node in nodes.nodes.values() for pid in node.host.processes()}


def pss(pid: int) -> int:
    """Memory of a process, what it shares divided among those who do; in bytes."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))


def cpu(pid: int) -> dict[tuple[int, str], Used]:
    """What a process has used, by its pid and start time (proc(5)); nothing where it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return {}
    tick = os.sysconf("SC_CLK_TCK")
    own, children = (sum(map(int, fields[at : at + 2])) / tick for at in (11, 13))
    return {(pid, fields[19]): Used(int(fields[1]), own, children)}


def measured(count: int, agents: int, pack: int) -> dict[str, float]:
    """One swarm on a fresh cluster of `count` nodes."""
    with tempfile.TemporaryDirectory(dir=roomy()) as folder:
        nodes = Nodes.up(Path(folder), [])
        try:
            for _ in range(count - 1):  # one by one: Ray gives each half a minute to start
                nodes.add()
            warm = Scene(nodes=nodes, name="warm", seed=None, agents=2)
            asyncio.run(warm.play())
            idle = sum(map(pss, processes(nodes)))
            scene = Scene(nodes=nodes, name="work", seed=None, agents=agents)
            meter = Meter(nodes)
            meter.start()
            began = time.monotonic()
            result = asyncio.run(scene.play("--pack", str(pack)))
            wall_s = time.monotonic() - began
            peak, cpu_s = meter.stop()
            scene.check(result)
            alive = most_alive(scene.records(result))
        finally:
            nodes.close()
    return {"s": wall_s / agents, "CPU s": cpu_s / agents, "MB": (peak - idle) / 1e6 / alive}


def roomy() -> Path | None:
    """A directory in memory; None where there is none, or little room."""
    found = _IN_MEMORY.is_dir() and shutil.disk_usage(_IN_MEMORY).free > _ROOM
    return _IN_MEMORY if found else None


def most_alive(records: Iterable[Record]) -> int:
    """How many sub-agents lived at once, at most."""
    alive = most = 0
    for record in records:
        if record.agent.startswith("sub/"):
            alive += isinstance(record.event, AgentPlaced)
            most = max(most, alive)
            alive -= isinstance(record.event, TurnFinished)
    return most


class Kept:
    """What was measured, by nodes, sub-agents and packing; in a file, where one is given."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        lines = path.read_text().splitlines() if path and path.exists() else []
        rows = map(json.loads, lines)
        self._found = {(r["nodes"], r["agents"], r["pack"]): r["each"] for r in rows}

    def get(self, count: int, agents: int, pack: int) -> dict[str, float]:
        """A case, measured now if it was not before."""
        key = (count, agents, pack)
        if key not in self._found:
            self._found[key] = each = measured(*key)
            if self._path is not None:
                row = {"nodes": count, "agents": agents, "pack": pack, "each": each}
                with self._path.open("a") as file:
                    file.write(json.dumps(row) + "\n")
        return self._found[key]


def line(case: str, unit: str, ours: float, name: str, value: float) -> None:
    """One case."""
    row = {
        "bench": "scale",
        "case": case,
        "unit": unit,
        "ours": round(ours, 3),
        "against": {name: round(value, 3)},
        "ratio": round(ours / value, 2),
    }
    print(json.dumps(row), flush=True)


def main() -> None:
    """Print all cases."""
    reason = why_not()
    if reason:
        sys.exit(reason)
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", default="1,2,4")
    parser.add_argument("--agents", default="50,100,200,400")
    parser.add_argument("--pack", type=int, default=1)
    parser.add_argument("--kept", type=Path)
    options = parser.parse_args()
    kept = Kept(options.kept)
    counts = [int(count) for count in options.nodes.split(",")]
    sizes = [int(size) for size in options.agents.split(",")]
    for count in counts:
        for size in sizes:
            found = kept.get(count, size, options.pack)
            case = f"{size} sub-agents on {count} nodes, packed by {options.pack}"
            tell(case, found, f"{sizes[0]} sub-agents", kept.get(count, sizes[0], options.pack))
            if count != counts[0]:
                tell(case, found, f"{counts[0]} nodes", kept.get(counts[0], size, options.pack))


def tell(case: str, found: dict[str, float], name: str, least: dict[str, float]) -> None:
    """The lines of a case."""
    for unit, what in (("s", "time"), ("CPU s", "CPU"), ("MB", "memory")):
        line(f"{case}: {what} each", unit, found[unit], name, least[unit])


if __name__ == "__main__":
    main()
