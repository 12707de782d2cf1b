"""The audit log of a swarm: one chain where it lives in one process, one for each actor on Ray."""

from collections import Counter
from typing import Any

import pytest

from codetether_ray.audit.verify import verify
from codetether_ray.audit.witness import journal_heads
from codetether_ray.testing.model_server import ModelServer
from tests.e2e.program import Program
from tests.e2e.swarm_scene import TASK, SwarmModel, make_repository

ACTIONS = {"swarm.run": 1, "swarm.merge": 4, "tool:write_file": 4, "model.call": 10}


@pytest.fixture
def program(program: Program) -> Program:
    make_repository(program.project)
    return program


async def swarm(program: Program, *arguments: str) -> tuple[str, list[dict[str, Any]], int]:
    """Run a swarm; its id, its audit entries, and how often the model was asked."""
    async with ModelServer(SwarmModel()) as server:
        ended = await program.run(
            *("swarm", TASK, "--json", "--model", "local/m", *arguments),
            CODETETHER_LOCAL_BASE_URL=server.url,
            timeout_s=180,
        )
        asked = len(server.requests)
    assert ended.code == 0, ended.err
    swarm_id = ended.json["swarm_id"]
    listed = await program.run("audit", "query", "--json", "--run", swarm_id)
    return swarm_id, listed.lines, asked


def check(program: Program, swarm_id: str, found: list[dict[str, Any]], asked: int) -> None:
    assert Counter(entry["action"] for entry in found) == ACTIONS
    unsure = [
        (e["action"], e["principal"], e["outcome"]) for e in found if e["outcome"] != "success"
    ]
    assert unsure == []
    assert sum(entry["action"] == "model.call" for entry in found) == asked
    assert {e["principal"] for e in found if e["category"] == "tool_execution"} == {
        f"agent:sub/{name}" for name in ("alpha", "beta", "gamma", "delta")
    }
    assert len(journal_heads(program.data, swarm_id)) == 1


async def test_a_swarm_in_one_process_writes_one_chain(program: Program) -> None:
    swarm_id, found, asked = await swarm(program, "--local", "--merge")
    delivered = [entry for entry in found if entry["action"] == "swarm.deliver"]
    assert [entry["outcome"] for entry in delivered] in (["success"], ["failure"])
    check(program, swarm_id, [e for e in found if e not in delivered], asked)
    report = verify(program.data)
    assert (report.is_sound, report.chains, report.unclosed) == (True, 1, 0)


async def test_on_ray_each_process_writes_and_closes_a_chain_of_its_own(program: Program) -> None:
    swarm_id, found, asked = await swarm(program)
    check(program, swarm_id, found, asked)
    report = verify(program.data)
    assert report.is_sound, report.findings
    assert report.chains == 7, "the supervisor, the planner, four sub-agents, the closing voice"
    assert (report.unclosed, report.unsigned_lines) == (0, 0)
