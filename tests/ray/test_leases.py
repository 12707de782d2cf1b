"""Processes that are killed, stopped or busy: who is replaced, who is not, who is believed."""

import asyncio
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest
import ray

from codetether_ray.actors import awaited
from codetether_ray.actors.bus import RayBus
from codetether_ray.actors.pulse import GROUPS, Pulse, asked
from codetether_ray.actors.registry import Registry
from codetether_ray.actors.services import Services
from codetether_ray.actors.supervised import RaySupervisor, find
from codetether_ray.core.errors import RunBusyError, RunLostError
from codetether_ray.ports.bus import Envelope
from codetether_ray.testing.model_server import ModelCall, ModelServer, Reply, call, say
from tests.ray.scene import Supervised, gone, is_running, supervised
from tests.ray.test_agents import job

_RUN = "tests.ray.desk:run_agents"
_TELL = "tests.ray.desk:tell_where_it_stands"
_LEASE_S = 1.5


class Busy:
    """Computes without a pause."""

    async def compute(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            sum(range(1000))

    async def loop(self) -> str:
        return type(asyncio.get_running_loop()).__module__


@pytest.fixture
def marks(tmp_path: Path) -> Path:
    folder = tmp_path / "marks"
    folder.mkdir()
    return folder


async def written(path: Path) -> str:
    while not path.exists():
        await asyncio.sleep(0.02)
    return path.read_text()


async def watched(scene: Supervised) -> None:
    """Return when the registry watches the process that a run's supervisor lives in now."""
    wanted = f"watching {scene.run_id} {(await scene.body('supervisor')).process}"

    def names(registry: Any) -> list[str]:
        return [watch.get_name() for watch in registry._watches.values()]

    while wanted not in await scene.services.registry_actor.__ray_call__.remote(names):
        await asyncio.sleep(0.05)


async def test_a_supervisor_that_is_killed_again_and_again_does_its_job_in_the_end(
    services: Services, tmp_path: Path, marks: Path
) -> None:
    with supervised(services, tmp_path) as scene:
        scene.start(_TELL, {"folder": str(marks)}, since=3)
        work = asyncio.create_task(scene.result())
        await scene.heard()
        for life in range(3):
            assert await written(marks / f"life-{life}") == f"restarted: {life > 0}, since: 3"
            await scene.signal("supervisor", signal.SIGKILL)
        await written(marks / "life-3")
        (marks / "end").touch()
        assert await work == "done"
        assert scene.lost
        assert all("another one goes on from the journal" in words for words in scene.lost)


async def test_a_supervisor_that_is_stopped_past_its_lease_is_replaced(
    services: Services, tmp_path: Path, marks: Path
) -> None:
    with supervised(services, tmp_path) as scene:
        scene.start(_TELL, {"folder": str(marks)}, lease_s=_LEASE_S)
        work = asyncio.create_task(scene.result())
        await scene.heard()
        await written(marks / "life-0")
        pid = await scene.signal("supervisor", signal.SIGSTOP)
        await written(marks / "life-1")
        assert not is_running(pid)
        (marks / "end").touch()
        assert await work == "done"
        assert "gives no sign of life" in scene.lost[0]


async def test_a_supervisor_that_nobody_follows_is_replaced_as_well(
    services: Services, tmp_path: Path, marks: Path
) -> None:
    with supervised(services, tmp_path) as scene:
        scene.start(_TELL, {"folder": str(marks)}, lease_s=_LEASE_S, lasts=True)
        await written(marks / "life-0")
        for life in (1, 2):
            await watched(scene)
            pid = await scene.signal("supervisor", signal.SIGSTOP)
            await asyncio.wait_for(written(marks / f"life-{life}"), 300)
            assert not is_running(pid)
        (marks / "end").touch()
        assert await scene.result() == "done"


async def test_a_wish_to_cancel_outlives_the_process_that_it_was_told_to(
    services: Services, tmp_path: Path, marks: Path
) -> None:
    with supervised(services, tmp_path) as scene:
        scene.start(_TELL, {"folder": str(marks)})
        work = asyncio.create_task(scene.result())
        await written(marks / "life-0")
        pid = await scene.signal("supervisor", signal.SIGSTOP)
        scene.dossier.cancel()
        os.kill(pid, signal.SIGKILL)
        assert await work == "cancelled"
    assert (marks / "life-1").exists()  # its successor began, so that an end could be recorded


async def test_a_question_that_was_put_is_not_put_again_by_a_successor(
    services: Services, tmp_path: Path
) -> None:
    heard: list[object] = []
    word = asyncio.Event()

    async def answer(question: object) -> object:
        heard.append(question)
        await word.wait()
        return "yes"

    with supervised(services, tmp_path) as scene:
        scene.start("tests.ray.desk:ask_and_wait", {"question": {"plan": ["a"]}})
        work = asyncio.create_task(scene.result(answer))
        while not heard:
            await asyncio.sleep(0.02)
        pid = await scene.signal("supervisor", signal.SIGKILL)
        await gone(pid)
        word.set()
        scene.supervisor.cancel()
        assert (await work)["answer"] == "yes"
    assert heard == [{"plan": ["a"]}]


async def test_a_supervisor_that_lasts_ends_itself_and_leaves_nothing(
    services: Services, tmp_path: Path, marks: Path
) -> None:
    with supervised(services, tmp_path) as scene:
        scene.start(_TELL, {"folder": str(marks)}, lasts=True)
        await written(marks / "life-0")
        with pytest.raises(RunBusyError):
            scene.start(_TELL, {"folder": str(marks)}, lasts=True)
        second = RaySupervisor.join(scene.run_id, scene.dossier)
        assert second is not None
        pid = (await scene.body("supervisor")).process.pid
        (marks / "end").touch()

        async def no(_: object) -> None:
            """Nothing is asked."""

        assert await asyncio.gather(scene.result(), second.result(no)) == ["done", "done"]
        await gone(pid)
        while find(scene.run_id) is not None:
            await asyncio.sleep(0.05)
        assert not scene.dossier.folder.exists()
        scene.supervisor = None


async def test_a_supervisor_that_was_ended_for_good_is_told_as_lost(
    services: Services, tmp_path: Path, marks: Path
) -> None:
    with supervised(services, tmp_path) as scene:
        scene.start(_TELL, {"folder": str(marks)})
        work = asyncio.create_task(scene.result())
        await written(marks / "life-0")
        scene.supervisor.end()
        with pytest.raises(RunLostError):
            await work
        scene.supervisor = None


async def test_an_agent_that_is_stopped_past_its_lease_is_replaced_and_asks_one_call_again(
    services: Services, tmp_path: Path
) -> None:
    stopped: list[int] = []
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
            scene.start(_RUN, asked, lease_s=2 * _LEASE_S)
            work = asyncio.create_task(scene.result())
            await second_call.wait()
            stopped.append(await scene.signal("sub/a", signal.SIGSTOP))
            out = await asyncio.wait_for(work, 300)
        steps = [request.step for request in server.requests]
    assert out["results"]["sub/a"].text == "went on"
    assert steps == [0, 1, 1]
    assert out["kinds"].count(("sub/a", "agent.restarted")) == 1
    assert not is_running(stopped[0])


async def test_no_actor_has_a_loop_whose_children_may_hang_between_fork_and_exec(
    cluster: Any,
) -> None:
    actor = ray.remote(Busy).options(num_cpus=0).remote()
    assert await actor.loop.remote() == "asyncio.unix_events"
    ray.kill(actor)


async def test_an_actor_that_computes_is_alive_and_one_that_is_stopped_is_not(
    services: Services,
) -> None:
    actor = ray.remote(concurrency_groups=dict(GROUPS))(Busy).options(num_cpus=0).remote()
    pulse = Pulse(actor, 2 * _LEASE_S)
    await pulse.identify()
    silence = asyncio.create_task(pulse.silence())
    await actor.compute.remote(2.5 * _LEASE_S)
    assert not silence.done()
    os.kill(pulse.body.process.pid, signal.SIGSTOP)
    await asyncio.wait_for(silence, 300)
    pulse.kill()
    await gone(pulse.body.process.pid)


async def test_who_waits_for_an_actor_that_is_not_up_is_told_what_for(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(awaited, "_SILENT_S", 0.3)
    monkeypatch.setattr(awaited, "_AGAIN_S", 0.3)
    actor = ray.remote(Busy).options(num_cpus=0, resources={"what_no_node_has": 1}).remote()
    told: list[str] = []
    try:
        answer = asked(actor.loop.remote())
        assert not await awaited.told_of(answer, 0.8, actor, told.append)
        answer.cancel()
    finally:
        ray.kill(actor)
    assert len(told) == 2
    assert all("is not up after" in x and ("placed it" in x or "started its" in x) for x in told)


async def test_a_bus_that_is_stopped_is_started_anew_and_publishing_goes_on(
    cluster: Any,
) -> None:
    bus = RayBus.start()
    registry = ray.remote(concurrency_groups=dict(GROUPS))(Registry).options(num_cpus=0).remote()
    services = Services(bus.actor, registry)
    epoch = (await bus.cursor()).epoch
    pulse = Pulse(bus.actor, _LEASE_S)
    await pulse.identify()
    keeping = asyncio.create_task(services.keep(_LEASE_S))
    try:
        for _ in range(3):  # the keeper, who asks at the same time, knows it by then
            await pulse.identify()
        os.kill(pulse.body.process.pid, signal.SIGSTOP)
        message = Envelope(topic="agent.a.events", sender="a", payload=b"x")
        await asyncio.wait_for(bus.publish([message]), 300)
        assert (await bus.cursor()).epoch != epoch
    finally:
        keeping.cancel()
        for actor in (bus.actor, registry):
            ray.kill(actor)
