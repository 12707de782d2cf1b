"""Node loss to the next model request of an agent that lived there.

    python scripts/bench/mttr.py [ROUNDS] [AGENTS]          # default: 3 24

A Ray cluster of a head and two workers on this machine, each a host of its own (as the tests have
it; root only). In each round a swarm runs, and a worker is lost from one moment to the next with
its files. Two ways: killed (its connections are reset, so Ray hears of it at once) and cut off (it
falls silent, and Ray's health checks have to miss it: 3 of them, 1 s apart). A line per case, the
median of the rounds, against the moment when the run knew of the loss.
"""

import asyncio
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from codetether_ray.testing.hosts import why_not
from codetether_ray.testing.model_server import ModelCall, Reply
from tests.cluster.lost_node import Scene
from tests.cluster.nodes import HEAD, Nodes

_DELAY_S = 0.3


class Timed(Scene):
    """Notes when who asked; a node where agents live goes when a third of the requests came."""

    go: Callable[[str], None]

    def _script(self) -> Any:
        self.asked_at: list[tuple[float, str]] = []
        self.gone_at = 0.0
        victim = next(name for name in self.nodes.nodes if name != HEAD)
        ids = self.nodes.alive()

        async def script(request: ModelCall) -> Reply:
            self.asked_at.append((time.time(), f"sub/{self.model.who(request)}"))
            is_time = len(self.asked_at) >= self.agents and not self.lost
            if is_time and await asyncio.to_thread(self._lives_on, victim) and not self.lost:
                self.lost, self.gone_at = ids[victim], time.time()
                await asyncio.to_thread(self.go, victim)
            await asyncio.sleep(_DELAY_S)
            return self.model(request)

        return script

    def _lives_on(self, name: str) -> bool:
        """Whether some sub-agent is at work on a node."""
        return any("::SubAgent" in title for title in self.nodes.nodes[name].titles().values())


def killed(nodes: Nodes) -> Callable[[str], None]:
    """A node whose kernel still says that its connections are closed."""

    def go(name: str) -> None:
        nodes.nodes[name].stop()

    return go


def cut(nodes: Nodes) -> Callable[[str], None]:
    """A node that is heard of no more."""

    def go(name: str) -> None:
        nodes.nodes[name].host.cut()

    return go


async def once(nodes: Nodes, name: str, agents: int, how: Any) -> dict[str, float] | None:
    """One round; seconds after the loss. None where nobody lived there."""
    scene = Timed(nodes=nodes, name=name, seed=None, agents=agents)
    scene.go = how(nodes)
    result = await scene.play()
    scene.check(result)
    found = scene.records(result)
    struck = {a for a, lives in scene.places(found).items() if scene.lost in lives[:-1]}
    known = [
        r.time
        for r in found
        if r.event.tag == "agent.restarted" and r.agent in struck and r.time > scene.gone_at
    ]
    later = [(at, who) for at, who in scene.asked_at if at > scene.gone_at + _DELAY_S]
    next_at = [min(at for at, who in later if who == agent) for agent in struck]
    victim = next(n for n in nodes.nodes if n != HEAD)
    nodes.lose(victim)
    if not struck:
        return None
    return {
        "known": min(known) - scene.gone_at,
        "first": min(next_at) - scene.gone_at,
        "median": statistics.median(next_at) - scene.gone_at,
        "last": max(next_at) - scene.gone_at,
    }


def main() -> None:
    """Print all cases."""
    reason = why_not()
    if reason:
        sys.exit(reason)
    rounds, agents = (int(a) for a in (sys.argv[1:] + ["3", "24"][len(sys.argv) - 1 :])[:2])
    os.environ.pop("RAY_ADDRESS", None)
    with tempfile.TemporaryDirectory() as folder:
        nodes = Nodes.up(Path(folder), CODETETHER_LEASE_S="10")
        try:
            for name, how in (("killed", killed), ("cut off", cut)):
                found = []
                for number in range(rounds):
                    while len(nodes.nodes) < 3:
                        nodes.add()
                    one = asyncio.run(once(nodes, f"{name}{number}", agents, how))
                    found += [one] if one else []
                for case in ("first", "median", "last"):
                    line(f"a node is {name}: {case} agent's next request", case, found)
        finally:
            nodes.close()


def line(case: str, key: str, found: list[dict[str, float]]) -> None:
    """One case."""
    ours = statistics.median(one[key] for one in found)
    known = statistics.median(one["known"] for one in found)
    row = {
        "bench": "mttr",
        "case": case,
        "unit": "s",
        "ours": round(ours, 2),
        "against": {"the run knows of the loss": round(known, 2)},
        "ratio": round(ours / known, 2) if known else None,
    }
    print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
