"""Processes of agents that are used again, and those that several agents live in."""

import asyncio
import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import ray

from codetether_ray.actors.nodes import this_node
from codetether_ray.actors.pool import SharedLeases, shared_pool
from codetether_ray.actors.pulse import this_body
from codetether_ray.actors.services import Services
from codetether_ray.core.events import AgentPlaced
from codetether_ray.testing.model_server import ModelCall, ModelServer, Reply, call, say
from tests.ray import nasty
from tests.ray.scene import Supervised, gone, is_running, peak_bytes, supervised
from tests.ray.test_agents import job

_RUN = "tests.ray.desk:run_agents"
_DEEDS = "tests.ray.desk:do_deeds"
_LEASE_S = 1.5


def processes_of(out: dict[str, Any]) -> dict[str, list[str]]:
    """The processes of each agent's lives."""
    placed: dict[str, list[str]] = {}
    for agent, event in out["placed"]:
        assert isinstance(event, AgentPlaced)
        placed.setdefault(agent, []).append(event.process)
    return placed


async def done(services: Services, tmp_path: Path, *names: str) -> list[dict[str, Any]]:
    async with ModelServer(lambda _: say("done")) as server:
        with supervised(services, tmp_path) as scene:
            asked = job(server, tmp_path / "root", scene.run_id, *names, wiring=nasty.WIRING)
            found: list[dict[str, Any]] = await scene.run(_DEEDS, asked)
            return found


async def test_what_an_agent_may_leave_behind_the_next_one_does_not_find(
    services: Services, tmp_path: Path
) -> None:
    for seen in await done(services, tmp_path, *nasty.RESTORED):
        assert seen["outcome"] == "completed", seen["deed"]
        assert (seen["was_used"], seen["is_used_again"]) == (True, True), seen["deed"]
        assert seen["after"] == seen["before"], seen["deed"]


async def test_a_process_that_cannot_be_shown_to_be_clean_is_not_used_again(
    services: Services, tmp_path: Path
) -> None:
    for seen in await done(services, tmp_path, *nasty.MARKED):
        assert seen["outcome"] == "completed", seen["deed"]
        assert (seen["was_used"], seen["is_used_again"]) == (True, False), seen["deed"]
        assert not seen["is_alive"], seen["deed"]
        assert seen["after"] == seen["before"], seen["deed"]


async def test_an_agent_begins_in_the_process_of_one_that_has_ended(
    services: Services, tmp_path: Path
) -> None:
    async with ModelServer(lambda _: say("done")) as server:
        with supervised(services, tmp_path) as scene:
            names = [f"a{n}" for n in range(6)]
            out = await scene.run(
                _RUN, job(server, tmp_path / "root", scene.run_id, *names, max_live=2)
            )
    assert [r.outcome for r in out["results"].values()] == ["completed"] * 6
    assert len({p for ps in processes_of(out).values() for p in ps}) <= 3
    assert sorted(event.served for _, event in out["placed"])[-1] >= 1


async def test_agents_of_a_pack_share_a_process_and_do_not_hold_each_other_up(
    services: Services, tmp_path: Path
) -> None:
    """One hangs, one fails, one runs a command that hangs: the others come to their end."""
    others_done = asyncio.Event()

    async def script(asked: ModelCall) -> Reply:
        if "hang" in asked.first_user_text:
            await others_done.wait()
            return say("late")
        if asked.step == 0:
            return call("bash", command="echo here")
        return say("done")

    async with ModelServer(script) as server:
        with supervised(services, tmp_path) as scene:
            asked = job(server, tmp_path / "root", scene.run_id, "a", "b", "c", "hang", pack=4)
            a, b, c, hang = asked.specs
            bad = replace(c, base_url="http://127.0.0.1:1/v1", retry_for_s=0.0)
            hang = replace(hang, situation="hang")
            asked = replace(asked, specs=(a, b, bad, hang))
            work = asyncio.create_task(scene.run(_RUN, asked))
            while len([r for r in server.requests if r.step == 1]) < 2:
                await asyncio.sleep(0.02)
            others_done.set()
            out = await work
    outcomes = {path: r.outcome for path, r in out["results"].items()}
    assert outcomes == {
        "sub/a": "completed",
        "sub/b": "completed",
        "sub/c": "failed",
        "sub/hang": "completed",
    }
    assert len({p for ps in processes_of(out).values() for p in ps}) == 1


async def test_a_pack_that_dies_loses_all_its_agents_and_each_goes_on_elsewhere(
    services: Services, tmp_path: Path
) -> None:
    waiting: set[str] = set()
    both = asyncio.Event()

    async def script(asked: ModelCall) -> Reply:
        if asked.step == 0:
            return call("write_file", path=f"{len(server.requests)}.txt", content="1")
        if len(waiting) < 2:
            waiting.add(str(len(server.requests)))
            if len(waiting) == 2:
                both.set()
            return say("never heard", delay_s=600)
        return say("went on")

    async with ModelServer(script) as server:
        with supervised(services, tmp_path) as scene:
            asked = job(server, tmp_path / "root", scene.run_id, "a", "b", pack=2)
            work = asyncio.create_task(scene.run(_RUN, asked))
            await both.wait()
            await scene.signal("sub/a", signal.SIGKILL)
            out = await asyncio.wait_for(work, 300)
        steps = sorted(request.step for request in server.requests)
    assert [r.text for r in out["results"].values()] == ["went on"] * 2
    assert steps == [0, 0, 1, 1, 1, 1]  # only what was under way is asked again
    assert out["kinds"].count(("sub/a", "agent.restarted")) == 1
    assert out["kinds"].count(("sub/b", "agent.restarted")) == 1


async def test_a_pack_that_one_agent_keeps_from_going_on_is_ended_and_all_go_on_elsewhere(
    services: Services, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    async with ModelServer(lambda _: say("done", delay_s=3)) as server:
        with supervised(services, tmp_path) as scene:
            asked = job(
                server,
                tmp_path / "root",
                scene.run_id,
                *("good", "block"),
                pack=2,
                wiring=nasty.WIRING,
            )
            out = await scene.run(_RUN, asked, lease_s=_LEASE_S)
    assert [r.outcome for r in out["results"].values()] == ["completed"] * 2
    lives = processes_of(out)
    assert len(lives["sub/block"]) == 2
    assert lives["sub/block"][0] != lives["sub/block"][1]


@pytest.mark.matrix
async def test_a_thousand_packed_agents_finish_in_bounded_memory(
    services: Services, tmp_path: Path
) -> None:
    """A hundred live at once, in one process; another one follows it, where it is worn out."""
    peaks: dict[int, int] = {}

    def script(asked: ModelCall) -> Reply:
        return call("list_dir", path=".") if asked.step == 0 else say("done")

    async def watch(scene: Supervised) -> None:
        while True:
            await asyncio.sleep(0.5)
            for pid in await asyncio.to_thread(scene.pids):
                peaks[pid] = max(peaks.get(pid, 0), peak_bytes(pid))

    async with ModelServer(script) as server:
        with supervised(services, tmp_path) as scene:
            names = [f"a{n}" for n in range(1000)]
            asked = job(
                server,
                tmp_path / "root",
                scene.run_id,
                *names,
                max_live=100,
                pack=100,
                spec={"tools": ("list_dir",)},
            )
            watching = asyncio.create_task(watch(scene))
            out = await scene.run(_RUN, asked)
            watching.cancel()
    assert {r.outcome for r in out["results"].values()} == {"completed"}
    lived = {p for ps in processes_of(out).values() for p in ps}
    assert len(lived) <= 12
    assert out["most_running"] <= 100
    assert peaks
    assert max(peaks.values()) < 400_000_000


class Holder:
    """A supervisor as a pool sees it."""

    async def outlive(self) -> None:
        await asyncio.Event().wait()


@pytest.fixture
def pool(services: Services) -> Any:
    actor = shared_pool()
    yield actor
    ray.kill(actor)


async def test_a_shared_pool_ends_what_a_holder_had_whose_process_died(pool: Any) -> None:
    actor = ray.remote(Holder).options(num_cpus=0).remote()
    body = await actor.__ray_call__.remote(this_body)
    leases = SharedLeases(pool, "swm_a 1", actor)
    mine = await leases.lease(this_node(), "ann")
    back = await leases.lease(this_node(), "ann")
    leases.give_back(back, 1)
    os.kill(body.process.pid, signal.SIGKILL)
    await gone(mine.body.process.pid)
    assert is_running(back.body.process.pid)
    other = ray.remote(Holder).options(num_cpus=0).remote()
    again = await SharedLeases(pool, "swm_b 1", other).lease(this_node(), "ann")
    assert again.body == back.body  # across runs, where it was found clean


async def test_a_successor_of_a_supervisor_has_the_processes_of_the_first_one_ended(
    pool: Any,
) -> None:
    actor = ray.remote(Holder).options(num_cpus=0).remote()
    old = await SharedLeases(pool, "swm_a 1", actor).lease(this_node(), "ann")
    new = SharedLeases(pool, "swm_a 2", actor)
    await new.succeed()
    await gone(old.body.process.pid)
    assert await new.lease(this_node(), "ann") != old


async def test_warm_processes_are_there_before_they_are_asked_for(pool: Any) -> None:
    assert await pool.warm.remote(2) == 2
    actor = ray.remote(Holder).options(num_cpus=0).remote()
    leased = await SharedLeases(pool, "swm_a 1", actor).lease(this_node(), "ann")
    assert (leased.served, (await pool.stand.remote())["idle"]) == (0, 1)
