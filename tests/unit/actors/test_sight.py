"""What is seen of nodes of which one does not answer."""

import asyncio
from typing import Any

import pytest

from codetether_ray.actors import sight
from codetether_ray.actors.node import RayNode


class FakeNode:
    def __init__(self, id: str, cut: asyncio.Event) -> None:
        self.id = id
        self._cut = cut
        self.asked = 0

    async def call(self, function: str) -> sight.Word:
        self.asked += 1
        if self.id == "cut off":
            await self._cut.wait()
        return 5, 1


def _node(id: str) -> dict[str, Any]:
    return {"NodeID": id, "Resources": {"CPU": 2.0, "memory": 8}, "Alive": True}


async def test_a_node_that_owes_an_answer_holds_up_one_look_and_not_the_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cut, names = asyncio.Event(), ("cut off", "n2")
    nodes = {name: FakeNode(name, cut) for name in names}
    monkeypatch.setattr(sight, "this_node", lambda: "elsewhere")
    monkeypatch.setattr(sight, "_listed", lambda: ([_node(name) for name in names], {}, ()))
    monkeypatch.setattr(RayNode, "on", lambda id, *, lasts: nodes[id])
    monkeypatch.setattr(sight, "_PATIENCE_S", 0.01)
    seen = sight.Sight()
    async with asyncio.timeout(60):
        while await silent(seen) != {"cut off"}:
            continue
        monkeypatch.setattr(sight, "_PATIENCE_S", 3600.0)
        assert await silent(seen) == {"cut off"}
        assert nodes["cut off"].asked == 1
        cut.set()
        while await silent(seen):
            continue


async def test_the_first_look_waits_until_each_node_has_a_process_that_answers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    names = ("n1", "n2")
    starts = asyncio.Event()
    nodes = {"n1": FakeNode("n1", starts), "n2": FakeNode("cut off", starts)}
    monkeypatch.setattr(sight, "this_node", lambda: "elsewhere")
    monkeypatch.setattr(sight, "_listed", lambda: ([_node(name) for name in names], {}, ()))
    monkeypatch.setattr(RayNode, "on", lambda id, *, lasts: nodes[id])
    monkeypatch.setattr(sight, "_PATIENCE_S", 0.01)
    seen = sight.Sight(first_s=3600.0)
    async with asyncio.timeout(60):
        look = asyncio.create_task(silent(seen))
        while not nodes["n2"].asked:
            await asyncio.sleep(0)
        asyncio.get_running_loop().call_later(0.1, starts.set)
        assert await look == set()


async def silent(seen: sight.Sight) -> set[str]:
    """The nodes that do not answer, as a look finds them."""
    return {node.node for node in (await seen.capacity()).nodes if node.is_silent}
