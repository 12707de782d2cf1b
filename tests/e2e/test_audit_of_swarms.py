"""The audit log of a swarm: one chain where it lives in one process, one for each actor on Ray."""

import asyncio
import signal
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from codetether_ray.audit.verify import verify
from codetether_ray.audit.witness import journal_heads
from codetether_ray.testing.model_server import ModelServer, call, say
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
            timeout_s=300,
        )
        asked = len(server.requests)
    assert ended.code == 0, ended.err
    swarm_id = ended.json["swarm_id"]
    listed = await program.run("audit", "query", "--json", "--run", swarm_id)
    return swarm_id, listed.lines, asked


def check(
    program: Program, swarm_id: str, found: list[dict[str, Any]], asked: int, **more: int
) -> None:
    assert Counter(entry["action"] for entry in found) == {**ACTIONS, **more}
    unsure = [
        (e["action"], e["principal"], e["outcome"]) for e in found if e["outcome"] != "success"
    ]
    assert unsure == []
    assert sum(entry["action"] == "model.call" for entry in found) == asked
    assert {e["principal"] for e in found if e["category"] == "tool_execution"} == {
        f"agent:sub/{name}" for name in ("alpha", "beta", "gamma", "delta")
    }
    assert len(journal_heads(program.data, swarm_id)) == 1 + len(more)


async def test_a_swarm_in_one_process_writes_one_chain(program: Program) -> None:
    swarm_id, found, asked = await swarm(program, "--local", "--merge")
    delivered = [entry for entry in found if entry["action"] == "swarm.deliver"]
    assert [entry["outcome"] for entry in delivered] in (["success"], ["failure"])
    check(program, swarm_id, [e for e in found if e not in delivered], asked)
    report = verify(program.data)
    assert (report.is_sound, report.chains, report.unclosed) == (True, 1, 0)


async def test_on_ray_each_process_writes_and_closes_a_chain_of_its_own(program: Program) -> None:
    swarm_id, found, asked = await swarm(program)
    check(program, swarm_id, found, asked, **{"swarm.plan": 1})
    report = verify(program.data)
    assert report.is_sound, report.findings
    assert report.chains == 7, "driver, planner, supervisor, four sub-agents, closing voice"
    assert (report.unclosed, report.unsigned_lines) == (0, 0)


def fifty(tally: Path) -> SwarmModel:
    """Fifty agents, each of which leaves a line in a file outside of the repository."""
    names = [f"worker-{number:02}" for number in range(50)]
    return SwarmModel(
        plan=[{"name": name, "instruction": f"Do the work of {name}."} for name in names],
        steps={
            name: (call("bash", command=f"echo {name} >> {tally}"), say(f"{name} is done"))
            for name in names
        },
    )


FIFTY = ("swarm", TASK, "--json", "--local", "--model", "local/m", "--yes")


async def test_fifty_agents_at_once_leave_an_intent_for_each_thing_they_did(
    program: Program, tmp_path: Path
) -> None:
    tally = tmp_path / "tally"
    async with ModelServer(fifty(tally)) as server:
        ended = await program.run(*FIFTY, CODETETHER_LOCAL_BASE_URL=server.url, timeout_s=300)
        asked = len(server.requests)
    assert ended.code == 0, ended.err
    listed = await program.run("audit", "query", "--json", "--run", ended.json["swarm_id"])
    counted = Counter(entry["action"] for entry in listed.lines)
    assert counted["model.call"] == asked
    assert counted["tool:bash"] == len(tally.read_text().split()) == 50
    assert {entry["outcome"] for entry in listed.lines} == {"success"}


async def test_fifty_agents_killed_leave_an_intent_for_each_thing_they_did(
    program: Program, tmp_path: Path
) -> None:
    tally = tmp_path / "tally"
    async with ModelServer(fifty(tally)) as server:
        process = await program.start(*FIFTY, CODETETHER_LOCAL_BASE_URL=server.url)
        async with asyncio.timeout(240):
            while not tally.exists() or len(tally.read_text().split()) < 10:
                await asyncio.sleep(0.005)
        await program.interrupted(process, signal.SIGKILL)
        asked = len(server.requests)
    await asyncio.sleep(0.5)  # what its shells had begun may still write
    listed = await program.run("audit", "query", "--json")
    intents = Counter(entry["action"] for entry in listed.lines)
    who = {e["principal"] for e in listed.lines if e["action"] == "tool:bash"}
    effects = tally.read_text().split()
    assert {f"agent:sub/{name}" for name in effects} <= who, "an effect without an intent"
    assert intents["model.call"] >= asked, "a model was asked without an intent"
    unknown = [e for e in listed.lines if e["outcome"] == "unknown"]
    assert "swarm.run" in {e["action"] for e in unknown}
    report = verify(program.data)
    assert report.is_sound, report.findings
