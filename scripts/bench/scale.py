"""Time and memory per sub-agent, on 1, 2 and 4 nodes of this machine.

    python scripts/bench/scale.py [--nodes 1,2,4] [--agents 50,100,200,400] [--pack N]

Each node is a host of its own (as the tests have it; root only), all on the same CPUs: it is not
shown that more nodes are faster, but that what one sub-agent costs does not grow with their number
or with that of the nodes. Each takes 3 model turns and writes two files of a real repository.
Memory is the peak of the proportional memory (PSS) of all nodes' processes beyond the idle
cluster. A line per case, against the smallest number of sub-agents on the same nodes; the aim is
a ratio within 1.3.
"""

import argparse
import asyncio
import json
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from codetether_ray.testing.hosts import why_not
from tests.cluster.lost_node import Scene
from tests.cluster.nodes import Nodes

_PERIOD_S = 1.0


class Meter(threading.Thread):
    """Samples all nodes' processes until it is stopped."""

    def __init__(self, nodes: Nodes) -> None:
        super().__init__(daemon=True)
        self._nodes = nodes
        self._done = threading.Event()
        self.peak = 0

    def run(self) -> None:
        while not self._done.wait(_PERIOD_S):
            self.peak = max(self.peak, memory(self._nodes))

    def stop(self) -> int:
        self._done.set()
        self.join()
        return self.peak


def memory(nodes: Nodes) -> int:
    """PSS of everything on the nodes, in bytes."""
    pids = {pid for node in nodes.nodes.values() for pid in node.host.processes()}
    return sum(pss(pid) for pid in pids)


def pss(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))


def measured(count: int, agents: int, pack: int) -> dict[str, float]:
    """One swarm on a fresh cluster of `count` nodes."""
    with tempfile.TemporaryDirectory() as folder:
        nodes = Nodes.up(Path(folder), [f"n{n}" for n in range(1, count)])
        try:
            warm = Scene(nodes=nodes, name="warm", seed=None, agents=2)
            asyncio.run(warm.play())
            idle = memory(nodes)
            scene = Scene(nodes=nodes, name="work", seed=None, agents=agents)
            meter = Meter(nodes)
            meter.start()
            began = time.monotonic()
            result = asyncio.run(scene.play("--pack", str(pack)))
            wall_s = time.monotonic() - began
            peak = meter.stop()
            scene.check(result)
        finally:
            nodes.close()
    return {"s": wall_s / agents, "MB": (peak - idle) / 1e6 / agents}


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
    options = parser.parse_args()
    for count in map(int, options.nodes.split(",")):
        sizes = [int(size) for size in options.agents.split(",")]
        least = measured(count, sizes[0], options.pack)
        for size in sizes:
            found = least if size == sizes[0] else measured(count, size, options.pack)
            for unit, what in (("s", "time"), ("MB", "memory")):
                case = f"{size} sub-agents on {count} nodes, packed by {options.pack}: {what} each"
                line(case, unit, found[unit], f"{sizes[0]} sub-agents", least[unit])


if __name__ == "__main__":
    main()
