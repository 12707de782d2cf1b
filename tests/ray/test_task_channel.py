"""The channel of tasks over an actor: the contract, another process, an actor that dies."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from typing import Any

import pytest
import ray

from codetether_ray.actors import task_channel
from codetether_ray.actors.cluster import Cluster
from codetether_ray.actors.task_channel import RayBoard, RayTaskChannel, start_channel
from codetether_ray.actors.tasks import on_head
from codetether_ray.local.task_board import MemoryBoard
from codetether_ray.ports.task_channel import Lost
from tests.contracts.task_channel import (
    MAX_EVENTS,
    Heard,
    TaskChannelContract,
    event,
    some,
    until,
)


@pytest.fixture(scope="module")
def board(cluster: Cluster) -> Any:
    return on_head(MemoryBoard, "task board", "of the contract")


async def opened(actor: Any) -> RayTaskChannel:
    board = RayBoard(lambda: actor)
    await board.open()
    return RayTaskChannel(board, max_events=MAX_EVENTS)


@pytest.fixture
async def here(board: Any) -> AsyncIterator[RayTaskChannel]:
    await board.__ray_call__.remote(lambda self: self._signals.clear())  # the last test's
    channel = await opened(board)
    yield channel
    await channel.close()


@pytest.fixture
async def there(board: Any) -> AsyncIterator[RayTaskChannel]:
    channel = await opened(board)
    yield channel
    await channel.close()


class TestRayTaskChannel(TaskChannelContract):
    pass


class Replica:
    """Another process: it echoes what it hears."""

    def __init__(self, place: str) -> None:
        self._place = place

    async def begin(self, task_id: str) -> None:
        self._channel = await start_channel(self._place)
        await self._channel.attend(self._told)
        self._listening = self._channel.listen(task_id)
        self._events = await self._listening.__aenter__()
        self._work = asyncio.create_task(self._echo())

    async def _told(self, task_id: str, word: Any) -> None:
        await self._channel.publish(event(7, f"told {task_id} {word}"))

    async def _echo(self) -> None:
        async for one in self._events:
            version = -9 if isinstance(one, Lost) else one.version
            await self._channel.publish(event(version, "echo"))


async def test_processes_hear_each_other_before_and_after_the_board_died(
    cluster: Cluster,
) -> None:
    place = "two processes"
    mine = await start_channel(place)
    far = ray.remote(Replica).options(num_cpus=0).remote(place)
    async with mine.listen("echo") as echo, mine.listen("told t1 cancel") as told:
        await far.begin.remote("t1")
        for n in range(50):
            await mine.publish(event(n, "t1"))
        assert await some(echo, 50) == [event(n, "echo") for n in range(50)]
        await mine.signal("t1", "cancel")
        assert await some(told, 1) == [event(7, "told t1 cancel")]
        actor = mine._board._actor
        os.kill(await actor.__ray_call__.remote(lambda self: os.getpid()), signal.SIGKILL)
        assert await some(echo, 1) == [Lost()]
        for n in range(60, 1000):
            await mine.publish(event(n, "t1"))
            try:
                await asyncio.wait_for(anext(echo), 0.5)
                break
            except TimeoutError:
                continue
        await mine.publish(event(1001, "t1"))
        assert 1001 in await until(echo, 1001)
        await mine.signal("t1", "cancel")
        assert event(7, "told t1 cancel") in await some(told, 2)
    await mine.close()
    ray.kill(far)
    ray.kill(actor)


async def test_a_board_that_is_gone_for_good_is_made_again(cluster: Cluster) -> None:
    first, second = await start_channel("gone"), await start_channel("gone")
    heard = Heard()
    await second.attend(heard)
    async with second.listen("t1") as events:
        ray.kill(first._board._actor)
        assert await some(events, 1) == [Lost()]
        await first.publish(event(1))
        assert await some(events, 1) == [event(1)]
    await first.signal("t1", "show")
    assert await heard.next() == ("t1", "show")
    await first.close()
    await second.close()
    ray.kill(second._board._actor)


@pytest.mark.matrix
async def test_a_board_that_is_frozen_is_replaced_and_nothing_is_lost_without_a_word(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(task_channel, "_LEASE_S", 2.0)
    first, second = await start_channel("frozen"), await start_channel("frozen")
    actor = first._board._actor
    async with second.listen("t1") as events:
        pid = await actor.__ray_call__.remote(lambda self: os.getpid())
        await asyncio.sleep(0.5)  # so that both know which process it is
        os.kill(pid, signal.SIGSTOP)
        for n in range(50):
            await first.publish(event(n))
        assert -1 in await asyncio.wait_for(until_lost(events), 300)
        await first.publish(event(99))
        assert 99 in await until(events, 99)
    await first.close()
    await second.close()
    ray.kill(actor)


async def until_lost(events: AsyncIterator[Any]) -> list[int]:
    seen: list[int] = []
    while -1 not in seen:
        found = await anext(events)
        seen.append(-1 if isinstance(found, Lost) else found.version)
    return seen
