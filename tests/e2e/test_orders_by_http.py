"""`codetether swarm` and `ralph submit` given an ingress' address, from a machine without Ray."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from codetether_ray.testing.model_server import ModelCall, ModelServer, Reply, say
from tests.adapters.control.scene import Plane, opened
from tests.e2e.program import Program
from tests.e2e.ralph_scene import STORIES, RalphModel, make_project
from tests.e2e.swarm_scene import TASK, SwarmModel, git, make_repository

PATIENCE_S = 600  # of a test on a busy machine
TWO = [{"description": f"Do the work of {s['id']}.", **s} for s in STORIES if s["id"] < "US-003"]


@pytest.fixture
def program(program: Program, tmp_path: Path) -> Program:
    """The command where there is no Ray: whatever imports it fails."""
    absent = tmp_path / "absent"
    absent.mkdir()
    (absent / "ray.py").write_text('raise ImportError("there is no Ray here")\n')
    return replace(program, env={**program.env, "PYTHONPATH": str(absent)})


@pytest.fixture
async def far(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Plane]:
    """The ingress of another machine."""
    data = tmp_path / "far" / "data"
    monkeypatch.setenv("CODETETHER_DATA_DIR", str(data))
    async with opened(data) as found:
        yield found


async def test_a_swarm_is_ordered_followed_and_its_branch_is_in_the_checkout(
    program: Program, far: Plane, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_repository(program.project)  # with what is not committed
    before = git(program.project, "for-each-ref")
    async with ModelServer(SwarmModel()) as model:
        monkeypatch.setenv("CODETETHER_LOCAL_BASE_URL", model.url)
        ended = await program.run(
            *("swarm", TASK, "--json", "--model", "local/m", "--address", far.url),
            CODETETHER_TOKEN=far.admin,
            timeout_s=PATIENCE_S,
        )
    assert ended.code == 0, ended.err
    assert (ended.json["outcome"], far.admin in ended.err) == ("success", False)
    names = git(program.project, "ls-tree", "--name-only", ended.json["branch"]).split()
    assert {"alpha.txt", "delta.txt", "tracked.txt", "untracked.txt"} <= set(names)
    assert "ignored" not in names
    assert set(before.splitlines()) < set(git(program.project, "for-each-ref").splitlines())
    assert not (program.data / "events").exists()
    refused = await program.run(
        "swarm", TASK, "--merge", "--pack", "3", "--address", far.url, CODETETHER_TOKEN=far.admin
    )
    assert (refused.code, "--merge, --pack cannot be ordered" in refused.err) == (2, True)
    ran = await program.run("run", "hello", "--address", far.url, CODETETHER_TOKEN=far.admin)
    assert (ran.code, "`codetether send`" in ran.err) == (2, True), ran.err
    worked = await program.run("worker", "--server", far.url, "--address", far.url)
    assert (worked.code, "`--address local`" in worked.err) == (2, True), worked.err


@pytest.mark.matrix
async def test_ctrl_c_ends_a_swarm_that_was_ordered(
    program: Program, far: Plane, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_repository(program.project)
    asked, never = asyncio.Event(), asyncio.Event()

    async def script(_: ModelCall) -> Reply:
        asked.set()
        await never.wait()
        return say("late")

    async with ModelServer(script) as model:
        monkeypatch.setenv("CODETETHER_LOCAL_BASE_URL", model.url)
        driver = await program.start(
            *("swarm", TASK, "--json", "--model", "local/m", "--address", far.url),
            CODETETHER_TOKEN=far.admin,
        )
        async with asyncio.timeout(PATIENCE_S):
            await asked.wait()
        ended = await program.interrupted(driver)
        never.set()
    assert ended.code == 130, ended.err
    assert ended.json["outcome"] == "cancelled"
    _, found = await far.ask("GET", "/v1/runs")
    assert [run["outcome"] for run in found["runs"]] == ["cancelled"]


@pytest.mark.matrix
async def test_a_prd_is_ordered_followed_and_its_branch_and_state_come_back(
    program: Program, far: Plane, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_project(program.project, user_stories=TWO)
    at = ("--address", far.url, "--json")
    async with ModelServer(RalphModel()) as model:
        monkeypatch.setenv("CODETETHER_LOCAL_BASE_URL", model.url)
        submitted = await program.run(
            *("ralph", "submit", "--model", "local/m", *at),
            CODETETHER_TOKEN=far.admin,
            timeout_s=PATIENCE_S,
        )
        assert submitted.code == 0, submitted.err
        run_id = submitted.json["run_id"]
        seen = await program.run(
            *("ralph", "status", "--run", run_id, "--follow", *at),
            CODETETHER_TOKEN=far.admin,
            timeout_s=PATIENCE_S,
        )
    assert (seen.code, seen.json["outcome"]) == (0, "completed"), seen.err
    fetched = await program.run("ralph", "fetch", "--run", run_id, *at, CODETETHER_TOKEN=far.admin)
    assert (fetched.code, fetched.json["branch"]) == (0, "ralph/eight-things"), fetched.err
    subjects = git(program.project, "log", "--format=%s", "ralph/eight-things", "^HEAD")
    assert subjects.splitlines() == ["feat(us-002): Greets", "feat(us-001): The core"]
    stories = json.loads((program.project / "prd.json").read_text())["user_stories"]
    assert [story["passes"] for story in stories] == [True, True]
