"""A node is lost with all that was on it: the swarm goes on, and ends as if nothing had been."""

import random
from collections import Counter

import pytest

from tests.cluster.lost_node import AGENTS, Scene
from tests.cluster.nodes import Nodes

_RUNS = 10
_LOST_A_FILE = 1
"""The seed that the test before it plays: together they are ten runs."""


async def check(nodes: Nodes, seed: int) -> None:
    scene = Scene(nodes=nodes, name=f"run{seed}", seed=seed)
    result = await scene.play()
    assert scene.lost, "no node was lost"
    assert len(result["subtask_results"]) == AGENTS
    scene.check(result)
    assert not scene.differences(result), scene.told
    places = scene.places(scene.records(result))
    first = Counter(lives[0] for lives in places.values())
    assert len(first) >= 3 - (scene.lost not in first), first  # it spread before
    assert all(lives[-1] != scene.lost or len(lives) == 1 for lives in places.values())


@pytest.mark.matrix
async def test_a_swarm_outlives_a_node(nodes: Nodes) -> None:
    """At a moment at which a file was lost once: its agent came to the head, and had begun anew."""
    await check(nodes, _LOST_A_FILE)


@pytest.mark.full
async def test_a_swarm_outlives_a_node_at_a_moment_of_which_nobody_thought(nodes: Nodes) -> None:
    """It is printed, and said where a check fails."""
    await check(nodes, random.SystemRandom().randrange(1_000, 1_000_000))


@pytest.mark.full
@pytest.mark.parametrize("seed", [seed for seed in range(_RUNS) if seed != _LOST_A_FILE])
async def test_a_swarm_outlives_a_node_at_any_moment(seed: int, nodes: Nodes) -> None:
    await check(nodes, seed)
