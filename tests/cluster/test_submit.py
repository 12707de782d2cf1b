"""A run that is submitted to a cluster: begun by one process, followed by another, fetched by a
third; whoever looks on may go, and the run goes on."""

import asyncio
import json
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from codetether_ray.testing.hosts import why_not
from codetether_ray.testing.model_server import ModelCall, ModelServer, Reply
from tests.cluster.nodes import HEAD, Nodes
from tests.e2e.program import Program
from tests.e2e.ralph_scene import STORIES, RalphModel, make_project
from tests.e2e.swarm_scene import git

TWO = [{"description": f"Do the work of {s['id']}.", **s} for s in STORIES if s["id"] < "US-003"]


def a_worker(nodes: Nodes) -> str:
    return next(name for name in nodes.nodes if name != HEAD)


async def test_a_submitted_run_outlives_its_submitter_and_is_fetched(nodes: Nodes) -> None:
    program = nodes.program("submitted", on=a_worker(nodes))
    make_project(program.project, user_stories=TWO)
    before = git(program.project, "rev-parse", "HEAD")
    model, go = RalphModel(), asyncio.Event()

    async def script(asked: ModelCall) -> Reply:
        await go.wait()
        return await model(asked)

    async with ModelServer(script, host=nodes.gateway) as server:
        submitter = await program.start(
            *("ralph", "submit", "--json", "--model", "local/m"),
            CODETETHER_LOCAL_BASE_URL=server.url,
        )
        out, err = await asyncio.wait_for(submitter.communicate(), 300)
        assert submitter.returncode == 0, err.decode()
        made = json.loads(out)
        run_id = made["run_id"]
        follower = await program.start("ralph", "status", "--run", run_id, "--follow", "--json")
        left = await program.start("ralph", "status", "--run", run_id, "--follow")
        await asyncio.sleep(2)
        left.kill()  # who looks on has no part in the run
        await left.communicate()
        assert follower.returncode is None
        go.set()
        out, err = await asyncio.wait_for(follower.communicate(), 300)
    assert follower.returncode == 0, err.decode()
    seen = json.loads(out)
    assert (seen["state"], seen["outcome"]) == ("finished", "completed")
    assert seen["stories"] == {"US-001": "passed", "US-002": "passed"}
    assert not git(program.project, "branch", "--list", "ralph/*")
    await the_branch_comes_home(program, run_id, before)
    assert (nodes.head.data / "events" / run_id).is_dir()
    assert not (nodes.nodes[a_worker(nodes)].data / "events").exists()


async def the_branch_comes_home(program: Program, run_id: str, before: str) -> None:
    fetched = await program.run("ralph", "fetch", "--run", run_id, "--json")
    assert fetched.code == 0, fetched.err
    branch = fetched.json["branch"]
    assert branch == "ralph/eight-things"
    subjects = git(program.project, "log", "--format=%s", f"{before}..{branch}").splitlines()
    assert subjects == ["feat(us-002): Greets", "feat(us-001): The core"]
    assert git(program.project, "rev-parse", "HEAD") == before
    stories = json.loads((program.project / "prd.json").read_text())["user_stories"]
    assert [story["passes"] for story in stories] == [True, True]
    assert "US-002" in (program.project / "progress.txt").read_text()


async def test_a_submitter_that_is_killed_takes_nothing_with_it(nodes: Nodes) -> None:
    program = nodes.program("killed", on=a_worker(nodes))
    make_project(program.project, user_stories=TWO)
    model, begun, earlier = RalphModel(), asyncio.Event(), ralph_runs(nodes)

    async def script(asked: ModelCall) -> Reply:
        begun.set()
        await asyncio.sleep(1)
        return await model(asked)

    async with ModelServer(script, host=nodes.gateway) as server:
        submitter = await program.start(
            *("ralph", "submit", "--model", "local/m"), CODETETHER_LOCAL_BASE_URL=server.url
        )
        await asyncio.wait_for(begun.wait(), 300)
        if submitter.returncode is None:
            submitter.send_signal(signal.SIGKILL)
        await submitter.communicate()
        [run_id] = {path.name for path in ralph_runs(nodes) - earlier}
        ended = await program.run(
            *("ralph", "status", "--run", run_id, "--follow", "--json"), timeout_s=300
        )
    assert (ended.code, ended.json["outcome"]) == (0, "completed"), ended.err


def ralph_runs(nodes: Nodes) -> set[Path]:
    """Where the head keeps its Ralph runs."""
    return set((nodes.head.data / "events").glob("rlp_*"))


@pytest.mark.matrix
async def test_where_there_is_a_dashboard_the_run_is_a_ray_job(tmp_path: Path) -> None:
    reason = why_not()
    if reason:
        pytest.skip(reason)
    nodes = await asyncio.to_thread(Nodes.up, tmp_path, ("n1",), dashboard=True)
    try:
        program = nodes.program("job", on="n1")
        make_project(program.project, user_stories=TWO)
        async with ModelServer(RalphModel(), host=nodes.gateway) as server:
            submitted = await program.run(
                *("ralph", "submit", "--json", "--model", "local/m"),
                *("--address", nodes.dashboard),
                CODETETHER_LOCAL_BASE_URL=server.url,
                timeout_s=300,
            )
            assert submitted.code == 0, submitted.err
            run_id = submitted.json["run_id"]
            assert submitted.json["job"] == run_id, submitted.err
            job = await asyncio.to_thread(ended_job, nodes, run_id)
        assert (job["status"], job["metadata"]["codetether_run"]) == ("SUCCEEDED", run_id), job
        assert not job["runtime_env"]
        seen = await program.run("ralph", "status", "--run", run_id, "--json")
        assert seen.json["outcome"] == "completed"
    finally:
        await asyncio.to_thread(nodes.close)


_JOB = """
import json, sys, time
from pathlib import Path
from urllib.request import Request, urlopen
token = Path.home().joinpath(".ray", "auth_token").read_text().strip()
asked = Request(sys.argv[1], headers={"Authorization": f"Bearer {token}"})
for _ in range(120):
    job = json.load(urlopen(asked))
    if job["status"] in ("SUCCEEDED", "FAILED", "STOPPED"):
        break
    time.sleep(1)
print(json.dumps(job))
"""


def ended_job(nodes: Nodes, id: str) -> dict[str, Any]:
    """What the dashboard says of a Ray job once it is over."""
    url = f"{nodes.dashboard}/api/jobs/{id}"
    said = nodes.head.host.run(
        *(sys.executable, "-c", _JOB, url), env=nodes.head.env, timeout_s=300
    )
    job: dict[str, Any] = json.loads(said)
    return job
