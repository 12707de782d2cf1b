"""The platform of the workers in an actor on the head: one for all, and on disk."""

import asyncio
import os
import signal
from pathlib import Path

import pytest

from codetether_ray.actors.cluster import Cluster
from codetether_ray.actors.work import RayPlatform
from codetether_ray.core.errors import UnknownWorkError, WorkTakenError
from codetether_ray.core.principals import Principal
from codetether_ray.core.work import Ended, Worker, WorkWish

ME = Principal(user_id="ann")


async def test_two_replicas_share_tasks_claims_and_what_wakes_them(
    cluster: Cluster, tmp_path: Path
) -> None:
    one, two = [await RayPlatform.on_head(tmp_path / "work.db") for _ in range(2)]
    await one.register(ME, Worker(id="w1", tenant=""))
    waiting = asyncio.create_task(two.changes(ME, "w1", after=0, wait_s=30))
    task = await one.create(ME, WorkWish(title="t"))
    assert [c.task.id for c in (await waiting).items] == [task.id]
    await two.register(ME, Worker(id="w2", tenant=""))
    claims = await asyncio.gather(
        one.claim(ME, "w1", task.id), two.claim(ME, "w2", task.id), return_exceptions=True
    )
    assert sorted(type(c).__name__ for c in claims) == ["WorkTakenError", "WorkTask"]
    with pytest.raises(UnknownWorkError):
        await one.task(Principal(user_id="eve"), task.id)
    holder = (await one.task(ME, task.id)).worker_id
    await one.output(ME, holder, task.id, ["hi"], first=0, lease=1)
    await two.release(ME, holder, task.id, Ended(status="completed"), lease=1)
    found, is_all = await two.outputs(ME, task.id)
    assert ([o.text for o in found], is_all) == (["hi"], True)
    await asyncio.gather(one.close(), two.close())


async def test_what_was_acknowledged_is_there_after_the_actor_was_killed(
    cluster: Cluster, tmp_path: Path
) -> None:
    platform = await RayPlatform.on_head(tmp_path / "work.db")
    await platform.register(ME, Worker(id="w1", tenant=""))
    before = [await platform.create(ME, WorkWish(title=str(n))) for n in range(5)]
    held = await platform.claim(ME, "w1", before[0].id)
    pid = await platform._actor.__ray_call__.remote(lambda self: os.getpid())
    os.kill(pid, signal.SIGKILL)
    after = await asyncio.gather(
        *(platform.create(ME, WorkWish(title=f"after {n}")) for n in range(5))
    )
    known = {task.id for task in await platform.tasks(ME)}
    assert known == {task.id for task in (*before, *after)}
    done = Ended(status="completed")
    await platform.release(ME, "w1", held.id, done, lease=held.lease)
    with pytest.raises(WorkTakenError):
        await platform.release(ME, "w1", held.id, Ended(status="failed"), lease=held.lease)
    await platform.close()
