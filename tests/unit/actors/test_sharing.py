"""One connection to Ray per process: shared where it was joined, waited for where it is private."""

import asyncio

import pytest

from codetether_ray.actors.sharing import Shares
from codetether_ray.core.errors import ClusterError


def quiet(_: str) -> None:
    """Nobody listens."""


async def test_a_joined_cluster_is_shared_and_left_by_the_last() -> None:
    shares, left = Shares(), []

    async def close() -> None:
        left.append("left")

    first = await shares.take("h:1", quiet)
    assert first.connection is None
    second = asyncio.create_task(shares.take("h:1", quiet))
    await asyncio.sleep(0)
    assert not second.done()  # it is being made
    shares.made(first, "connection", is_private=False)
    assert (await second).connection == "connection"
    await shares.give_back(first, close)
    assert left == []
    await shares.give_back(await second, close)
    assert left == ["left"]
    assert (await shares.take("h:2", quiet)).connection is None


async def test_another_cluster_cannot_be_joined_meanwhile() -> None:
    shares = Shares()
    await shares.take("h:1", quiet)
    with pytest.raises(ClusterError, match="connected to the Ray cluster at h:1 by another run"):
        await shares.take("h:2", quiet)


async def test_a_private_ray_is_waited_for() -> None:
    shares, told = Shares(), []
    hold = await shares.take("", told.append)
    shares.made(hold, "mine", is_private=True)
    waiting = asyncio.create_task(shares.take("", told.append))
    await asyncio.sleep(0)
    assert not waiting.done()
    assert len(told) == 1
    assert "codetether up" in told[0]
    await shares.give_back(hold)
    assert (await waiting).connection is None
