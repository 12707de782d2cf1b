"""What a swarm on Ray does when one of its processes is killed."""

import asyncio
import json
from collections import Counter
from typing import Any

import pytest

from codetether_ray.testing.model_server import ModelCall, ModelServer, Reply, call, say
from tests.e2e.program import Program
from tests.e2e.ray_scene import kill, kill_titled, processes_of, ray_directories
from tests.e2e.swarm_scene import TASK, SwarmModel, git, make_repository, records


@pytest.fixture
def program(program: Program) -> Program:
    make_repository(program.project)
    return program


async def test_a_swarm_whose_supervisor_is_killed_goes_on_by_itself(program: Program) -> None:
    killed: list[int] = []
    model = SwarmModel()

    async def script(request: ModelCall) -> Reply:
        reply = model(request)
        if (model.who(request), request.step) == ("gamma", 1) and not killed:
            await until_asked(model, "delta", 1)
            killed.extend(kill(program, "Supervisor"))
            await asyncio.sleep(2)
        return reply

    async with ModelServer(script) as server:
        ended = await program.run(
            *("swarm", TASK, "--json", "--model", "local/m"),
            CODETETHER_LOCAL_BASE_URL=server.url,
            timeout_s=300,
        )
    assert ended.code == 0, ended.err
    assert killed
    assert "another one goes on from the journal" in ended.err
    check_is_whole(program, model, ended.json)


async def test_a_session_whose_supervisor_is_killed_goes_on_by_itself(program: Program) -> None:
    """Once while the model is asked, once while a tool runs."""
    go, tally, killed = program.project / "go", program.home / "tally", list[int]()
    command = f"echo once >> {tally}; until [ -e {go} ]; do sleep 0.1; done"
    replies = {
        0: call("write_file", path="a.txt", content="hi\n"),
        1: call("bash", command=command),
        2: say("I see that it was interrupted"),
    }

    async def script(request: ModelCall) -> Reply:
        if request.step == 1 and not killed:
            killed.extend(kill(program, "Supervisor"))
            await asyncio.sleep(1)
        return replies[request.step]

    async with ModelServer(script) as server:
        process = await program.start(
            *("run", "work", "--ray", "--format", "stream-json", "--model", "local/m"),
            CODETETHER_LOCAL_BASE_URL=server.url,
        )
        async with asyncio.timeout(180):
            while not tally.exists():
                await asyncio.sleep(0.05)
        killed.extend(kill(program, "Supervisor"))
        out, err = await asyncio.wait_for(process.communicate(), 300)
        steps = Counter(request.step for request in server.requests)
        assert not server.refused
    assert process.returncode == 0, err.decode()
    assert len(killed) == 2
    assert "another one goes on from the journal" in err.decode()
    result = json.loads(out.splitlines()[-1])
    assert result["text"] == "I see that it was interrupted"
    assert tally.read_text() == "once\n"
    assert steps == {0: 1, 1: 2, 2: 1}
    found = records(program, result["session_id"])
    answered = Counter(r.event.step for r in found if r.event.tag == "model.responded")
    assert answered == {0: 1, 1: 1, 2: 1}
    assert [r.event.tag for r in found].count("run.finished") == 1
    assert processes_of(program) == {}


async def test_a_swarm_whose_head_is_killed_says_how_to_go_on_and_goes_on(
    program: Program,
) -> None:
    killed: list[int] = []
    model = SwarmModel()

    async def script(request: ModelCall) -> Reply:
        reply = model(request)
        if (model.who(request), request.step) == ("gamma", 1) and not killed:
            await until_asked(model, "delta", 1)
            killed.extend(kill_titled(program, "/gcs_server "))
            await asyncio.sleep(2)
        return reply

    async with ModelServer(script) as server:
        env = {"CODETETHER_LOCAL_BASE_URL": server.url}
        lost = await program.run(
            *("swarm", TASK, "--json", "--model", "local/m"), timeout_s=300, **env
        )
        assert killed, lost.err
        run_id = lost.json["swarm_id"]
        assert lost.code == 1
        assert "is gone" in lost.json["error"]
        assert lost.json["resume"] == f"codetether swarm --resume {run_id}"
        assert "Traceback" not in lost.err
        assert processes_of(program) == {}
        assert not ray_directories(program)
        again = await program.run("swarm", "--resume", run_id, "--local", "--json", **env)
    assert again.code == 0, again.err
    check_is_whole(program, model, again.json)


async def until_asked(model: SwarmModel, name: str, step: int) -> None:
    """Wait for a request, so that it is known what a kill may interrupt."""
    async with asyncio.timeout(180):
        while (name, step) not in model.asked:
            await asyncio.sleep(0.02)


def check_is_whole(program: Program, model: SwarmModel, result: dict[str, Any]) -> None:
    """All files are there, nothing was answered twice, only what was in flight asked again."""
    found = records(program, result["swarm_id"])
    answered = Counter((r.agent, r.event.step) for r in found if r.event.tag == "model.responded")
    assert set(answered.values()) == {1}
    asked = Counter(model.asked)
    assert {who for who, times in asked.items() if times > 1} <= {("gamma", 1), ("delta", 1)}
    names = git(program.project, "ls-tree", "--name-only", result["branch"]).splitlines()
    assert {"alpha.txt", "beta.txt", "gamma.txt", "delta.txt"} <= set(names)


@pytest.mark.matrix
async def test_a_swarm_goes_on_when_bus_registry_and_resolver_are_killed(program: Program) -> None:
    """Alpha and beta write the same file, so a resolver is needed; each is killed once."""
    victims = {("alpha", 1): "LocalBus", ("beta", 1): "Registry", ("resolver", 1): "Resolver"}
    killed: dict[str, list[int]] = {}
    steps = {
        name: [call("write_file", path="shared.txt", content=f"by {name}\n"), say("done")]
        for name in ("alpha", "beta")
    }
    steps["resolver"] = [
        call("write_file", path="shared.txt", content="by alpha\nby beta\n"),
        say("both are kept"),
    ]
    plan = [{"name": name, "instruction": f"Do the work of {name}."} for name in ("alpha", "beta")]
    model = SwarmModel(plan=plan, steps=steps)

    async def script(request: ModelCall) -> Reply:
        reply = model(request)
        victim = victims.get((model.who(request), request.step))
        if victim and victim not in killed:
            killed[victim] = kill(program, victim)
            await asyncio.sleep(1)
        return reply

    async with ModelServer(script) as server:
        ended = await program.run(
            *("swarm", TASK, "--json", "--model", "local/m"),
            CODETETHER_LOCAL_BASE_URL=server.url,
            timeout_s=300,
        )
    assert ended.code == 0, ended.err
    assert all(killed[name] for name in victims.values()), killed
    assert git(program.project, "show", f"{ended.json['branch']}:shared.txt") == "by alpha\nby beta"
    assert "the bus was started anew" in ended.err
    asked = Counter(model.asked)
    assert {who for who, times in asked.items() if times > 1} <= {("resolver", 1)}
    assert processes_of(program) == {}
