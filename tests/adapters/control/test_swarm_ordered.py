"""A swarm that is ordered over the network, on a repository that came as a bundle."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from codetether_ray.pb.codetether.v1 import control_pb2 as pb
from codetether_ray.pb.codetether.v1 import control_pb2_grpc as stubs
from codetether_ray.testing.model_server import ModelServer
from tests.adapters.control.scene import Plane, events, metadata, opened
from tests.e2e.swarm_scene import TASK, SwarmModel, git


@pytest.fixture
def script() -> Callable[..., object]:
    return SwarmModel()


async def test_it_runs_is_followed_by_its_owner_alone_and_its_branch_comes_back(
    plane: Plane, bundle: bytes, tmp_path: Path
) -> None:
    alice, bob = await plane.token_of("alice"), await plane.token_of("bob")
    status, came = await plane.ask("POST", "/v1/bundles", alice, data=bundle)
    assert (status, came.get("size")) == (201, len(bundle)), came
    order = {"task": TASK, "repository": {"bundle": came["id"]}, "model": "local/m"}
    assert (await plane.ask("POST", "/v1/swarms", bob, json=order))[0] == 404
    status, started = await plane.ask("POST", "/v1/swarms", alice, json=order)
    assert status == 202, started
    run_id, links = started["run_id"], started["links"]

    async with asyncio.timeout(60):
        seen = await events(plane, links["events"], alice)
    assert (seen[0]["event"], seen[-1]["event"]) == ("run.started", "end")
    assert json.loads(seen[-1]["data"])["outcome"] == "success"
    numbers = [int(one["id"]) for one in seen if "id" in one]
    assert numbers == list(range(len(numbers)))
    again = await events(plane, links["events"], alice, last=str(numbers[-3]))
    assert [one.get("id") for one in again] == [str(numbers[-2]), str(numbers[-1]), None]

    status, run = await plane.ask("GET", links["run"], alice)
    assert (run["principal"], run["outcome"], run["result"]["success"]) == (
        "alice",
        "success",
        True,
    )
    for path in (links["run"], links["events"], links["bundle"]):
        assert (await plane.ask("GET", path, bob))[0] == 404
    assert (await plane.ask("POST", links["cancel"], bob))[0] == 404
    assert (await plane.ask("POST", links["cancel"], alice))[1]["was_running"] is False
    assert [r["id"] for r in (await plane.ask("GET", "/v1/runs", alice))[1]["runs"]] == [run_id]
    assert (await plane.ask("GET", "/v1/runs", bob))[1]["runs"] == []
    assert (await plane.ask("GET", links["run"]))[0] == 200, "an administrator finds everybody's"

    made = await _fetched(plane, run_id, alice, tmp_path / "back.bundle")
    git(tmp_path / "project", "fetch", "--quiet", str(made), "refs/heads/codetether/*:refs/got/*")
    (branch,) = [
        ref
        for ref in git(tmp_path / "project", "for-each-ref", "--format=%(refname)").split()
        if ref.startswith("refs/got/") and ref.endswith("/main")
    ]
    files = git(tmp_path / "project", "ls-tree", "--name-only", branch).split()
    assert {"alpha.txt", "beta.txt", "gamma.txt", "delta.txt"} <= set(files)


async def _fetched(plane: Plane, run_id: str, token: str, path: Path) -> Path:
    """The bundle of a run, the same by HTTP and by gRPC."""
    headers = {"Authorization": f"Bearer {token}"}
    async with plane.session.get(f"{plane.url}/v1/runs/{run_id}/bundle", headers=headers) as answer:
        assert answer.status == 200
        by_http = await answer.read()
    async with plane.channel() as channel:
        control = stubs.ControlStub(channel)
        request = pb.FetchBundleRequest(run_id=run_id)
        pieces = [p.data async for p in control.FetchBundle(request, metadata=metadata(token))]
    path.write_bytes(by_http)
    assert b"".join(pieces).partition(b"\n\n")[0] == by_http.partition(b"\n\n")[0]
    return path


async def test_an_order_that_names_no_model_is_done_by_the_one_of_the_ingress(
    tmp_path: Path, bundle: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = tmp_path / "data"
    monkeypatch.setenv("CODETETHER_DATA_DIR", str(data))
    async with ModelServer(SwarmModel()) as model, opened(data, model="local/m") as plane:
        monkeypatch.setenv("CODETETHER_LOCAL_BASE_URL", model.url)
        _, came = await plane.ask("POST", "/v1/bundles", data=bundle)
        order = {"task": TASK, "repository": {"bundle": came["id"]}}
        status, started = await plane.ask("POST", "/v1/swarms", json=order)
        assert status == 202, started
        assert (await plane.ask("GET", started["links"]["run"]))[1]["model"] == "local/m"
