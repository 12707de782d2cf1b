"""What a swarm on Ray does when one of its processes is killed."""

import asyncio
from collections import Counter

import pytest

from codetether_ray.testing.model_server import ModelCall, ModelServer, Reply, call, say
from tests.e2e.program import Program
from tests.e2e.ray_scene import kill, processes_of, ray_directories
from tests.e2e.swarm_scene import TASK, SwarmModel, git, make_repository, records


@pytest.fixture
def program(program: Program) -> Program:
    make_repository(program.project)
    return program


async def test_a_swarm_whose_supervisor_is_killed_says_how_to_go_on_and_goes_on(
    program: Program,
) -> None:
    killed: list[int] = []
    model = SwarmModel()

    async def script(request: ModelCall) -> Reply:
        reply = model(request)
        if (model.who(request), request.step) == ("gamma", 1) and not killed:
            killed.extend(kill(program, "Supervisor"))
            await asyncio.sleep(2)
        return reply

    async with ModelServer(script) as server:
        env = {"CODETETHER_LOCAL_BASE_URL": server.url}
        lost = await program.run(
            *("swarm", TASK, "--json", "--model", "local/m"), timeout_s=120, **env
        )
        assert killed
        assert (lost.code, lost.out) == (1, "")
        (sentence,) = [x for x in lost.err.splitlines() if x.startswith("codetether: ")]
        assert "is gone (its process" in sentence
        run_id = sentence.rpartition(" ")[2]
        assert sentence.endswith(f"go on with: codetether swarm --resume {run_id}")
        assert "Traceback" not in lost.err
        assert processes_of(program) == {}
        assert not ray_directories(program)
        again = await program.run("swarm", "--resume", run_id, "--local", "--json", **env)
    assert again.code == 0, again.err
    found = records(program, run_id)
    answered = Counter((r.agent, r.event.step) for r in found if r.event.tag == "model.responded")
    assert set(answered.values()) == {1}
    asked = Counter(model.asked)
    assert {who for who, times in asked.items() if times > 1} <= {("gamma", 1), ("delta", 1)}
    names = git(program.project, "ls-tree", "--name-only", again.json["branch"]).splitlines()
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
            timeout_s=200,
        )
    assert ended.code == 0, ended.err
    assert all(killed[name] for name in victims.values()), killed
    assert git(program.project, "show", f"{ended.json['branch']}:shared.txt") == "by alpha\nby beta"
    assert "the bus was started anew" in ended.err
    asked = Counter(model.asked)
    assert {who for who, times in asked.items() if times > 1} <= {("resolver", 1)}
    assert processes_of(program) == {}
