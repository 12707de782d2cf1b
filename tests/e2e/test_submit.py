"""`codetether ralph submit` to a head of one's own that has a dashboard."""

import asyncio
import json
from typing import Any

import aiohttp
import pytest

from codetether_ray.testing.model_server import ModelServer
from tests.e2e.program import Program
from tests.e2e.ralph_scene import STORIES, RalphModel, make_project

ONE_STORY = [{"description": "Do the work of US-001.", **STORIES[0]}]


@pytest.mark.matrix
async def test_a_submitted_run_is_a_ray_job_without_a_runtime_environment(program: Program) -> None:
    make_project(program.project, user_stories=ONE_STORY)
    up = await program.run("up", "--dashboard", timeout_s=120)
    assert up.code == 0, up.err
    dashboard = up.err.partition("Ray's dashboard: ")[2].split()[0]
    try:
        async with ModelServer(RalphModel()) as server:
            submitted = await program.run(
                *("ralph", "submit", "--json", "--model", "local/m"),
                *("--address", dashboard),
                CODETETHER_LOCAL_BASE_URL=server.url,
                timeout_s=120,
            )
            assert submitted.code == 0, submitted.err
            run_id = submitted.json["run_id"]
            assert submitted.json["job"] == run_id, submitted.err
            job = await ended_job(dashboard, program, run_id)
        assert (job["status"], job["metadata"]["codetether_run"]) == ("SUCCEEDED", run_id), job
        assert not job["runtime_env"]
        seen = await program.run("ralph", "status", "--run", run_id, "--json")
        assert seen.json["outcome"] == "completed"
    finally:
        await program.run("down")


async def ended_job(dashboard: str, program: Program, id: str) -> dict[str, Any]:
    """What the dashboard says of a Ray job once it is over."""
    head = json.loads((program.data / "ray" / "head.json").read_text())
    with open(head["token"]) as file:  # noqa: PTH123 - a line
        headers = {"Authorization": f"Bearer {file.read().strip()}"}
    async with aiohttp.ClientSession(headers=headers) as session, asyncio.timeout(120):
        while True:
            async with session.get(f"{dashboard}/api/jobs/{id}") as answer:
                job: dict[str, Any] = await answer.json()
            if job["status"] in ("SUCCEEDED", "FAILED", "STOPPED"):
                return job
            await asyncio.sleep(1)
