"""A fleet of workers, processes all of them, of which some are killed and one is frozen."""

import asyncio
import signal
import sys
from collections import Counter
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from codetether_ray.bootstrap.truth.address import LOCAL, Address
from codetether_ray.bootstrap.truth.place import truth_here
from codetether_ray.bootstrap.truth.reach import Reach
from codetether_ray.core.principals import Principal
from codetether_ray.core.work import Ended, WorkTask, WorkWish
from codetether_ray.ingress.app import build_app
from codetether_ray.ingress.opening import opened_parts
from codetether_ray.ingress.options import AUTH_TOKEN, IngressOptions
from codetether_ray.local.clock import SystemClock
from codetether_ray.stores.work import SqliteWork
from codetether_ray.worker.platform import WorkPlatform
from tests.adapters.worker.platform_server import ADMIN, PlatformServer

TOKEN = "t" * 40
WORKERS, TASKS, LEASE_S = 10, 200, 3.0


class Counted(WorkPlatform):
    """Notes each release that was accepted, and each that was not."""

    accepted: list[tuple[str, str, int | None]]
    refused: list[tuple[str, str]]

    async def release(
        self,
        asker: Principal,
        worker_id: str,
        task_id: str,
        ended: Ended,
        *,
        lease: int | None = None,
    ) -> WorkTask:
        try:
            task = await super().release(asker, worker_id, task_id, ended, lease=lease)
        except Exception:
            self.refused.append((task_id, worker_id))
            raise
        if ended.status == "completed":
            self.accepted.append((task_id, worker_id, lease))
        return task


class Member:
    """A worker's process, and what it said."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.is_ready = asyncio.Event()
        self.begun: list[str] = []
        self._reading = asyncio.create_task(self._read())

    @classmethod
    async def start(cls, url: str, name: str, limit: int = 1) -> "Member":
        command = ("-m", "tests.adapters.worker.echo_worker", url, TOKEN, name, str(limit))
        return cls(
            await asyncio.create_subprocess_exec(
                sys.executable, *command,
                stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
            )
        )  # fmt: skip

    async def end(self) -> int:
        if self.process.returncode is None:
            self.process.kill()
        code = await self.process.wait()
        await self._reading
        return code

    async def _read(self) -> None:
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            word, _, task = line.decode().strip().partition(" ")
            if word == "READY":
                self.is_ready.set()
            elif word == "BEGUN":
                self.begun.append(task)


async def in_its_hands(platform: WorkPlatform, member: Member, name: str) -> str:
    """A task that a worker does just now."""
    while True:
        for task in await platform.tasks(ADMIN, status="running", limit=WORKERS):
            if task.worker_id == f"wrk_{name}" and task.id in member.begun:
                return task.id
        await asyncio.sleep(0.01)


async def stopped_at_work(platform: WorkPlatform, member: Member, name: str) -> str:
    """Freeze a worker in the middle of a task; which one that is."""
    while True:
        held = await in_its_hands(platform, member, name)
        member.process.send_signal(signal.SIGSTOP)
        await asyncio.sleep(0.3)  # what it had sent by then may still arrive
        task = await platform.task(ADMIN, held)
        if not task.is_over and task.worker_id == f"wrk_{name}":
            return held
        member.process.send_signal(signal.SIGCONT)


async def all_over(platform: WorkPlatform) -> Sequence[WorkTask]:
    while True:
        tasks = await platform.tasks(ADMIN, limit=1000)
        if all(task.is_over for task in tasks):
            return tasks
        await asyncio.sleep(0.1)


@pytest.mark.matrix
async def test_each_of_200_tasks_is_done_once_though_workers_are_killed_and_frozen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    platform = Counted(SqliteWork(tmp_path / "counted.db"), SystemClock(), lease_s=LEASE_S)
    platform.accepted, platform.refused = [], []
    members: dict[str, Member] = {}
    monkeypatch.setenv(AUTH_TOKEN, TOKEN)
    reach = Reach(address=Address(value=LOCAL), truth=truth_here(tmp_path))
    options = IngressOptions(
        data_dir=str(tmp_path), agents="codetether_ray.testing.echo:open_agents"
    )
    async with asyncio.timeout(300), AsyncExitStack() as closing:
        parts = await closing.enter_async_context(opened_parts(options, reach))
        await parts.platform.close()
        parts.platform = platform
        app = build_app(parts)
        server = await closing.enter_async_context(PlatformServer(platform, app=app))
        try:
            for n in range(WORKERS):
                members[f"m{n}"] = await Member.start(server.url, f"m{n}")
            await asyncio.gather(*(m.is_ready.wait() for m in members.values()))
            for n in range(TASKS):
                wish = WorkWish(title=f"task {n}", metadata={"seconds": 0.2})
                await platform.create(ADMIN, wish)
            killed = {}
            for name in ("m0", "m1", "m2"):
                killed[name] = await stopped_at_work(platform, members[name], name)
                members[name].process.send_signal(signal.SIGKILL)
            frozen = await stopped_at_work(platform, members["m3"], "m3")
            while (await platform.task(ADMIN, frozen)).worker_id == "wrk_m3":
                await asyncio.sleep(0.05)
            members["m3"].process.send_signal(signal.SIGCONT)
            tasks = await all_over(platform)
            for name in ("m4", "m5"):
                members[name].process.send_signal(signal.SIGTERM)
                assert await members[name].process.wait() == 0
        finally:
            await asyncio.gather(*(member.end() for member in members.values()))
            await platform.close()
    assert len(tasks) == TASKS
    assert {task.status for task in tasks} == {"completed"}
    done = Counter(task_id for task_id, _, _ in set(platform.accepted))
    assert done == Counter({task.id: 1 for task in tasks})
    retried = {task.id for task in tasks if task.attempt > 1}
    assert {*killed.values(), frozen} <= retried
    assert all(task.worker_id not in ("wrk_m0", "wrk_m1", "wrk_m2") for task in tasks
               if task.id in killed.values())  # fmt: skip
    assert "wrk_m3" not in {worker for task_id, worker, _ in platform.accepted if task_id == frozen}
