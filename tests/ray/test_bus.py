import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import ray

from codetether_ray.actors.bus import RayBus
from codetether_ray.actors.cluster import Cluster
from codetether_ray.core.errors import ClusterError
from codetether_ray.ports.bus import Cursor
from tests.contracts.bus import CAPACITY, MAX_POLLS, BusContract, message, texts


@pytest.fixture(scope="module")
def small(cluster: Cluster) -> Any:
    return RayBus.start(capacity=CAPACITY, max_parked_polls=MAX_POLLS).actor


@pytest.fixture(scope="module")
def roomy(cluster: Cluster) -> Any:
    return RayBus.start().actor


class TestRayBus(BusContract):
    @pytest.fixture
    async def bus(self, small: Any) -> AsyncIterator[RayBus]:
        bus = RayBus(small)
        yield bus
        await bus.aclose()


async def test_a_publish_is_answered_while_two_thousand_polls_wait_in_the_actor(
    roomy: Any,
) -> None:
    bus = RayBus(roomy)
    start = await bus.cursor()
    polls = [asyncio.create_task(bus.poll([f"agent.{n}"], start, wait_s=60)) for n in range(2000)]
    await asyncio.sleep(0)
    while await waiting_in(roomy) < 2000:
        await asyncio.sleep(0.05)
    async with asyncio.timeout(180):
        await bus.publish([message("agent.1234", "you")])
        assert texts((await polls[1234]).envelopes) == ["you"]
    assert sum(poll.done() for poll in polls) == 1
    for poll in polls:
        poll.cancel()
    await asyncio.gather(*polls, return_exceptions=True)
    while await waiting_in(roomy):
        await asyncio.sleep(0.05)


async def waiting_in(actor: Any) -> int:
    return int(await actor.parked_polls.remote())


async def test_many_publishes_of_a_process_ride_few_calls_in_order(roomy: Any) -> None:
    bus = RayBus(roomy)
    start = await bus.cursor()
    sent = await asyncio.gather(*(bus.publish([message("task.t", str(n))]) for n in range(3000)))
    assert sent == sorted(sent)
    seen: list[str] = []
    while len(seen) < 3000:
        batch = await bus.poll(["task.t"], start, limit=5000)
        start = batch.cursor
        seen += texts(batch.envelopes)
    assert seen == [str(n) for n in range(3000)]
    await bus.aclose()


async def test_messages_larger_than_a_call_arrive_whole(roomy: Any) -> None:
    bus = RayBus(roomy)
    start = await bus.cursor()
    sizes = [300_000, 1, 90_000, 90_000, 5]
    await asyncio.gather(*(bus.publish([message("big.m", "x" * n)]) for n in sizes))
    seen: list[int] = []
    while len(seen) < len(sizes):
        batch = await bus.poll(["big.m"], start)
        start = batch.cursor
        seen += [len(e.payload) for e in batch.envelopes]
    assert seen == sizes


async def test_a_restarted_bus_has_a_new_epoch_and_readers_go_on(cluster: Cluster) -> None:
    bus = RayBus.start()
    subscription = await bus.subscribe(["task.*"])
    before = await bus.cursor()
    ray.kill(bus.actor, no_restart=False)
    async with asyncio.timeout(180):
        while (after := await bus.cursor()).epoch == before.epoch:  # it is told to die, not awaited
            await asyncio.sleep(0.05)
        await bus.publish([message("task.a", "again")])
        assert (await anext(subscription)).payload == b"again"
    batch = await bus.poll(["t"], Cursor(epoch=before.epoch, offset=99), wait_s=0)
    assert batch.cursor.epoch == after.epoch
    await bus.aclose()
    ray.kill(bus.actor)


async def test_a_bus_that_is_gone_is_told_of(cluster: Cluster) -> None:
    bus = RayBus.start()
    subscription = await bus.subscribe(["task.*"])
    ray.kill(bus.actor)
    with pytest.raises(ClusterError, match="bus actor"):
        await anext(subscription)
    with pytest.raises(ClusterError, match="bus actor"):
        await bus.publish([message("t")])
