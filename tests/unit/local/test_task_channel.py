from collections.abc import AsyncIterator

import pytest

from codetether_ray.local.task_channel import LocalTaskChannel, TaskHub
from codetether_ray.ports.task_channel import Lost
from tests.contracts.task_channel import MAX_EVENTS, TaskChannelContract, event, some


class TestLocalTaskChannel(TaskChannelContract):
    @pytest.fixture
    def hub(self) -> TaskHub:
        return TaskHub(MAX_EVENTS)

    @pytest.fixture
    async def here(self, hub: TaskHub) -> AsyncIterator[LocalTaskChannel]:
        channel = LocalTaskChannel(hub)
        yield channel
        await channel.close()

    @pytest.fixture
    async def there(self, hub: TaskHub) -> AsyncIterator[LocalTaskChannel]:
        channel = LocalTaskChannel(hub)
        yield channel
        await channel.close()


async def test_a_listener_is_bounded_in_bytes_as_well() -> None:
    channel = LocalTaskChannel(TaskHub(max_bytes=1000))
    async with channel.listen("t1") as events:
        for n in range(30):
            await channel.publish(event(n, payload=b"x" * 300))
        got = await some(events, 4)
    assert got[0] == Lost()
    assert got[1:] == [event(n, payload=b"x" * 300) for n in (27, 28, 29)]
    await channel.close()
