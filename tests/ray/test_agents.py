"""Agents as Ray actors, under a supervisor, against a model server that counts."""

import asyncio
import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
import ray

from codetether_ray.actors.services import Services
from codetether_ray.core.errors import BudgetSpentError, ClusterError
from codetether_ray.core.spec import AgentSpec, Correlation
from codetether_ray.testing.model_server import ModelCall, ModelServer, Reply, call, say
from tests.ray.desk import Job
from tests.ray.scene import gone, is_running, supervised

_RUN = "tests.ray.desk:run_agents"


def job(server: ModelServer, root: Path, run_id: str, *names: str, **more: Any) -> Job:
    root.mkdir(exist_ok=True)
    correlation = Correlation(run_id=run_id, swarm_id=run_id)
    spec_changes = more.pop("spec", {})
    specs = tuple(
        AgentSpec(
            path=f"sub/{name}",
            kind="subagent",
            name=name,
            model="local/scripted",
            root=str(root),
            correlation=correlation,
            base_url=server.url,
            data_dir=str(root / "data"),
            **{"tools": ("bash", "write_file"), "memory_bytes": 50_000_000, **spec_changes},
        )
        for name in names
    )
    return Job(data_dir=str(root / "data"), correlation=correlation, specs=specs, **more)


async def test_agents_run_as_actors_and_their_events_are_journaled(
    services: Services, tmp_path: Path
) -> None:
    def script(asked: ModelCall) -> Reply:
        if asked.step == 0:
            return call("write_file", path=f"{asked.model}.txt", content="made")
        return say("done")

    async with ModelServer(script) as server:
        with supervised(services, tmp_path) as scene:
            asked = job(server, tmp_path / "root", scene.run_id, "a", "b")
            out = await scene.run(_RUN, asked)
    assert {path: (r.outcome, r.text) for path, r in out["results"].items()} == {
        "sub/a": ("completed", "done"),
        "sub/b": ("completed", "done"),
    }
    kinds = [kind for agent, kind in out["kinds"] if agent == "sub/a"]
    assert kinds.count("model.responded") == 2
    assert kinds[-1] == "turn.finished"
    assert (tmp_path / "root" / "scripted.txt").read_text() == "made"
    assert await services.directory().list(scene.run_id) == ()


async def test_what_an_agents_process_logs_bears_run_agent_and_node_and_no_content(
    services: Services, tmp_path: Path
) -> None:
    async with ModelServer(lambda _: say("a word of the model")) as server:
        with supervised(services, tmp_path) as scene:
            await scene.run(_RUN, job(server, tmp_path / "root", scene.run_id, "a"))
            run_id, node = scene.run_id, ray.get_runtime_context().get_node_id()
    logs = Path(ray._private.worker._global_node.get_logs_dir_path())
    files = [path.read_text(errors="replace") for path in logs.glob("worker-*.err")]
    lines = [line for text in files for line in text.splitlines() if run_id in line]
    told = [json.loads(line) for line in lines if line.startswith("{")]
    mine = [line for line in told if (line["run"], line["agent"]) == (run_id, "sub/a")]
    assert [line["message"] for line in mine] == ["turn begins", "turn ends"]
    assert mine[1]["outcome"] == "completed"
    assert {line["node"] for line in mine} == {node}
    assert not any("a word of the model" in text for text in files)


async def test_a_killed_agent_goes_on_and_finished_model_calls_are_not_asked_again(
    services: Services, tmp_path: Path
) -> None:
    second_call = asyncio.Event()

    async def script(asked: ModelCall) -> Reply:
        if asked.step == 0:
            return call("write_file", path="one.txt", content="1")
        if not second_call.is_set():
            second_call.set()
            return say("never heard", delay_s=600)
        return say("went on")

    async with ModelServer(script) as server:
        with supervised(services, tmp_path) as scene:
            asked = job(server, tmp_path / "root", scene.run_id, "a")
            work = asyncio.create_task(scene.run(_RUN, asked))
            await second_call.wait()
            await scene.signal("sub/a", signal.SIGKILL)
            out = await asyncio.wait_for(work, 300)
        steps = [request.step for request in server.requests]
    result = out["results"]["sub/a"]
    assert (result.outcome, result.text) == ("completed", "went on")
    assert steps == [0, 1, 1]  # the first is not asked again, the one under way is
    assert ("sub/a", "agent.restarted") in out["kinds"]


@pytest.mark.parametrize("with_reaper", [False, True], ids=["alone", "with its reaper"])
async def test_what_a_killed_agents_commands_started_is_ended(
    services: Services, tmp_path: Path, with_reaper: bool
) -> None:
    """One sleeps where its shell waits, one has left its session and its parent."""
    root = tmp_path / "root"
    sleeps = "echo $$ $PPID > shell; (setsid sleep 3600 & echo $! > away); sleep 3600 & "
    sleeps += "echo $! > near; echo all > up; wait"

    def script(asked: ModelCall) -> Reply:
        if asked.step == 0:
            return call("bash", command=sleeps)
        return say("went on")

    async with ModelServer(script) as server:
        with supervised(services, tmp_path) as scene:
            work = asyncio.create_task(scene.run(_RUN, job(server, root, scene.run_id, "a")))
            async with asyncio.timeout(180):
                while not (root / "up").exists():
                    await asyncio.sleep(0.05)
            reaper = int((root / "shell").read_text().split()[1])
            pids = [int((root / name).read_text()) for name in ("near", "away")]
            assert all(map(is_running, pids))
            if with_reaper:
                os.kill(reaper, signal.SIGKILL)
            await scene.signal("sub/a", signal.SIGKILL)
            out = await asyncio.wait_for(work, 300)
            for pid in pids:
                await gone(pid)
    assert out["results"]["sub/a"].text == "went on"


async def test_eight_permits_and_eight_agents_that_spawn_to_depth_three_all_finish(
    services: Services, tmp_path: Path
) -> None:
    def script(asked: ModelCall) -> Reply:
        if "task" in asked.tools and asked.step == 0:
            return call("task", description="deeper", prompt="go deeper")
        return say(f"depth done, tools: {len(asked.tools)}")

    async with ModelServer(script) as server:
        with supervised(services, tmp_path) as scene:
            names = [f"p{n}" for n in range(8)]
            asked = job(
                server,
                tmp_path / "root",
                scene.run_id,
                *names,
                max_live=8,
                spec={"tools": ("task",), "max_depth": 3},
            )
            out = await asyncio.wait_for(scene.run(_RUN, asked), 300)
        asked_by_depth = len(server.requests)
    assert [r.outcome for r in out["results"].values()] == ["completed"] * 8
    finished = {agent for agent, kind in out["kinds"] if kind == "turn.finished"}
    deepest = max(finished, key=lambda path: path.count("/"))
    assert deepest.count("task-") == 3
    assert len(finished) == 8 * 4
    assert asked_by_depth == 8 * (3 * 2 + 1)


async def test_a_question_reaches_the_driver_and_a_cancelled_run_may_still_answer(
    services: Services, tmp_path: Path
) -> None:
    heard: list[object] = []

    async def answer(question: object) -> object:
        heard.append(question)
        return "yes"

    with supervised(services, tmp_path) as scene:
        scene.start("tests.ray.desk:ask_and_wait", {"question": {"plan": ["a", "b"]}})
        work = asyncio.create_task(scene.result(answer))
        while not heard:
            await asyncio.sleep(0.02)
        scene.supervisor.cancel()
        assert (await work)["answer"] == "yes"
    assert heard == [{"plan": ["a", "b"]}]


async def test_an_error_of_the_run_reaches_the_driver_as_itself(
    services: Services, tmp_path: Path
) -> None:
    with supervised(services, tmp_path) as scene:
        with pytest.raises(BudgetSpentError) as raised:
            await scene.run("tests.ray.desk:fail", BudgetSpentError("tokens", 5, 7))
        assert (raised.value.limit, raised.value.spent) == (5, 7)


async def test_agents_end_with_their_supervisor(services: Services, tmp_path: Path) -> None:
    asked_once = asyncio.Event()

    async def script(asked: ModelCall) -> Reply:
        asked_once.set()
        return say("too late", delay_s=60)

    async with ModelServer(script) as server:
        with supervised(services, tmp_path) as scene:
            asked = job(server, tmp_path / "root", scene.run_id, "a")
            work = asyncio.create_task(scene.run(_RUN, asked))
            await asked_once.wait()
            pid = (await scene.body("sub/a")).process.pid
            scene.supervisor.end()
            with pytest.raises(ClusterError, match="supervisor"):
                await work
            await gone(pid)


async def test_cancelling_the_run_cancels_its_agents(services: Services, tmp_path: Path) -> None:
    asked_once = asyncio.Event()

    async def script(asked: ModelCall) -> Reply:
        asked_once.set()
        return say("too late", delay_s=60)

    async with ModelServer(script) as server:
        with supervised(services, tmp_path) as scene:
            asked = job(server, tmp_path / "root", scene.run_id, "a")
            work = asyncio.create_task(scene.run(_RUN, asked))
            await asked_once.wait()
            pid = (await scene.body("sub/a")).process.pid
            scene.supervisor.cancel()
            with pytest.raises(ClusterError, match="cancelled"):
                await asyncio.wait_for(work, 300)
            await gone(pid)
