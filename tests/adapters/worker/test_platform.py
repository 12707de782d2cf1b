"""The platform on a SQLite file, with a clock that stands still."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from codetether_ray.core.errors import (
    UnknownWorkerError,
    UnknownWorkError,
    WorkStoreError,
    WorkTakenError,
)
from codetether_ray.core.principals import Principal
from codetether_ray.core.work import Ended, Held, Worker, WorkTask, WorkWish
from codetether_ray.stores import work_tables
from codetether_ray.stores.work import SqliteWork
from codetether_ray.testing.clock import FakeClock
from codetether_ray.worker.platform import KEEP_S, WorkPlatform

ME = Principal(user_id="ann", tenant_id="acme")
FLEET = Principal(user_id="fleet", tenant_id="acme")
STRANGER = Principal(user_id="bob", tenant_id="other")
DONE = Ended(status="completed", result="42")
LEASE_S = 60.0


class Scene:
    """A platform whose time moves by hand, and two workers."""

    def __init__(self, path: Path, clock: FakeClock) -> None:
        self.path, self.clock = path, clock
        self.platform = WorkPlatform(SqliteWork(path), clock, lease_s=LEASE_S)

    async def register(self, id: str, who: Principal = FLEET, **more: object) -> Worker:
        return await self.platform.register(who, Worker(id=id, tenant="", **more))  # type: ignore[arg-type]

    async def ask(self, **more: object) -> WorkTask:
        return await self.platform.create(ME, WorkWish(**more))  # type: ignore[arg-type]

    async def claim(self, worker: str, task: WorkTask) -> WorkTask:
        return await self.platform.claim(FLEET, worker, task.id)

    async def status(self, task: WorkTask) -> str:
        return (await self.platform.task(ME, task.id)).status

    async def waiting(self, worker: str) -> list[str]:
        return [t.wish.title for t in await self.platform.pending(FLEET, worker)]


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    made = Scene(tmp_path / "work.db", FakeClock())
    await made.register("w1")
    await made.register("w2")
    yield made
    await made.platform.close()


async def test_a_claim_is_one_workers_alone(scene: Scene) -> None:
    task = await scene.ask(title="a")
    for name in "3456789":
        await scene.register(f"w{name}")
    claims = [scene.claim(f"w{n}", task) for n in range(1, 10)]
    answers = await asyncio.gather(*claims, return_exceptions=True)
    assert sum(isinstance(answer, WorkTask) for answer in answers) == 1
    assert sum(isinstance(answer, WorkTakenError) for answer in answers) == 8


async def test_a_claim_whose_answer_was_lost_may_be_asked_again(scene: Scene) -> None:
    task = await scene.ask()
    assert (await scene.claim("w1", task)).lease == (await scene.claim("w1", task)).lease == 1


async def test_what_is_urgent_goes_first_and_equals_in_their_order(scene: Scene) -> None:
    for title, priority in (("b", 0), ("a", 5), ("c", 0), ("d", -1)):
        await scene.ask(title=title, priority=priority)
    assert await scene.waiting("w1") == ["a", "b", "c", "d"]


async def test_a_task_is_offered_to_workers_that_fit_alone(scene: Scene) -> None:
    await scene.register("w1", codebases=("/src/api",), models=("x/y",), name="one")
    await scene.register("w2", capabilities=("swarm",))
    await scene.ask(title="codebase", codebase="/src/api")
    await scene.ask(title="by its last part", codebase="api")
    await scene.ask(title="elsewhere", codebase="/src/web")
    await scene.ask(title="model", model="x/y")
    await scene.ask(title="name", agent_name="one")
    swarm = await scene.ask(title="swarm", agent_type="swarm")
    assert await scene.waiting("w1") == ["codebase", "by its last part", "model", "name"]
    assert await scene.waiting("w2") == ["swarm"]
    with pytest.raises(WorkTakenError, match="capability"):
        await scene.claim("w1", swarm)


async def test_a_lease_runs_out_and_the_task_is_offered_again_with_another_attempt(
    scene: Scene,
) -> None:
    task = await scene.ask()
    await scene.claim("w1", task)
    await scene.clock.advance(LEASE_S + 1)
    again = await scene.claim("w2", task)
    assert (again.lease, again.attempt, again.worker_id) == (2, 2, "w2")


async def test_a_worker_that_wakes_up_after_its_lease_is_refused_everything(scene: Scene) -> None:
    task = await scene.ask()
    old = await scene.claim("w1", task)
    await scene.clock.advance(LEASE_S + 1)
    for refused in (
        scene.platform.output(FLEET, "w1", task.id, ["x"], lease=old.lease),
        scene.platform.release(FLEET, "w1", task.id, DONE, lease=old.lease),
        scene.platform.release(FLEET, "w1", task.id, DONE),
    ):
        with pytest.raises(WorkTakenError):
            await refused
    heard = await scene.platform.heartbeat(FLEET, "w1", held=[Held(id=task.id, lease=old.lease)])
    assert heard.lost == (task.id,)
    assert await scene.status(task) == "pending"


async def test_the_same_worker_with_an_old_number_is_refused(scene: Scene) -> None:
    task = await scene.ask()
    old = await scene.claim("w1", task)
    await scene.clock.advance(LEASE_S + 1)
    new = await scene.claim("w1", task)
    with pytest.raises(WorkTakenError, match="by lease 2"):
        await scene.platform.release(FLEET, "w1", task.id, DONE, lease=old.lease)
    await scene.platform.release(FLEET, "w1", task.id, DONE, lease=new.lease)
    assert await scene.status(task) == "completed"


async def test_heartbeats_renew_what_the_worker_says_it_holds_alone(scene: Scene) -> None:
    kept, forgotten = await scene.ask(), await scene.ask()
    lease = (await scene.claim("w1", kept)).lease
    await scene.claim("w1", forgotten)
    for _ in range(3):
        await scene.clock.advance(LEASE_S / 2)
        await scene.platform.heartbeat(FLEET, "w1", held=[Held(id=kept.id, lease=lease)])
    assert [await scene.status(kept), await scene.status(forgotten)] == ["running", "pending"]


async def test_a_task_over_which_three_workers_fell_silent_has_failed(scene: Scene) -> None:
    task = await scene.ask()
    for worker in ("w1", "w2", "w1"):
        await scene.claim(worker, task)
        await scene.clock.advance(LEASE_S + 1)
    await scene.waiting("w1")
    left = await scene.platform.task(ME, task.id)
    assert (left.status, left.error) == (
        "failed",
        "given up: 3 workers in turn fell silent over it",
    )


async def test_what_a_worker_hands_back_is_offered_at_once_and_costs_no_attempt(
    scene: Scene,
) -> None:
    task = await scene.ask()
    await scene.claim("w1", task)
    await scene.platform.release(FLEET, "w1", task.id, Ended(status="released"), lease=1)
    again = await scene.claim("w2", task)
    assert (again.attempt, again.lease) == (1, 2)


async def test_a_release_said_again_changes_nothing_and_another_word_is_refused(
    scene: Scene,
) -> None:
    task = await scene.ask()
    await scene.claim("w1", task)
    for _ in range(2):
        await scene.platform.release(FLEET, "w1", task.id, DONE, lease=1)
    with pytest.raises(WorkTakenError, match="is over: completed"):
        await scene.platform.release(FLEET, "w1", task.id, Ended(status="failed"), lease=1)


async def test_cancelling_what_waits_is_at_once_and_what_runs_is_told(scene: Scene) -> None:
    waiting, running = await scene.ask(), await scene.ask()
    await scene.claim("w1", running)
    assert (await scene.platform.cancel(ME, waiting.id)).status == "cancelled"
    asked = await scene.platform.cancel(ME, running.id)
    assert (asked.status, asked.is_cancelling) == ("running", True)
    assert (await scene.platform.heartbeat(FLEET, "w1")).cancelled == (running.id,)
    told = await scene.platform.changes(FLEET, "w1", after=0)
    assert [(c.kind, c.task.id) for c in told.items] == [("cancel", running.id)]
    await scene.platform.release(FLEET, "w1", running.id, Ended(status="cancelled"), lease=1)
    assert await scene.status(running) == "cancelled"


async def test_a_task_whose_worker_died_after_it_was_cancelled_is_cancelled(scene: Scene) -> None:
    task = await scene.ask()
    await scene.claim("w1", task)
    await scene.platform.cancel(ME, task.id)
    await scene.clock.advance(LEASE_S + 1)
    await scene.waiting("w1")
    assert await scene.status(task) == "cancelled"


async def test_output_is_kept_in_order_once_and_bounded(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = await scene.ask()
    await scene.claim("w1", task)
    say = scene.platform.output
    assert await say(FLEET, "w1", task.id, ["a", "b"], first=0, lease=1) == 2
    assert await say(FLEET, "w1", task.id, ["b", "c"], first=1, lease=1) == 3
    with pytest.raises(WorkTakenError, match="number 3 comes next"):
        await say(FLEET, "w1", task.id, ["e"], first=4, lease=1)
    monkeypatch.setattr(work_tables, "MAX_OUTPUT_BYTES", 10)
    assert await say(FLEET, "w1", task.id, ["dddddddd", "e"], first=3, lease=1) == 5
    found, is_all = await scene.platform.outputs(ME, task.id)
    assert [o.text for o in found] == ["a", "b", "c", "dddddddd", work_tables.DROPPED]
    assert not is_all


async def test_output_wakes_who_waits_for_it_and_ends_with_the_task(scene: Scene) -> None:
    task = await scene.ask()
    await scene.claim("w1", task)
    waiting = asyncio.create_task(scene.platform.outputs(ME, task.id, wait_s=30))
    await asyncio.sleep(0.05)
    await scene.platform.output(FLEET, "w1", task.id, ["hi"])
    found, _ = await asyncio.wait_for(waiting, 60)
    assert [o.text for o in found] == ["hi"]
    last = asyncio.create_task(scene.platform.outputs(ME, task.id, after=found[-1].n, wait_s=30))
    await asyncio.sleep(0.05)
    await scene.platform.release(FLEET, "w1", task.id, DONE)
    assert await asyncio.wait_for(last, 60) == ((), True)


async def test_a_worker_that_comes_back_is_told_what_it_missed_and_no_more(scene: Scene) -> None:
    await scene.ask(title="before")
    seen = await scene.platform.changes(FLEET, "w1")
    assert [c.task.wish.title for c in seen.items] == ["before"]
    await scene.ask(title="missed")
    taken = await scene.ask(title="taken")
    await scene.claim("w2", taken)
    told = await scene.platform.changes(FLEET, "w1", after=seen.last)
    assert [c.task.wish.title for c in told.items] == ["missed"]
    everything = await scene.platform.changes(FLEET, "w1", after=10**9)
    assert [c.task.wish.title for c in everything.items] == ["before", "missed"]


async def test_an_offer_wakes_a_worker_that_waits(scene: Scene) -> None:
    waiting = asyncio.create_task(scene.platform.changes(FLEET, "w1", wait_s=30))
    await asyncio.sleep(0.05)
    await scene.ask(title="new")
    told = await asyncio.wait_for(waiting, 60)
    assert [c.task.wish.title for c in told.items] == ["new"]


async def test_an_event_asks_once(scene: Scene) -> None:
    first = await scene.ask(title="a", source="s", event="1")
    assert (await scene.ask(title="b", source="s", event="1")).id == first.id
    assert (await scene.ask(title="c", source="s", event="2")).id != first.id


async def test_tenants_see_nothing_of_each_other(scene: Scene) -> None:
    task = await scene.ask(title="secret")
    await scene.register("spy", STRANGER)
    assert await scene.platform.pending(STRANGER, "spy") == ()
    with pytest.raises(UnknownWorkError):
        await scene.platform.claim(STRANGER, "spy", task.id)
    with pytest.raises(UnknownWorkError):
        await scene.platform.task(STRANGER, task.id)
    with pytest.raises(UnknownWorkerError):
        await scene.platform.claim(STRANGER, "w1", task.id)
    with pytest.raises(WorkTakenError):
        await scene.register("w1", STRANGER)
    assert await scene.platform.tasks(STRANGER) == ()
    assert await scene.platform.tasks(STRANGER, sees_all=True) == ()
    with pytest.raises(UnknownWorkError):
        await scene.platform.task(STRANGER, task.id, sees_all=True)


async def test_an_administrator_sees_what_others_asked_for_in_the_same_tenant(scene: Scene) -> None:
    task = await scene.ask(title="theirs")
    boss = Principal(user_id="boss", tenant_id=task.tenant)
    for admin in (boss, Principal(user_id="root")):
        assert await scene.platform.tasks(admin) == ()
        assert [one.id for one in await scene.platform.tasks(admin, sees_all=True)] == [task.id]
        assert (await scene.platform.task(admin, task.id, sees_all=True)).id == task.id


async def test_all_is_there_after_a_restart_and_who_lives_keeps_its_task(scene: Scene) -> None:
    task = await scene.ask(title="kept")
    await scene.claim("w1", task)
    await scene.platform.output(FLEET, "w1", task.id, ["so far"], first=0, lease=1)
    await scene.platform.close()
    await scene.clock.advance(10 * LEASE_S)  # the platform was away for longer than any lease
    scene.platform = WorkPlatform(SqliteWork(scene.path), scene.clock, lease_s=LEASE_S)
    await scene.platform.output(FLEET, "w1", task.id, ["done"], first=1, lease=1)
    await scene.platform.release(FLEET, "w1", task.id, DONE, lease=1)
    found, is_all = await scene.platform.outputs(ME, task.id)
    assert ([o.text for o in found], is_all) == (["so far", "done"], True)


async def test_what_is_long_over_is_forgotten_and_what_is_not_stays(scene: Scene) -> None:
    old, waiting = await scene.ask(title="old", source="s", event="1"), await scene.ask()
    await scene.claim("w1", old)
    await scene.platform.output(FLEET, "w1", old.id, ["x"])
    await scene.platform.release(FLEET, "w1", old.id, DONE)
    await scene.clock.advance(KEEP_S - 100)
    assert await scene.status(old) == "completed"
    await scene.clock.advance(3700)
    for _ in range(1000):
        if len(await scene.platform.tasks(ME)) == 1:
            break
        await scene.clock.advance(LEASE_S / 4)
        await asyncio.sleep(0.01)  # a thread writes
    assert [task.id for task in await scene.platform.tasks(ME)] == [waiting.id]
    assert (await scene.ask(title="again", source="s", event="1")).id != old.id


async def test_a_file_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    store = SqliteWork(tmp_path / "w.db")
    await store.close()
    import sqlite3

    with sqlite3.connect(tmp_path / "w.db") as db:
        db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(WorkStoreError, match="newer version"):
        SqliteWork(tmp_path / "w.db")
