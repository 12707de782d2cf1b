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
    [pid] = _connected(door)
    return pid


async def _ended(client: httpx.AsyncClient, task_id: str) -> Any:
    async with asyncio.timeout(180):
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
                async with asyncio.timeout(180):
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
            async with asyncio.timeout(180):
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


@pytest.mark.matrix
async def test_a_session_that_one_replica_works_on_is_watched_and_ended_at_the_other(
    cluster: Cluster, head_data_dir: Path, home: Path
) -> None:
    def script(asked: ModelCall) -> Reply:
        if "and now?" in str(asked.body):
            return say("now it is over")
        return call("bash", command="exec sleep 4322")

    async with ModelServer(script) as server:
        write_settings(home, server.url)
        async with (
            served(cluster, head_data_dir, replicas=2, **AGENTS) as door,
            door.client() as one,
        ):
            session = (await one.post("/api/session", json={})).json()["id"]
            first = _holder(door)
            prompt = f"/api/session/{session}/prompt"
            plain = {"accept": "application/json"}
            work = asyncio.create_task(one.post(prompt, json={"message": "wait"}, headers=plain))
            other = await _elsewhere(door, first)
            try:
                kinds = await _watched_and_cancelled(other, session)
                done = (await work).json()
                again = await other.post(prompt, json={"message": "and now?"}, headers=plain)
            finally:
                await other.aclose()
    assert done["outcome"] == "cancelled", done
    assert kinds[:2] == ["status", "tool"]
    assert kinds[-1] == "done"
    assert again.json()["text"] == "now it is over"


async def _watched_and_cancelled(client: httpx.AsyncClient, session: str) -> list[str]:
    """The kinds of events that a watcher is told, who ends the turn once a command runs."""
    kinds: list[str] = []
    url = f"/api/session/{session}"
    async with asyncio.timeout(180):
        while (await client.get(url)).json()["state"] != "working":
            await asyncio.sleep(0.1)
        async with (
            httpx.AsyncClient(
                base_url=client.base_url, headers=client.headers, timeout=60
            ) as ender,
            client.stream("GET", f"{url}/events", timeout=60) as answer,
        ):
            async for line in answer.aiter_lines():
                if line.startswith("event: "):
                    kinds.append(line.removeprefix("event: "))
                    if kinds[-1] == "tool" and kinds.count("tool") == 1:
                        assert (await ender.post(f"{url}/cancel")).json()["was_working"] is True
    return kinds


async def _elsewhere(door: Served, first: int) -> httpx.AsyncClient:
    """A client of the other replica."""
    for _ in range(100):
        client = door.client()
        assert (await client.get("/health")).status_code == 200
        if first not in _connected(door) or len(_connected(door)) > 1:
            return client
        await client.aclose()
    raise AssertionError("every connection reaches the same replica")


def _connected(door: Served) -> set[int]:
    return {
        one.pid
        for one in psutil.net_connections("tcp")
        if one.status == psutil.CONN_ESTABLISHED
        and one.laddr.port == door.serving.options.port
        and one.pid is not None
        and one.pid in door.pids()
    }
