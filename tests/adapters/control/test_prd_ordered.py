"""A PRD that is sent with its order, on a repository that came as a bundle."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from codetether_ray.pb.codetether.v1 import control_pb2 as pb
from codetether_ray.pb.codetether.v1 import control_pb2_grpc as stubs
from tests.adapters.control.conftest import bundled
from tests.adapters.control.scene import Plane, metadata
from tests.e2e.ralph_scene import STORIES, RalphModel, make_project, prd

SCENE = tuple(s for s in STORIES if s["id"] in ("US-001", "US-002"))


@pytest.fixture
def script() -> Callable[..., object]:
    return RalphModel()


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    make_project(folder, stories=SCENE)
    return folder


async def test_it_is_worked_off_and_followed_by_grpc(plane: Plane, project: Path) -> None:
    token = await plane.token_of("alice", "admin")
    _, came = await plane.ask("POST", "/v1/bundles", token, data=bundled(project))
    request = pb.SubmitPrdRequest(
        prd_json=json.dumps(prd(SCENE)),
        repository=pb.Repository(bundle=came["id"]),
        model="local/m",
        max_iterations=5,
    )
    async with plane.channel() as channel, asyncio.timeout(90):
        control = stubs.ControlStub(channel)
        started = await control.SubmitPrd(request, metadata=metadata(token))
        follow = pb.FollowRunRequest(run_id=started.run_id)
        kinds = [r.kind async for r in control.FollowRun(follow, metadata=metadata(token))]
        run = await control.GetRun(
            pb.GetRunRequest(run_id=started.run_id), metadata=metadata(token)
        )
        listed = await control.ListRuns(pb.ListRunsRequest(kind="ralph"), metadata=metadata(token))
    assert (kinds[0], kinds[-1]) == ("run.started", "run.finished")
    assert (run.outcome, run.principal) == ("completed", "alice"), run.json
    assert [one.id for one in listed.runs] == [run.id]
    stories = json.loads(run.json)["result"]["stories"]
    assert {s["id"]: s["status"] for s in stories} == {s["id"]: "passed" for s in SCENE}


async def test_one_that_cannot_be_worked_on_is_refused_with_what_is_wrong(
    plane: Plane, project: Path
) -> None:
    _, came = await plane.ask("POST", "/v1/bundles", data=bundled(project))
    order = {"repository": {"bundle": came["id"]}, "model": "local/m"}
    status, problem = await plane.ask("POST", "/v1/prds", json={**order, "prd": {"x": 1}})
    assert (status, problem["kind"]) == (422, "Prd"), problem
    status, problem = await plane.ask("POST", "/v1/prds", json={**order, "path": "../../x"})
    assert (status, "no file '../../x'" in problem["detail"]) == (400, True), problem
    headers = {"Content-Type": "application/json"}
    text = json.dumps({**order, "prd": {"feature": b"half \\ud800".decode("unicode_escape")}})
    status, problem = await plane.ask("POST", "/v1/prds", data=text, headers=headers)
    assert (status, "JSON has not" in problem["detail"]) == (400, True), problem
    assert (await plane.ask("GET", "/v1/runs"))[1]["runs"] == []


async def test_a_run_that_lives_in_this_process_is_cancelled_by_its_owner(
    plane: Plane, project: Path
) -> None:
    _, came = await plane.ask("POST", "/v1/bundles", data=bundled(project))
    order = {"repository": {"bundle": came["id"]}, "model": "local/m", "prd": prd(SCENE)}
    status, started = await plane.ask("POST", "/v1/prds", json=order)
    assert status == 202, started
    links = started["links"]
    assert (await plane.ask("POST", links["cancel"]))[1]["was_running"] is True
    async with asyncio.timeout(60):
        while (run := (await plane.ask("GET", links["run"]))[1])["state"] == "running":
            await asyncio.sleep(0.05)
    assert (run["outcome"], run["resume"] is not None) == ("interrupted", True)
