"""What every channel of tasks promises. Two channels, `here` and `there`, are as two replicas."""

import asyncio
from collections.abc import AsyncIterator

from codetether_ray.ports.task_channel import Lost, Signal, TaskChannel, TaskEvent

PATIENCE_S = 60.0
MAX_EVENTS = 100
"""That a listener of the channels under test may be behind."""


def event(version: int, task_id: str = "t1", payload: bytes = b"x") -> TaskEvent:
    return TaskEvent(task_id=task_id, version=version, payload=payload, is_last=version > 99)


async def some(events: AsyncIterator[TaskEvent | Lost], count: int) -> list[TaskEvent | Lost]:
    async with asyncio.timeout(PATIENCE_S):
        return [await anext(events) for _ in range(count)]


async def until(events: AsyncIterator[TaskEvent | Lost], version: int) -> list[int]:
    """Versions up to one; -1 for a loss."""
    seen: list[int] = []
    async with asyncio.timeout(PATIENCE_S):
        while not seen or seen[-1] != version:
            found = await anext(events)
            seen.append(found.version if isinstance(found, TaskEvent) else -1)
    return seen


class Heard:
    """Remembers signals."""

    def __init__(self) -> None:
        self.signals: asyncio.Queue[tuple[str, Signal]] = asyncio.Queue()

    async def __call__(self, task_id: str, word: Signal) -> None:
        await self.signals.put((task_id, word))

    async def next(self) -> tuple[str, Signal]:
        return await asyncio.wait_for(self.signals.get(), PATIENCE_S)


class TaskChannelContract:
    """The fixtures `here` and `there` give channels that reach each other."""

    async def test_who_listens_is_told_in_order_wherever_it_is(
        self, here: TaskChannel, there: TaskChannel
    ) -> None:
        async with here.listen("t1") as mine, there.listen("t1") as theirs:
            sent = [event(n, payload=bytes([n])) for n in range(60)]
            for one in sent:
                await here.publish(one)
            assert await some(mine, 60) == sent
            assert await some(theirs, 60) == sent

    async def test_a_listener_hears_of_its_own_task_alone(
        self, here: TaskChannel, there: TaskChannel
    ) -> None:
        async with there.listen("t1") as first, there.listen("t2") as second:
            await here.publish(event(1, "t3"))
            await here.publish(event(2, "t2"))
            await here.publish(event(3, "t1"))
            assert await some(first, 1) == [event(3, "t1")]
            assert await some(second, 1) == [event(2, "t2")]

    async def test_nothing_is_missed_from_the_moment_of_entering_on(
        self, here: TaskChannel, there: TaskChannel
    ) -> None:
        for n in range(1, 30):
            async with there.listen("t1") as events:
                await here.publish(event(n))
                assert n in await until(events, n)

    async def test_what_was_published_before_is_not_waited_for(
        self, here: TaskChannel, there: TaskChannel
    ) -> None:
        for n in range(50):
            await here.publish(event(n, "nobody"))
        async with there.listen("t1") as events:
            await here.publish(event(1))
            assert await some(events, 1) == [event(1)]

    async def test_several_listeners_of_a_task_each_get_all(
        self, here: TaskChannel, there: TaskChannel
    ) -> None:
        async with there.listen("t1") as first:
            async with there.listen("t1") as second:
                await here.publish(event(1))
                assert await some(second, 1) == [event(1)]
            await here.publish(event(2))
            assert await some(first, 2) == [event(1), event(2)]

    async def test_thousands_of_listeners_are_told_of_their_own_tasks(
        self, here: TaskChannel, there: TaskChannel
    ) -> None:
        async def one(n: int) -> None:
            async with (there if n % 2 else here).listen(f"task {n}") as events:
                ready.release()
                assert await some(events, 2) == [event(1, f"task {n}"), event(2, f"task {n}")]

        ready = asyncio.Semaphore(0)
        async with asyncio.TaskGroup() as group:
            for n in range(2000):
                group.create_task(one(n))
            for _ in range(2000):
                await ready.acquire()
            for version in (1, 2):
                for n in range(2000):
                    await here.publish(event(version, f"task {n}"))

    async def test_a_slow_listener_loses_and_is_told_and_others_do_not(
        self, here: TaskChannel, there: TaskChannel
    ) -> None:
        async with there.listen("t1") as slow, there.listen("t1") as quick:
            seen: list[TaskEvent | Lost] = []
            for n in range(3 * MAX_EVENTS):
                await here.publish(event(n))
                if n % 50 == 49:
                    seen += await some(quick, 50)
            assert seen == [event(n) for n in range(3 * MAX_EVENTS)]
            found = await until(slow, 3 * MAX_EVENTS - 1)
            assert found[0] == -1
            assert found[1:] == list(range(3 * MAX_EVENTS - len(found) + 1, 3 * MAX_EVENTS))
            assert len(found) <= MAX_EVENTS + 1

    async def test_big_payloads_arrive_whole_and_in_order(
        self, here: TaskChannel, there: TaskChannel
    ) -> None:
        sizes = [300_000, 1, 90_000, 90_000, 5, 3_000_000]
        async with there.listen("t1") as events:
            for n, size in enumerate(sizes):
                await here.publish(event(n, payload=b"z" * size))
            got = await some(events, len(sizes))
        assert [len(one.payload) for one in got if isinstance(one, TaskEvent)] == sizes

    async def test_a_signal_reaches_whoever_attends_here_and_there(
        self, here: TaskChannel, there: TaskChannel
    ) -> None:
        first, second = Heard(), Heard()
        await here.attend(first)
        await there.attend(second)
        await here.signal("t1", "cancel")
        assert await first.next() == ("t1", "cancel")
        assert await second.next() == ("t1", "cancel")
        await there.signal("t2", "show")
        assert await first.next() == ("t2", "show")
        assert await second.next() == ("t2", "show")

    async def test_a_callback_that_fails_or_hangs_stops_no_signal(
        self, here: TaskChannel, there: TaskChannel
    ) -> None:
        heard = Heard()

        async def broken(task_id: str, word: Signal) -> None:
            await heard(task_id, word)
            if task_id == "t1":
                raise ValueError(task_id)
            await asyncio.Event().wait()

        await there.attend(broken)
        for id in ("t1", "t2", "t3"):
            await here.signal(id, "cancel")
        assert {await heard.next() for _ in range(3)} == {(f"t{n}", "cancel") for n in (1, 2, 3)}

    async def test_a_channel_that_is_closed_ends_its_listeners_alone(
        self, here: TaskChannel, there: TaskChannel
    ) -> None:
        async with here.listen("t1") as mine, there.listen("t1") as theirs:
            await there.close()
            async with asyncio.timeout(PATIENCE_S):
                assert [one async for one in theirs] == []
            await here.publish(event(1))
            assert await some(mine, 1) == [event(1)]
        await there.close()

    async def test_what_was_published_before_closing_is_told(
        self, here: TaskChannel, there: TaskChannel
    ) -> None:
        async with there.listen("t1") as theirs:
            for n in range(50):
                await here.publish(event(n))
            await here.close()
            assert await some(theirs, 50) == [event(n) for n in range(50)]
