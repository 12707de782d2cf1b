"""`codetether swarm` on a private Ray. Each start takes seconds, so each test is a long scene."""

import asyncio
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from codetether_ray.testing.leaks import find_leaks
from codetether_ray.testing.model_server import ModelCall, ModelServer, Reply, call, say
from tests.e2e.program import Program
from tests.e2e.ray_scene import kill, kill_titled, processes_of, ray_directories
from tests.e2e.swarm_scene import (
    TASK,
    SwarmModel,
    by_agent,
    checkout,
    git,
    main_tree,
    make_repository,
    records,
)

KEY = "sk-proj-Zq7marked4secret9value2never8seen"
"""Shaped like a key, and found nowhere else."""


@pytest.fixture
def program(program: Program) -> Program:
    make_repository(program.project)
    return program


class LeakHunter:
    """Looks for the key in Ray's own files while they are still there: at the last request."""

    def __init__(self, program: Program, model: SwarmModel) -> None:
        self._program, self._model = program, model
        self.directories: list[Path] = []
        self.leaks: list[Path] = []

    async def __call__(self, request: ModelCall) -> Reply:
        if self._model.who(request) == "synthesis":
            self.directories = ray_directories(self._program)
            self.leaks = await asyncio.to_thread(find_leaks, KEY, self.directories)
        return self._model(request)


async def test_a_swarm_on_ray_survives_a_killed_agent_and_leaks_and_leaves_nothing(
    program: Program,
) -> None:
    """Four agents in two waves, a marked key, one agent killed in the middle of its turn."""
    before = checkout(program.project)
    steps = {
        "beta": [
            call(
                "bash", command="env | grep sk-; cat ~/.local/share/codetether-agent/secrets/store"
            ),
            call("write_file", path="beta.txt", content="by beta\n"),
            say("beta is done"),
        ]
    }
    model = SwarmModel(steps=steps)
    hunter = LeakHunter(program, model)
    killed: list[int] = []

    early: list[str] = []

    async def script(request: ModelCall) -> Reply:
        if model.who(request) == "planner":  # it does not wait for Ray
            early.extend(t for t in processes_of(program).values() if "raylet" in t)
        if model.who(request) == "beta" and request.step == 2 and not killed:
            killed.extend(kill(program, "SubAgent"))
            await asyncio.sleep(1)
        return await hunter(request)

    async with ModelServer(script) as server:
        stored = await program.run(
            *("auth", "set", "openai", "--base-url", server.url), stdin=f"{KEY}\n"
        )
        assert stored.code == 0, stored.err
        ended = await program.run(
            *("swarm", TASK, "--json", "--model", "openai/gpt-4o", "--record", "the.tape"),
            timeout_s=300,
        )
        requests = server.requests
        assert not server.refused
    assert ended.code == 0, ended.err

    # the work
    result = ended.json
    assert [s["stage"] for s in result["subtask_results"]] == [0, 0, 1, 1]
    names = git(program.project, "ls-tree", "--name-only", result["branch"]).splitlines()
    assert {"alpha.txt", "beta.txt", "gamma.txt", "delta.txt"} <= set(names)
    (program.project / "the.tape").rename(program.home / "the.tape")
    assert checkout(program.project) == before
    assert result["cost_usd"] > 0

    # the death: what had been answered was not asked again
    assert early == []
    assert killed
    found = records(program, result["swarm_id"])
    assert any(r.event.tag == "agent.restarted" for r in found)
    answered = Counter((r.agent, r.event.step) for r in found if r.event.tag == "model.responded")
    assert set(answered.values()) == {1}
    asked = Counter((model.who(r), r.step) for r in requests)
    assert asked["beta", 0] == asked["beta", 1] == 1

    # the key
    assert all(r.headers["Authorization"] == f"Bearer {KEY}" for r in requests)
    assert not any(KEY in str(r.body) for r in requests)
    assert hunter.directories
    assert hunter.leaks == []
    assert find_leaks(KEY, [program.home, program.project]) == []

    # the screen: every line is ours, and nothing is left behind
    stray = [x for x in ended.err.splitlines() if re.search(r"(?i)\braylet|PYTHON worker|ray::", x)]
    assert stray == []
    assert processes_of(program) == {}
    assert not ray_directories(program)

    # the same conversation from its tape, with other delays: the same trees and events
    tree = main_tree(program.project)
    tape = f"tape/{program.home / 'the.tape'}?delay=0..0.3&seed=4"
    again = await program.run("swarm", TASK, "--json", "--local", "--model", tape)
    assert again.code == 0, again.err
    assert main_tree(program.project) == tree
    replayed = by_agent(records(program, again.json["swarm_id"]))
    recorded = by_agent(found)
    assert replayed.keys() == recorded.keys()
    undisturbed = [who for who, kinds in recorded.items() if "agent.restarted" not in kinds]
    assert "sub/gamma" in undisturbed  # it starts when beta is done
    for who in undisturbed:
        assert replayed[who] == recorded[who], who


@pytest.mark.matrix
async def test_a_swarm_whose_ray_cannot_start_says_so_and_goes_on_from_its_plan_later(
    program: Program,
) -> None:
    """Its plan was made meanwhile; what Ray needs is killed as often as it comes."""
    model = SwarmModel()

    async def no_ray() -> None:
        while True:
            await asyncio.to_thread(kill_titled, program, "gcs_server")
            await asyncio.sleep(0.05)

    async with ModelServer(model) as server:
        env = {
            "CODETETHER_LOCAL_BASE_URL": server.url,
            "RAY_py_gcs_connect_timeout_s": "1",
            "RAY_gcs_rpc_server_connect_timeout_s": "1",
        }
        killing = asyncio.create_task(no_ray())
        ended = await program.run("swarm", TASK, "--json", "--model", "local/m", **env)
        killing.cancel()
        assert (ended.code, ended.json["outcome"]) == (1, "failed"), ended.err
        assert ended.json["error"].startswith("Ray could not be started: ")
        assert "Traceback" not in ended.err
        resume = ended.json["resume"].split()
        assert resume[:3] == ["codetether", "swarm", "--resume"]
        assert model.asked == [("planner", 0)]
        went_on = await program.run(*resume[1:], "--local", "--json", **env)
    assert went_on.json["outcome"] == "success", went_on.err
    assert model.asked.count(("planner", 0)) == 1
    assert processes_of(program) == {}


async def test_an_interrupt_on_ray_ends_agents_cleanly_and_the_swarm_can_go_on(
    program: Program,
) -> None:
    slow = SwarmModel(steps={"beta": [say("late", delay_s=600)]})
    env = {"CODETETHER_LOCAL_BASE_URL": ""}
    async with ModelServer(slow) as server:
        env["CODETETHER_LOCAL_BASE_URL"] = server.url
        process = await program.start("swarm", TASK, "--json", "--model", "local/m", **env)
        async with asyncio.timeout(180):
            while ("beta", 0) not in slow.asked or ("alpha", 1) not in slow.asked:
                await asyncio.sleep(0.05)
        ended = await program.interrupted(process)
    assert ended.code == 130, ended.err
    assert ended.json["outcome"] == "cancelled"
    assert "--resume" in ended.err
    assert "Traceback" not in ended.err
    assert processes_of(program) == {}
    assert not ray_directories(program)
    async with ModelServer(SwarmModel()) as server:
        again = await program.run(
            *("swarm", "--resume", ended.json["swarm_id"], "--local", "--json"),
            CODETETHER_LOCAL_BASE_URL=server.url,
        )
    assert again.code == 0, again.err


async def test_a_single_agent_can_be_asked_onto_ray(program: Program) -> None:
    replies = iter([call("bash", command="echo hello from ray"), say("it said hello")])
    async with ModelServer(lambda _: next(replies)) as server:
        ended = await program.run(
            *("run", "say hello", "--ray", "--format", "stream-json", "--model", "local/m"),
            CODETETHER_LOCAL_BASE_URL=server.url,
            timeout_s=300,
        )
    assert ended.code == 0, ended.err
    kinds = [line["kind"] for line in ended.lines]
    assert kinds[-1] == "result"
    assert {"agent.started", "tool.output", "tool.finished", "run.finished"} <= set(kinds)
    assert ended.lines[-1]["text"] == "it said hello"
    bare = replace(program, project=program.home)
    listed = await bare.run("runs", "--json")
    assert ended.lines[-1]["session_id"] in listed.out
