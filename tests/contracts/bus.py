"""What every bus promises."""

import asyncio

import pytest

from codetether_ray.core.errors import TooManyPollsError
from codetether_ray.local.subscriptions import Subscriptions
from codetether_ray.ports.bus import Bus, Cursor, Envelope

CAPACITY = 50
MAX_POLLS = 30


def message(topic: str, text: str = "") -> Envelope:
    return Envelope(topic=topic, sender="tester", payload=text.encode())


def texts(envelopes: tuple[Envelope, ...]) -> list[str]:
    return [e.payload.decode() for e in envelopes]


async def parked(bus: Bus, *patterns: str, wait_s: float = 30.0) -> asyncio.Task:
    """A poll that waits in the bus: a later cursor call is answered after it."""
    task = asyncio.create_task(bus.poll(list(patterns), await bus.cursor(), wait_s=wait_s))
    await asyncio.sleep(0.02)
    await bus.cursor()
    return task


async def ended(task: asyncio.Task) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


class BusContract:
    """Give a fixture `bus` of capacity `CAPACITY` that parks at most `MAX_POLLS` polls."""

    async def test_messages_come_in_the_order_they_were_published(self, bus: Bus) -> None:
        start = await bus.cursor()
        await asyncio.gather(*(bus.publish([message("task.a", str(n))]) for n in range(20)))
        last = await bus.publish([message("task.a", "20"), message("task.a", "21")])
        batch = await bus.poll(["task.a"], start)
        assert texts(batch.envelopes) == [str(n) for n in range(22)]
        assert batch.envelopes[-1].offset == last
        assert (batch.lost, batch.lag) == (0, 0)

    async def test_each_publisher_is_told_the_offset_of_its_own_last_message(
        self, bus: Bus
    ) -> None:
        start = await bus.cursor()
        offsets = await asyncio.gather(
            *(bus.publish([message("task.a", str(n))] * (n % 3 + 1)) for n in range(9))
        )
        batch = await bus.poll(["task.a"], start)
        by_offset = {e.offset: e.payload.decode() for e in batch.envelopes}
        assert [by_offset[o] for o in offsets] == [str(n) for n in range(9)]

    async def test_a_pattern_matches_by_segment(self, bus: Bus) -> None:
        start = await bus.cursor()
        for topic in ("agent.a1", "agent.a10", "agent.a1.events", "swarm.x", "broadcast"):
            await bus.publish([message(topic, topic)])
        assert texts((await bus.poll(["agent.a1"], start)).envelopes) == ["agent.a1"]
        assert texts((await bus.poll(["agent.*"], start)).envelopes) == ["agent.a1", "agent.a10"]
        assert texts((await bus.poll(["agent.**", "swarm.*"], start)).envelopes) == [
            "agent.a1",
            "agent.a10",
            "agent.a1.events",
            "swarm.x",
        ]

    async def test_a_default_cursor_stands_at_the_end(self, bus: Bus) -> None:
        await bus.publish([message("task.a", "before")])
        batch = await bus.poll(["task.a"], Cursor(), wait_s=0)
        assert batch.envelopes == ()
        await bus.publish([message("task.a", "after")])
        assert texts((await bus.poll(["task.a"], batch.cursor)).envelopes) == ["after"]

    async def test_a_poll_goes_on_where_the_last_one_ended(self, bus: Bus) -> None:
        cursor = await bus.cursor()
        await bus.publish([message("task.a", str(n)) for n in range(10)])
        seen: list[str] = []
        while True:
            batch = await bus.poll(["task.a"], cursor, limit=3, wait_s=0)
            if not batch.envelopes:
                break
            assert len(batch.envelopes) <= 3
            assert batch.lag == 10 - len(seen) - len(batch.envelopes)
            seen += texts(batch.envelopes)
            cursor = batch.cursor
        assert seen == [str(n) for n in range(10)]

    async def test_a_parked_poll_is_woken_by_what_it_wants_and_nothing_else(self, bus: Bus) -> None:
        wanting, other = await parked(bus, "task.a"), await parked(bus, "task.b", "swarm.*")
        await bus.publish([message("task.c", "noise"), message("task.a", "yes")])
        batch = await asyncio.wait_for(wanting, 60)
        assert texts(batch.envelopes) == ["yes"]
        await bus.cursor()
        assert not other.done()
        await ended(other)

    async def test_a_poll_that_nothing_comes_for_returns_empty_and_stands_at_the_end(
        self, bus: Bus
    ) -> None:
        task = await parked(bus, "task.a", wait_s=0.2)
        await bus.publish([message("task.b")] * (CAPACITY * 2))
        batch = await task
        assert (batch.envelopes, batch.lost) == ((), 0)
        assert batch.cursor == await bus.cursor()

    async def test_a_reader_that_fell_off_the_end_is_told_how_much_it_lost(self, bus: Bus) -> None:
        start = await bus.cursor()
        await bus.publish([message("task.a", str(n)) for n in range(CAPACITY + 7)])
        batch = await bus.poll(["task.a"], start)
        assert batch.lost == 7
        assert texts(batch.envelopes) == [str(n) for n in range(7, CAPACITY + 7)]

    async def test_a_cursor_of_another_epoch_goes_on_at_the_oldest_message(self, bus: Bus) -> None:
        here = await bus.cursor()
        await bus.publish([message("task.z", str(n)) for n in range(CAPACITY)])
        batch = await bus.poll(["task.z"], Cursor(epoch="another", offset=10**6))
        assert len(batch.envelopes) == CAPACITY
        assert batch.lost == batch.envelopes[0].offset
        assert batch.cursor.epoch == here.epoch

    async def test_more_parked_polls_than_may_wait_are_refused(self, bus: Bus) -> None:
        tasks = [await parked(bus, f"task.{n}") for n in range(MAX_POLLS)]
        with pytest.raises(TooManyPollsError) as refused:
            await bus.poll(["task.x"], await bus.cursor(), wait_s=30)
        assert refused.value.limit == MAX_POLLS
        await bus.publish([message("task.0", "still answered")])
        assert texts((await tasks[0]).envelopes) == ["still answered"]
        for task in tasks[1:]:
            await ended(task)

    async def test_a_poll_that_was_given_up_makes_room_for_another(self, bus: Bus) -> None:
        for _ in range(2):
            tasks = [await parked(bus, "task.a") for _ in range(MAX_POLLS)]
            for task in tasks:
                await ended(task)
        batch = await bus.poll(["task.a"], await bus.cursor(), wait_s=0.01)
        assert batch.envelopes == ()

    async def test_two_thousand_subscriptions_wait_on_one_poll(self, bus: Bus) -> None:
        hub = Subscriptions(bus)
        made = await asyncio.gather(*(hub.subscribe([f"agent.{n}"]) for n in range(2000)))
        await bus.publish([message("agent.1500", "you"), message("agent.7", "you too")])
        assert (await asyncio.wait_for(anext(made[1500]), 60)).payload == b"you"
        assert (await asyncio.wait_for(anext(made[7]), 60)).payload == b"you too"
        await hub.close()
        tasks = [await parked(bus, "task.a") for _ in range(MAX_POLLS)]  # none was left behind
        for task in tasks:
            await ended(task)

    async def test_a_subscription_misses_nothing_after_it_was_made(self, bus: Bus) -> None:
        hub = Subscriptions(bus)
        first = await hub.subscribe(["task.*"])
        await bus.publish([message("task.a", "1")])
        second = await hub.subscribe(["task.a", "swarm.x"])
        await bus.publish([message("task.a", "2"), message("swarm.x", "3")])
        third = await hub.subscribe(["swarm.*"])
        await bus.publish([message("swarm.x", "4"), message("task.a", "5")])
        assert [(await anext(first)).payload for _ in range(3)] == [b"1", b"2", b"5"]
        assert [(await anext(second)).payload for _ in range(4)] == [b"2", b"3", b"4", b"5"]
        assert (await anext(third)).payload == b"4"
        await hub.close()

    async def test_a_subscription_from_an_old_cursor_replays(self, bus: Bus) -> None:
        start = await bus.cursor()
        hub = Subscriptions(bus)
        live = await hub.subscribe(["task.a"])
        await bus.publish([message("task.a", "1"), message("task.a", "2")])
        assert (await anext(live)).payload == b"1"
        late = await hub.subscribe(["task.a"], start)
        assert [(await anext(late)).payload for _ in range(2)] == [b"1", b"2"]
        await bus.publish([message("task.a", "3")])
        assert [(await anext(live)).payload for _ in range(2)] == [b"2", b"3"]
        await hub.close()

    async def test_a_closed_subscription_ends_its_reader(self, bus: Bus) -> None:
        hub = Subscriptions(bus)
        subscription = await hub.subscribe(["task.a"])

        async def read() -> list[bytes]:
            return [e.payload async for e in subscription]

        reader = asyncio.create_task(read())
        await bus.publish([message("task.a", "1")])
        await asyncio.sleep(0.05)
        await subscription.close()
        assert await asyncio.wait_for(reader, 60) in ([b"1"], [])
        await hub.close()
