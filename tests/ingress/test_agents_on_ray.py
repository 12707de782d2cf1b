"""Real agents behind two replicas: a run outlives the replica that follows it, and is ended from
the other."""

import asyncio
import json
import os
import signal
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from codetether_ray.actors.cluster import Cluster
from codetether_ray.ingress.options import IngressOptions
from codetether_ray.testing.model_server import ModelCall, ModelServer, Reply, call, say
from tests.ingress.scene import Served, message, served, text_of
from tests.ingress.scene import call as ask
from tests.ingress.test_agents import write_settings

_AT_ONCE = {"configuration": {"returnImmediately": True}}
AGENTS = {"agents": IngressOptions().agents, "model": "local/m"}


def _holder(door: Served) -> int:
    """The process of the replica that has the only connection."""
    [pid] = {
        one.pid
        for one in psutil.net_connections("tcp")
        if one.status == psutil.CONN_ESTABLISHED
        and one.laddr.port == door.serving.options.port
        and one.pid in door.pids()
    }
    assert pid is not None
    return pid


async def _ended(client: httpx.AsyncClient, task_id: str) -> Any:
    async with asyncio.timeout(90):
        while True:
            task = await ask(client, "GetTask", {"id": task_id})
            state = task["status"]["state"]
            if state not in ("TASK_STATE_SUBMITTED", "TASK_STATE_WORKING"):
                return task
            await asyncio.sleep(0.2)


@pytest.mark.matrix
async def test_a_turn_goes_on_when_its_replica_dies_and_the_other_tells_how_it_ended(
    cluster: Cluster, head_data_dir: Path, home: Path
) -> None:
    asked_twice, go_on = asyncio.Event(), asyncio.Event()

    async def script(asked: ModelCall) -> Reply:
        if asked.step == 0:
            return call("bash", command="echo once >> log")
        asked_twice.set()
        await go_on.wait()
        return say("all is well")

    async with ModelServer(script) as server:
        write_settings(home, server.url)
        async with served(cluster, head_data_dir, replicas=2, **AGENTS) as door:
            async with door.client() as client:
                begun = await ask(client, "SendMessage", {**message("work"), **_AT_ONCE})
                async with asyncio.timeout(60):
                    await asked_twice.wait()
                os.kill(_holder(door), signal.SIGKILL)
            go_on.set()
            async with door.client() as client:
                task = await _ended(client, begun["task"]["id"])
        assert server.count == 2
    assert task["status"]["state"] == "TASK_STATE_COMPLETED", task["status"]
    texts = {one["name"]: text_of(one) for one in task["artifacts"]}
    assert texts["response"] == "all is well"
    assert texts["changes.patch"].count("+once") == 1


@pytest.mark.matrix
async def test_a_cancel_at_the_other_replica_ends_the_command_that_runs(
    cluster: Cluster, head_data_dir: Path, home: Path
) -> None:
    def script(_: ModelCall) -> Reply:
        return call("bash", command="touch outbox-began; exec sleep 4321")

    async with ModelServer(script) as server:
        write_settings(home, server.url)
        async with served(cluster, head_data_dir, replicas=2, **AGENTS) as door:
            async with door.client() as client:
                begun = await ask(client, "SendMessage", {**message("wait"), **_AT_ONCE})
                first = _holder(door)
            async with asyncio.timeout(60):
                while not _sleeping():
                    await asyncio.sleep(0.1)
            task = await _cancelled_elsewhere(door, first, begun["task"]["id"])
    assert task["status"]["state"] == "TASK_STATE_CANCELED", json.dumps(task["status"])
    assert not _sleeping()


async def _cancelled_elsewhere(door: Served, first: int, task_id: str) -> Any:
    for _ in range(100):
        async with door.client() as client:
            await ask(client, "GetTask", {"id": task_id})
            if _holder(door) != first:
                return await ask(client, "CancelTask", {"id": task_id})
    raise AssertionError("every connection reaches the same replica")


def _sleeping() -> bool:
    return any(one.info["cmdline"] == ["sleep", "4321"] for one in psutil.process_iter(["cmdline"]))
