"""One worker against a platform over real HTTP: what it takes, says, hands back."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from codetether_ray.core.work import Ended, Worker, WorkTask, WorkWish
from codetether_ray.local.clock import SystemClock
from codetether_ray.stores.work import SqliteWork
from codetether_ray.worker import run
from codetether_ray.worker.client import PlatformClient, PlatformError
from codetether_ray.worker.offers import Offer
from codetether_ray.worker.platform import WorkPlatform
from codetether_ray.worker.run import Do, Rhythm, WorkerRun
from tests.adapters.worker.platform_server import ADMIN, PlatformServer

QUICK = Rhythm(poll_s=0.5, heartbeat_s=0.2, grace_s=0.2, first_wait_s=0.05, most_wait_s=0.2)


class Bench:
    """Tasks whose end the test decides; it counts how many are done at once."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.said: dict[str, Callable[[str], None]] = {}
        self.stopped: list[str] = []
        self.most = 0
        self._ends: dict[str, asyncio.Future[Ended]] = {}

    async def do(self, offer: Offer, say: Callable[[str], None]) -> Ended:
        end = self._ends[offer.id] = asyncio.get_running_loop().create_future()
        self.begun.append(offer.id)
        self.said[offer.id] = say
        self.most = max(self.most, len(self._ends))
        try:
            return await end
        except asyncio.CancelledError:
            self.stopped.append(offer.id)
            return Ended(status="cancelled", result="part")
        finally:
            del self._ends[offer.id]

    def finish(self, id: str, ended: Ended = Ended(status="completed", result="ok")) -> None:  # noqa: B008
        self._ends[id].set_result(ended)

    async def until_begun(self, count: int) -> None:
        async with asyncio.timeout(60):
            while len(self.begun) < count:
                await asyncio.sleep(0.01)


@asynccontextmanager
async def working(
    url: str, do: Do, limit: int = 1, token: str = "admin-token"
) -> AsyncIterator[WorkerRun]:
    me = Worker(id="wrk_1", tenant="", name="one", codebases=("/src",))
    client = PlatformClient(url, token, me)
    worker = WorkerRun(
        me, client, do, limit=limit, clock=SystemClock(), notice=lambda _: None, rhythm=QUICK
    )
    task = asyncio.create_task(worker.work())
    try:
        yield worker
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await client.close()


async def over(platform: WorkPlatform, task: WorkTask) -> WorkTask:
    async with asyncio.timeout(60):
        while not (now := await platform.task(ADMIN, task.id)).is_over:
            await asyncio.sleep(0.02)
    return now


async def test_a_task_is_done_and_what_it_printed_is_there_in_order(
    platform: WorkPlatform, server: PlatformServer
) -> None:
    bench = Bench()
    async with working(server.url, bench.do):
        task = await platform.create(ADMIN, WorkWish(title="t"))
        await bench.until_begun(1)
        lines = [f"line {n} é" for n in range(300)]
        for line in lines:
            bench.said[task.id](line)
        bench.finish(task.id)
        done = await over(platform, task)
    assert (done.status, done.result) == ("completed", "ok")
    found, _ = await platform.outputs(ADMIN, task.id)
    assert "\n".join(piece.text for piece in found).split("\n") == lines


async def test_no_more_are_done_at_once_than_it_may(
    platform: WorkPlatform, server: PlatformServer
) -> None:
    bench = Bench()
    tasks = [await platform.create(ADMIN, WorkWish()) for _ in range(7)]
    async with working(server.url, bench.do, limit=3):
        for n, task in enumerate(tasks):
            await bench.until_begun(min(n + 3, 7))
            bench.finish(task.id)
        for task in tasks:
            await over(platform, task)
    assert bench.most == 3
    assert sorted(bench.begun) == sorted(task.id for task in tasks)


async def test_a_cancelled_task_is_stopped_and_said_to_be(
    platform: WorkPlatform, server: PlatformServer
) -> None:
    bench = Bench()
    async with working(server.url, bench.do):
        task = await platform.create(ADMIN, WorkWish())
        await bench.until_begun(1)
        await platform.cancel(ADMIN, task.id)
        done = await over(platform, task)
    assert (done.status, done.result, bench.stopped) == ("cancelled", "part", [task.id])


async def test_a_worker_told_to_stop_lets_tasks_end_and_hands_the_rest_back_at_once(
    platform: WorkPlatform, server: PlatformServer
) -> None:
    bench = Bench()
    first, second = [await platform.create(ADMIN, WorkWish()) for _ in range(2)]
    async with working(server.url, bench.do, limit=2) as worker:
        await bench.until_begun(2)
        third = await platform.create(ADMIN, WorkWish())
        worker.stop()
        await asyncio.sleep(0)
        bench.finish(first.id)
        await over(platform, first)
        async with asyncio.timeout(60):
            while (await platform.task(ADMIN, second.id)).status != "pending":
                await asyncio.sleep(0.02)
    left = await platform.task(ADMIN, second.id)
    assert (left.attempt, bench.stopped) == (1, [second.id])
    assert third.id not in bench.begun


async def test_the_worker_comes_before_the_platform_and_outlives_its_restarts(
    tmp_path: Path,
) -> None:
    store = SqliteWork(tmp_path / "work.db")
    platform = WorkPlatform(store, SystemClock())
    bench = Bench()
    async with PlatformServer(platform) as early:
        url, port = early.url, int(early.url.rpartition(":")[2])
    async with working(url, bench.do) as worker:
        await asyncio.sleep(0.2)
        assert not worker.is_connected
        async with PlatformServer(platform, port):
            task = await platform.create(ADMIN, WorkWish())
            await bench.until_begun(1)
            assert worker.is_connected
        async with asyncio.timeout(60):
            while worker.is_connected:
                await asyncio.sleep(0.02)
        bench.said[task.id]("while it was away")
        bench.finish(task.id)
        await asyncio.sleep(0.2)
        async with PlatformServer(platform, port):
            done = await over(platform, task)
    assert done.status == "completed"
    assert [piece.text for piece in (await platform.outputs(ADMIN, task.id))[0]] == [
        "while it was away"
    ]
    await platform.close()


async def test_a_worker_whose_lease_ran_out_stops_and_says_no_more(
    tmp_path: Path,
) -> None:
    platform = WorkPlatform(SqliteWork(tmp_path / "work.db"), SystemClock(), lease_s=0.3)
    bench = Bench()
    slow = Rhythm(poll_s=60, heartbeat_s=60, first_wait_s=0.05)
    async with PlatformServer(platform) as server:
        me = Worker(id="wrk_1", tenant="", name="one")
        client = PlatformClient(server.url, "admin-token", me)
        worker = WorkerRun(me, client, bench.do, limit=1, clock=SystemClock(),
                           notice=lambda _: None, rhythm=slow)  # fmt: skip
        worker._beating = _never  # type: ignore[method-assign]
        running = asyncio.create_task(worker.work())
        task = await platform.create(ADMIN, WorkWish(agent_name="one"))
        await bench.until_begun(1)
        await asyncio.sleep(0.5)
        bench.said[task.id]("too late")
        async with asyncio.timeout(60):
            while not bench.stopped:
                await asyncio.sleep(0.02)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await client.close()
    assert (await platform.outputs(ADMIN, task.id))[0] == ()
    assert bench.stopped[0] == task.id
    await platform.close()


async def _never() -> None:
    await asyncio.Event().wait()


async def test_a_worker_that_stops_while_the_platform_is_away_leaves_all_the_same(
    platform: WorkPlatform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "_PARTING_S", 0.1)
    bench = Bench()
    async with PlatformServer(platform) as server:
        me = Worker(id="wrk_1", tenant="", name="one")
        client = PlatformClient(server.url, "admin-token", me)
        worker = WorkerRun(me, client, bench.do, limit=1, clock=SystemClock(),
                           notice=lambda _: None, rhythm=QUICK)  # fmt: skip
        working = asyncio.create_task(worker.work())
        task = await platform.create(ADMIN, WorkWish())
        await bench.until_begun(1)
    worker.stop()
    async with asyncio.timeout(60):
        await working
    await client.close()
    assert bench.stopped == [task.id]
    assert (await platform.task(ADMIN, task.id)).status == "running"


async def test_a_worker_that_is_stopped_before_the_platform_came_up_leaves() -> None:
    me = Worker(id="w", tenant="", name="w")
    client = PlatformClient("http://127.0.0.1:1", "t", me)
    worker = WorkerRun(
        me, client, Bench().do, limit=1, clock=SystemClock(), notice=lambda _: None, rhythm=QUICK
    )
    working = asyncio.create_task(worker.work())
    await asyncio.sleep(0.1)
    worker.stop()
    async with asyncio.timeout(60):
        await working
    await client.close()


async def test_a_task_that_breaks_has_failed_and_the_worker_does_the_next(
    platform: WorkPlatform, server: PlatformServer
) -> None:
    async def do(offer: Offer, _: Callable[[str], None]) -> Ended:
        if offer.wish.title == "bad":
            raise RuntimeError("broken é" * 200)
        return Ended(status="completed")

    bad = await platform.create(ADMIN, WorkWish(title="bad"))
    good = await platform.create(ADMIN, WorkWish(title="good"))
    async with working(server.url, do):
        assert (await over(platform, bad)).error.startswith("RuntimeError: broken é")
        assert (await over(platform, good)).status == "completed"


async def test_a_token_that_is_not_accepted_ends_the_worker_with_a_sentence(
    server: PlatformServer,
) -> None:
    me = Worker(id="w", tenant="", name="w")
    client = PlatformClient(server.url, "wrong", me)
    worker = WorkerRun(me, client, Bench().do, limit=1, clock=SystemClock(), notice=print)
    with pytest.raises(PlatformError, match="does not accept the token"):
        await worker.work()
    await client.close()


async def test_a_long_list_of_what_waits_arrives_whole(tmp_path: Path) -> None:
    platform = WorkPlatform(SqliteWork(tmp_path / "work.db"), SystemClock())
    async with PlatformServer(platform) as server:
        me = Worker(id="wrk_1", tenant="", name="one", codebases=("/src",))
        client = PlatformClient(server.url, "admin-token", me)
        await client.register()
        for number in range(100):
            await platform.create(ADMIN, WorkWish(title=f"task {number}", prompt="x" * 10_000))
        assert len(await client.pending()) == 100
        await client.close()
    await platform.close()
