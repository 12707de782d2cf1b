"""`codetether up` and `down`: a Ray head that all commands of a user share."""

import asyncio
import json
import re

from codetether_ray import __version__
from codetether_ray.testing.model_server import ModelCall, ModelServer, Reply, call, say
from tests.e2e.program import Program
from tests.e2e.ray_scene import kill, processes_of
from tests.e2e.swarm_scene import TASK, SwarmModel, make_repository


async def test_commands_share_a_head_from_up_to_down(program: Program) -> None:
    make_repository(program.project)
    nothing = await program.run("down")
    assert (nothing.code, "no head of yours" in nothing.out) == (0, True)
    up = await program.run("up", "--memory", "2GB")
    assert up.code == 0, up.err
    try:
        again = await program.run("up")
        assert (again.out, "runs already" in again.err) == (up.out, True)
        await a_run_on_it_sees_the_variables_of_its_command(program)
        await a_driver_with_another_version_of_this_program_is_refused(program)
        await a_swarm_on_it_is_told_when_it_ends(program)
    finally:
        await program.run("down")
    assert processes_of(program) == {}
    assert not (program.data / "ray" / "head.json").exists()


async def a_run_on_it_sees_the_variables_of_its_command(program: Program) -> None:
    tool = program.home / "bin" / "my-own-tool"
    tool.parent.mkdir()
    tool.write_text("#!/bin/sh\necho found it\n")
    tool.chmod(0o755)
    titles: list[str] = []

    def script(asked: ModelCall) -> Reply:
        if asked.step == 0:
            return call("bash", command="my-own-tool")
        titles.extend(title for title in processes_of(program).values() if "ray::" in title)
        return say("so it did")

    async with ModelServer(script) as server:
        ended = await program.run(
            *("run", "use my tool", "--format", "stream-json", "--model", "local/m"),
            CODETETHER_LOCAL_BASE_URL=server.url,
            PATH=f"{tool.parent}:{program.env['PATH']}",
        )
    assert ended.code == 0, ended.err
    assert "found it" in ended.out
    assert any("ray::Agent" in title for title in titles)  # it was not run in its own process
    left = [title for title in processes_of(program).values() if "ray::" in title]
    assert not [x for x in left if "Agent.turn" in x or "Supervisor" in x]  # they ended with it
    assert any("LocalBus" in x for x in left)  # and the next run meets these


async def a_driver_with_another_version_of_this_program_is_refused(program: Program) -> None:
    folder = program.home / "older"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(
        'import codetether_ray\n\ncodetether_ray.__version__ = "0.0.9"\n'
    )
    head = json.loads((program.data / "ray" / "head.json").read_text())
    elsewhere = {
        "CODETETHER_DATA_DIR": str(program.home / "elsewhere"),
        "RAY_AUTH_TOKEN_PATH": head["token"],
        "RAY_AUTH_MODE": "token",
        "PYTHONPATH": str(folder),
    }
    ended = await program.run("runs", "--address", head["address"], **elsewhere)
    assert (ended.code, ended.out) == (1, "")
    assert f"runs codetether-ray {__version__} (here 0.0.9)" in ended.err
    assert f"'codetether-ray=={__version__}'`" in ended.err
    assert ended.err.count("\n") == 1
    elsewhere.pop("PYTHONPATH")
    ended = await program.run("runs", "--address", head["address"], **elsewhere)
    assert ended.code == 0, ended.err


async def a_swarm_on_it_is_told_when_it_ends(program: Program) -> None:
    slow = SwarmModel(steps={"beta": [say("late", delay_s=600)]})
    async with ModelServer(slow) as server:
        process = await program.start(
            *("swarm", TASK, "--json", "--model", "local/m"),
            CODETETHER_LOCAL_BASE_URL=server.url,
        )
        async with asyncio.timeout(180):
            while ("beta", 0) not in slow.asked:
                await asyncio.sleep(0.05)
            down = await program.run("down")
            out, err = await process.communicate()
    assert down.code == 0, down.err
    assert process.returncode == 1
    result = json.loads(out)
    assert result["resume"] == f"codetether swarm --resume {result['swarm_id']}"
    assert "is gone" in result["error"]
    assert not re.search(r"(?i)\braylet|ray::|Traceback", err.decode())


async def test_a_run_whose_driver_died_goes_on_and_can_be_followed_and_cancelled(
    program: Program,
) -> None:
    make_repository(program.project)
    up = await program.run("up", "--memory", "2GB")
    assert up.code == 0, up.err
    try:
        await without_a_driver(program)
    finally:
        await program.run("down")


async def without_a_driver(program: Program) -> None:
    go_on = asyncio.Event()
    held = SwarmModel(steps={"beta": [say("beta is done")]})

    async def script(asked: ModelCall) -> Reply:
        reply = held(asked)
        if held.who(asked) == "beta":
            await go_on.wait()
        return reply

    async with ModelServer(script) as server:
        env = {"CODETETHER_LOCAL_BASE_URL": server.url}
        words = ("swarm", TASK, "--json", "--model", "local/m")
        first = await program.start(*words, **env)
        await asked_for_beta(held, 1)
        first.kill()
        await first.communicate()
        run_id = next(iter((program.data / "supervisors").iterdir())).name
        follower = await program.start("swarm", "--resume", run_id, "--json", **env)
        assert follower.stderr is not None
        while b"following it" not in (line := await follower.stderr.readline()):
            assert line, "it ended without a word"
        go_on.set()
        out, _ = await follower.communicate()
        assert json.loads(out)["outcome"] == "success"
        assert held.asked.count(("beta", 0)) == 1
        go_on.clear()
        second = await program.start(*words, **env)
        await asked_for_beta(held, 2)
        second.kill()
        await second.communicate()
        ids = {folder.name for folder in (program.data / "supervisors").iterdir()}
        (run_id,) = ids - {run_id}
        kill(program, "Supervisor")  # the wish is heard by the process that takes its place
        cancelled = await program.run("cancel", run_id)
        assert (cancelled.code, "was stopped" in cancelled.out) == (0, True), cancelled.err
        listed = json.loads((await program.run("runs", "--json")).out)
        assert next(r for r in listed if r["id"] == run_id)["outcome"] == "cancelled"


async def asked_for_beta(model: SwarmModel, times: int) -> None:
    async with asyncio.timeout(180):
        while model.asked.count(("beta", 0)) < times:
            await asyncio.sleep(0.05)


async def test_a_head_keeps_as_many_processes_ready_as_were_asked_for(program: Program) -> None:
    """The first run's agent begins in one of them; another one takes its place in the end."""
    started = await program.run("up", "--warm", "2", timeout_s=300)
    assert started.code == 0, started.err
    try:
        async with asyncio.timeout(180):
            while len(warm := titled(program, "ray::Agents")) < 2:
                await asyncio.sleep(0.2)
        async with ModelServer(lambda _: say("done")) as server:
            ended = await program.run(
                *("run", "say so", "--format", "stream-json", "--model", "local/m"),
                CODETETHER_LOCAL_BASE_URL=server.url,
            )
        assert ended.code == 0, ended.err
        placed = [json.loads(x) for x in ended.out.splitlines() if '"agent.placed"' in x]
        pids = {int(record["payload"]["process"].rpartition(":")[2]) for record in placed}
        assert pids
        assert pids <= warm
    finally:
        await program.run("down")
    assert processes_of(program) == {}


def titled(program: Program, title: str) -> set[int]:
    return {pid for pid, name in processes_of(program).items() if name.startswith(title)}
