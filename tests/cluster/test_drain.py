"""A node that is told to go gives its agents away, each after its present step, before it goes."""

import asyncio
from collections import Counter
from typing import Any

import pytest

from codetether_ray.core.events import AgentPlaced
from codetether_ray.testing.model_server import ModelCall, Reply
from tests.cluster.lost_node import Scene
from tests.cluster.nodes import HEAD, Nodes

pytestmark = pytest.mark.matrix  # tens of seconds each: some of them in each run of the suite

_AGENTS = 9
_DEADLINE_S = 600


class Drained(Scene):
    """Every agent's second answer waits until a node was told to go."""

    def _script(self) -> Any:
        victim = next(name for name in self.nodes.nodes if name != HEAD)
        self.lost = self.nodes.alive()[victim]
        held: set[str] = set()
        told = asyncio.Event()

        async def script(request: ModelCall) -> Reply:
            who = self.model.who(request)
            if who.startswith("part") and request.step == 1:
                held.add(who)
                if len(held) == _AGENTS:
                    await asyncio.to_thread(drain, self.nodes, self.lost)
                    told.set()
                await told.wait()
                await asyncio.sleep(5)  # it is seen by looks that are seconds apart
            return self.model(request)

        return script


def drain(nodes: Nodes, node: str) -> None:
    """As an autoscaler or a spot notice would."""
    nodes.head.ray(
        *("drain-node", f"--address={nodes.address}", f"--node-id={node}"),
        *("--reason", "DRAIN_NODE_REASON_PREEMPTION", "--reason-message", "the spot price rose"),
        f"--deadline-remaining-seconds={_DEADLINE_S}",
    )


async def test_agents_leave_a_node_that_is_about_to_go(nodes: Nodes) -> None:
    scene = Drained(nodes=nodes, name="drained", seed=None, agents=_AGENTS)
    victim = next(name for name in nodes.nodes if name != HEAD)
    try:
        result = await scene.play()
        scene.check(result)
        found = scene.records(result)
        places = scene.places(found)
        assert len({lives[0] for lives in places.values()}) == 3
        moved = {agent for agent, lives in places.items() if lives[0] == scene.lost}
        assert moved
        assert all(places[agent][-1] != scene.lost for agent in moved)
        assert all(len(places[agent]) == 1 for agent in places.keys() - moved)
        asked = Counter((scene.model.who(r), r.step) for r in scene.requests)
        assert set(asked.values()) == {1}  # what was in flight was waited for
        assert not [r for r in found if r.event.tag == "tool.finished" and r.event.interrupted]
        reasons = {r.event.reason for r in found if r.event.tag == "agent.restarted"}
        assert reasons == {"its node is about to go"}
        placed = [r for r in found if isinstance(r.event, AgentPlaced)]
        told = next(r.seq for r in found if r.event.tag == "agent.restarted")
        assert not [r for r in placed if r.seq > told and r.event.node == scene.lost]
    finally:
        nodes.lose(victim)
