"""An ingress with a replica on each node, its truth on the head's: all of them are the same."""

import asyncio
import shlex

import httpx
import pytest

from codetether_ray.testing.model_server import ModelCall, Reply, call, say
from tests.cluster.nodes import Nodes
from tests.cluster.spread import KEY, Spread, ready, spread
from tests.ingress.scene import Seen, message, stream
from tests.ingress.scene import call as ask

_AT_ONCE = {"configuration": {"returnImmediately": True}}
_PATIENCE_S = 300  # of a test on a busy machine
_SLEEP = "exec sleep 54321"


class Steps:
    """A model that answers when it is told to, or has a command run that doesn't end."""

    def __init__(self) -> None:
        self.asked, self.go = asyncio.Event(), asyncio.Event()
        self.keys = set[str]()

    def anew(self) -> None:
        """The next answer waits again."""
        self.asked.clear()
        self.go.clear()

    async def __call__(self, request: ModelCall) -> Reply:
        self.keys.add({name.lower(): key for name, key in request.headers.items()}["x-api-key"])
        if "sleep" in request.first_user_text:
            self.asked.set()
            return call("bash", command=_SLEEP)
        self.asked.set()
        await self.go.wait()
        return say("all is well")


@pytest.mark.matrix
async def test_replicas_of_several_nodes_are_one_ingress_and_go_on_without_one(
    nodes: Nodes,
) -> None:
    steps = Steps()
    async with spread(nodes, steps) as door:
        first, second = door.workers
        async with door.client(first) as one, door.client(second) as other:
            assert [await ready(one), await ready(other)] == ["ready", "ready"]
            await what_one_began_the_other_reads_and_streams(door, steps)
            await what_one_began_the_other_cancels(door, steps)
        await what_a_lost_node_s_replica_began_another_follows(door, steps)
    assert steps.keys == {KEY}


async def what_one_began_the_other_reads_and_streams(door: Spread, steps: Steps) -> None:
    first, second = door.workers
    async with door.client(first) as one, door.client(second) as other:
        begun = (await ask(one, "SendMessage", {**message("work"), **_AT_ONCE}))["task"]
        await asyncio.wait_for(steps.asked.wait(), _PATIENCE_S)
        read = await ask(other, "GetTask", {"id": begun["id"]})
        assert read["status"]["state"] == "TASK_STATE_WORKING"
        steps.go.set()
        seen = await followed(other, begun["id"])
        assert (seen.state, seen.text) == ("TASK_STATE_COMPLETED", "all is well")


async def what_one_began_the_other_cancels(door: Spread, steps: Steps) -> None:
    steps.anew()
    first, second = door.workers
    async with door.client(first) as one, door.client(second) as other:
        begun = (await ask(one, "SendMessage", {**message("sleep"), **_AT_ONCE}))["task"]
        async with asyncio.timeout(_PATIENCE_S):
            while not sleepers(door):
                await asyncio.sleep(0.1)
        gone = await ask(other, "CancelTask", {"id": begun["id"]})
        assert gone["status"]["state"] == "TASK_STATE_CANCELED"
        again = await ask(one, "GetTask", {"id": begun["id"]})
        assert again["status"]["state"] == "TASK_STATE_CANCELED"
    async with asyncio.timeout(_PATIENCE_S):
        while sleepers(door):
            await asyncio.sleep(0.1)


async def what_a_lost_node_s_replica_began_another_follows(door: Spread, steps: Steps) -> None:
    steps.anew()
    first, second = door.workers
    async with door.client(first) as one, door.client(second) as other:
        begun = (await ask(one, "SendMessage", {**message("work on"), **_AT_ONCE}))["task"]
        await asyncio.wait_for(steps.asked.wait(), _PATIENCE_S)
        await asyncio.to_thread(door.nodes.lose, first)
        following = asyncio.create_task(followed(other, begun["id"]))
        steps.go.set()
        seen = await asyncio.wait_for(following, _PATIENCE_S)
        assert (seen.state, seen.text) == ("TASK_STATE_COMPLETED", "all is well")
        assert await ready(other) == "ready"


async def followed(client: httpx.AsyncClient, task_id: str) -> Seen:
    """A task as it was seen to its end."""
    seen = Seen()
    while seen.state in ("", "TASK_STATE_SUBMITTED", "TASK_STATE_WORKING"):
        async for event in stream(client, "SubscribeToTask", {"id": task_id}):
            seen.take(event)
    return seen


def sleepers(door: Spread) -> list[str]:
    """The command, wherever it runs."""
    words = shlex.split(_SLEEP)[1:]
    return [
        title
        for node in door.nodes.nodes.values()
        for title in node.titles().values()
        if title.split() == words
    ]
