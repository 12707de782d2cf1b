"""Which replicas are known to have died, by the names under which they hold tasks."""

import asyncio
import os
import signal
from typing import Any

import ray

from codetether_ray.actors.holders import is_gone, new_holder


class Replica:
    """Holds tasks."""

    async def holder(self) -> tuple[str, int]:
        return await asyncio.to_thread(new_holder), os.getpid()  # as the ingress' own thread does


async def test_a_replica_that_was_killed_is_known_to_be_gone_and_no_other(cluster: Any) -> None:
    made = [ray.remote(Replica).options(num_cpus=0).remote() for _ in range(2)]
    (dead, pid), (alive, _) = await asyncio.gather(*(one.holder.remote() for one in made))
    assert dead != alive
    assert not await is_gone(dead)
    os.kill(pid, signal.SIGKILL)
    async with asyncio.timeout(180):
        while not await is_gone(dead):
            await asyncio.sleep(0.05)
    assert not await is_gone(alive)
    ray.kill(made[1])


async def test_of_a_holder_that_no_cluster_knows_nothing_is_said(cluster: Any) -> None:
    for holder in ("", "ingress-1", f"replica-{'0' * 32}-x", "replica-x", "replica--"):
        assert not await is_gone(holder)
