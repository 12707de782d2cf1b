"""Runs that are ordered at replicas elsewhere than the truth: they live on the cluster's nodes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest

from codetether_ray.core.events import AgentPlaced
from codetether_ray.journal.reader import read_records
from codetether_ray.pb.codetether.v1 import control_pb2 as pb
from codetether_ray.pb.codetether.v1 import control_pb2_grpc as stubs
from tests.adapters.control.conftest import bundled
from tests.adapters.control.scene import metadata
from tests.cluster.nodes import Nodes
from tests.cluster.spread import Spread, spread
from tests.e2e.relay_scene import OKR
from tests.e2e.swarm_scene import TASK, SwarmModel, git, make_repository

_PATIENCE_S = 300  # of a test on a busy machine
_MADE = {"alpha.txt", "beta.txt", "gamma.txt", "delta.txt"}


@pytest.mark.matrix
async def test_what_is_ordered_at_one_node_is_followed_fetched_and_decided_on_at_another(
    nodes: Nodes, tmp_path: Path
) -> None:
    async with spread(nodes, SwarmModel()) as door:
        project = tmp_path / "project"
        project.mkdir()
        make_repository(project)
        run_id = await a_swarm_is_ordered_here_and_followed_there(door, project)
        await its_branch_is_fetched_at_the_head(door, run_id, project)
        it_lived_on_the_cluster_and_is_recorded_on_the_head_alone(door, run_id)
        await an_okr_is_written_here_and_approved_there(door)
        await a_worker_s_swarm_runs_on_the_cluster(door)


async def a_swarm_is_ordered_here_and_followed_there(door: Spread, project: Path) -> str:
    first, second = door.workers
    async with door.client(first) as one, door.client(second) as other:
        came = await answered(one.post("/v1/bundles", content=bundled(project)), 201)
        order = {"task": TASK, "repository": {"bundle": came["id"]}, "model": "local/m"}
        started = await answered(one.post("/v1/swarms", json=order), 202)
        kinds = await asyncio.wait_for(streamed(other, started["links"]["events"]), _PATIENCE_S)
        assert (kinds[0], kinds[-2:]) == ("run.started", ["run.finished", "end"])
        listed = await answered(other.get("/v1/runs"), 200)
        assert started["run_id"] in [run["id"] for run in listed["runs"]]
        seen = await answered(other.get("/v1/top"), 200)
        assert len(seen["nodes"]) == len(door.nodes.nodes)
        return str(started["run_id"])


async def its_branch_is_fetched_at_the_head(door: Spread, run_id: str, project: Path) -> None:
    async with channel(door, "head") as control:
        mine = metadata(door.token)
        run = await control.GetRun(pb.GetRunRequest(run_id=run_id), metadata=mine)
        assert run.outcome == "success", run.json
        asked = pb.FetchBundleRequest(run_id=run_id)
        pieces = [piece.data async for piece in control.FetchBundle(asked, metadata=mine)]
    back = project.with_name("back.bundle")
    back.write_bytes(b"".join(pieces))
    git(project, "fetch", "--quiet", str(back), "refs/heads/codetether/*:refs/got/*")
    refs = git(project, "for-each-ref", "--format=%(refname)", "refs/got").split()
    [branch] = [ref for ref in refs if ref.endswith("/main")]
    assert set(git(project, "ls-tree", "--name-only", branch).split()) >= _MADE


def it_lived_on_the_cluster_and_is_recorded_on_the_head_alone(door: Spread, run_id: str) -> None:
    places = {
        record.event.node
        for record in read_records(door.nodes.head.data, run_id)
        if isinstance(record.event, AgentPlaced) and record.agent.startswith("sub/")
    }
    assert places
    assert places <= set(door.nodes.alive().values())
    for name in door.workers:
        assert not (door.nodes.nodes[name].data / "events").exists()


async def an_okr_is_written_here_and_approved_there(door: Spread) -> None:
    first, second = door.workers
    async with door.client(first) as one, channel(door, second) as control:
        made = await answered(one.post("/v1/okrs", json=OKR), 201)
        asked = pb.DecideOkrRequest(id=made["okr"]["id"], reason="agreed")
        await control.ApproveOkr(asked, metadata=metadata(door.token))
        found = await answered(one.get(f"/v1/okrs/{made['okr']['id']}"), 200)
    assert [run["status"] for run in found["runs"]] == ["approved"]
    assert found["runs"][0]["approval"]["reason"] == "agreed"


async def a_worker_s_swarm_runs_on_the_cluster(door: Spread) -> None:
    """It takes its task at one node, does it by `--address`, and is on a third."""
    first, second = door.workers
    program = door.nodes.program("worker", on=second)
    make_repository(program.project)
    process = await program.start(
        *("worker", "--server", door.url(first), "--address", door.nodes.address),
        *("--auto-approve", "all", "--model", "local/m", "--no-http-server"),
        CODETETHER_TOKEN=door.token,
        CODETETHER_LOCAL_BASE_URL=door.model_url,
    )
    try:
        async with door.client("head") as client:
            wish = {"title": "Four files", "prompt": TASK, "agent_type": "swarm"}
            task = await answered(client.post("/v1/tasks", json=wish), 201)
            task = await over(client, task["id"])
    finally:
        process.terminate()
        _, err = await asyncio.wait_for(process.communicate(), 300)
    assert task["status"] == "completed", (task, err)
    it_lived_on_the_cluster_and_is_recorded_on_the_head_alone(door, task["session_id"])
    branch = task["result"].rpartition("branch ")[2].rstrip(".\n")
    assert set(git(program.project, "ls-tree", "--name-only", branch).split()) >= _MADE


# -- what it takes --------------------------------------------------------------------------------


async def answered(asked: Any, status: int) -> Any:
    """The JSON of an answer of that status."""
    answer: httpx.Response = await asked
    assert answer.status_code == status, answer.text
    return answer.json()


async def streamed(client: httpx.AsyncClient, path: str) -> list[str]:
    """The kinds of a run's events, to its end."""
    async with client.stream("GET", path, headers={"accept": "text/event-stream"}) as answer:
        assert answer.status_code == 200
        lines = [line async for line in answer.aiter_lines()]
    return [line.partition(": ")[2] for line in lines if line.startswith("event:")]


async def over(client: httpx.AsyncClient, task_id: str) -> Any:
    """A worker's task, when it has ended."""
    async with asyncio.timeout(_PATIENCE_S):
        while True:
            task = await answered(client.get(f"/v1/tasks/{task_id}"), 200)
            if task["status"] not in ("pending", "running"):
                return task
            await asyncio.sleep(0.2)


@asynccontextmanager
async def channel(door: Spread, node: str) -> AsyncIterator[Any]:
    """The control plane of a node's replica, by gRPC."""
    async with grpc.aio.insecure_channel(door.grpc(node)) as made:
        yield stubs.ControlStub(made)
