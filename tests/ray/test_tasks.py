"""The store of tasks in an actor: the contract, an actor that is killed, frozen, or gone."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import ray
from ray.exceptions import RayActorError

from codetether_ray.actors import tasks as ray_tasks
from codetether_ray.actors.cluster import Cluster
from codetether_ray.actors.task_channel import start_channel
from codetether_ray.actors.tasks import RayTasks, TaskKeeper, end_all, on_head, start_tasks
from codetether_ray.bootstrap.truth.address import LOCAL, Address
from codetether_ray.bootstrap.truth.place import truth_here
from codetether_ray.bootstrap.truth.reach import Reach
from codetether_ray.core.errors import TaskStoreError
from codetether_ray.ingress.options import IngressOptions
from codetether_ray.ingress.stores import open_tasks
from codetether_ray.stores.tasks import SqliteTasks
from tests.contracts.task_channel import Heard, event, some
from tests.contracts.tasks import NOW, TaskStoreContract, a_push, a_task, held

_FOREVER_DAYS = 100_000.0
"""The contract's tasks are of 1970."""


@pytest.fixture(scope="module")
def keeper(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Any:
    place = str(tmp_path_factory.mktemp("tasks"))
    return on_head(TaskKeeper, "tasks", place, place, _FOREVER_DAYS)


class TestRayTasks(TaskStoreContract):
    @pytest.fixture
    async def store(self, keeper: Any, tmp_path: Path) -> AsyncIterator[RayTasks]:
        await keeper.__ray_call__.remote(
            lambda self, place: vars(self).update(_data_dir=place, _opening=None), tmp_path
        )
        store = RayTasks(lambda: keeper)
        await store.open()
        yield store
        await store.close()


async def pid_of(store: RayTasks) -> int:
    return int(await store._actor.__ray_call__.remote(lambda self: os.getpid()))


async def test_every_save_that_returned_is_there_after_the_actor_was_killed(
    cluster: Cluster, tmp_path: Path
) -> None:
    store = await start_tasks(str(tmp_path), _FOREVER_DAYS)
    other = await start_tasks(str(tmp_path), _FOREVER_DAYS)
    await store.save([a_task("first")])
    acknowledged: dict[str, int] = {}

    async def write(name: str) -> None:
        for version in range(1, 26):
            through = store if version % 2 else other
            assert await through.save([a_task(name, version)]) == ()
            acknowledged[name] = version

    writers = [asyncio.create_task(write(f"t{n}")) for n in range(20)]
    while sum(acknowledged.values()) < 100:
        await asyncio.sleep(0.001)
    os.kill(await pid_of(store), signal.SIGKILL)
    before = dict(acknowledged)
    assert sum(before.values()) < 500
    for name, version in before.items():
        kept = await store.get(name, "ada")
        assert kept is not None
        assert kept.version >= version
    await asyncio.gather(*writers)
    for n in range(20):
        assert await other.get(f"t{n}", None) == a_task(f"t{n}", 25)
    await store.close()
    await other.close()
    ray.kill(store._actor)


async def test_an_actor_that_is_gone_for_good_is_made_again(
    cluster: Cluster, tmp_path: Path
) -> None:
    store = await start_tasks(str(tmp_path), _FOREVER_DAYS)
    await store.save([a_task()])
    await store.save_push(a_push())
    ray.kill(store._actor)
    assert await store.save([a_task(version=2)]) == ()
    assert await store.get("t1", "ada") == a_task(version=2)
    assert await store.pushes("t1", "ada") == (a_push(),)
    await store.close()
    ray.kill(store._actor)


async def test_an_actor_that_is_frozen_is_replaced(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray_tasks, "_LEASE_S", 2.0)
    store = await start_tasks(str(tmp_path), _FOREVER_DAYS)
    await store.save([held()])
    os.kill(await pid_of(store), signal.SIGSTOP)
    async with asyncio.timeout(180):
        assert await store.renew("r1", ["t1"], NOW + 500) == ()
        assert await store.get("t1", "ada") == held(held_until=NOW + 500)
    await store.close()
    ray.kill(store._actor)


async def test_a_file_that_cannot_be_opened_is_told_of_and_is_tried_again(
    cluster: Cluster, tmp_path: Path
) -> None:
    (tmp_path / "tasks.db").write_bytes(b"no database at all" * 300)
    store = await start_tasks(str(tmp_path), _FOREVER_DAYS)
    for _ in range(2):
        with pytest.raises(TaskStoreError, match="move it away"):
            await store.save([a_task()])
    with pytest.raises(TaskStoreError, match="move it away"):
        await store.get("t1", None)
    (tmp_path / "tasks.db").unlink()
    assert await store.save([a_task()]) == ()
    await store.close()
    ray.kill(store._actor)


async def test_saves_that_wait_ride_one_call(cluster: Cluster, keeper: Any, tmp_path: Path) -> None:
    store = RayTasks(lambda: keeper)
    await store.open()
    calls: list[int] = []
    send = store._outbox._send

    async def counted(saves: Any) -> Any:
        calls.append(len(saves))
        return await send(saves)

    store._outbox._send = counted
    await asyncio.gather(*(store.save([a_task(f"many {n}")]) for n in range(1000)))
    assert sum(calls) == 1000
    assert len(calls) < 20
    await store.close()


async def test_the_file_is_on_the_head_as_sqlite_has_it(cluster: Cluster, tmp_path: Path) -> None:
    store = await start_tasks(str(tmp_path), _FOREVER_DAYS)
    await store.save([a_task()])
    await store.close()
    ray.kill(store._actor)
    here = SqliteTasks(tmp_path / "tasks.db")
    assert here.get("t1", "ada") == a_task()
    here.close()


async def test_an_ingress_of_a_cluster_shares_store_and_channel_with_its_other_replicas(
    cluster: Cluster, tmp_path: Path
) -> None:
    reach = Reach(address=Address(value=LOCAL), truth=truth_here(tmp_path), cluster=cluster)
    first, here = await open_tasks(IngressOptions(), reach)
    second, there = await open_tasks(IngressOptions(), reach)
    await first.save([a_task(updated_at=time.time())])
    assert (await second.get("t1", "ada")) is not None
    async with there.listen("t1") as events:
        await here.publish(event(1))
        assert await some(events, 1) == [event(1)]
    for one in (here, there, first, second):
        await one.close()
    for name in ("tasks", "task board"):
        ray.kill(on_head(TaskKeeper, name, str(tmp_path), str(tmp_path), 1.0))


async def asking(store: RayTasks) -> None:
    while True:  # an actor is told to end, not awaited
        await store._actor.read.remote([("t1", None)])


async def test_when_serving_ends_the_actors_end_and_what_was_saved_stays(
    cluster: Cluster, tmp_path: Path
) -> None:
    store = await start_tasks(str(tmp_path), _FOREVER_DAYS)
    channel = await start_channel(str(tmp_path))
    await channel.attend(Heard())
    await store.save([a_task()])
    await channel.close()
    await store.close()
    await asyncio.to_thread(end_all)
    with pytest.raises(RayActorError):
        await asking(store)
    names = [one["name"] for one in ray.util.list_named_actors(all_namespaces=True)]
    assert [name for name in names if name.startswith("task")] == []
    again = await start_tasks(str(tmp_path), _FOREVER_DAYS)
    assert await again.get("t1", "ada") == a_task()
    await again.close()
    await asyncio.to_thread(end_all)
