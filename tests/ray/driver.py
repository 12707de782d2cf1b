"""Driver processes for the cluster's tests: `python -m tests.ray.driver MODE DATA_DIR [ADDRESS]`.

What they have to tell is one line of JSON on stdout.
"""

import asyncio
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

from codetether_ray.actors import processes
from codetether_ray.actors.cluster import Cluster, ClusterOptions, join_or_start
from codetether_ray.actors.services import start_services
from codetether_ray.core.errors import ClusterError


class Light:
    def __init__(self, number: int) -> None:
        self._number = number

    async def pid(self) -> int:
        return os.getpid()

    async def crash(self) -> None:
        os._exit(7)


def tell(**what: Any) -> None:
    print(json.dumps(what), flush=True)


def make(count: int) -> list[Any]:
    import ray

    remote = ray.remote(Light).options(num_cpus=0)
    return [remote.remote(n) for n in range(count)]


async def many(cluster: Cluster, count: int) -> None:
    """Make many actors, lose two of them, and leave."""
    from ray.exceptions import RayActorError

    actors = make(count)
    pids = await asyncio.gather(*(a.pid.remote() for a in actors))
    os.kill(pids[0], signal.SIGKILL)
    lost = await asyncio.gather(
        actors[0].pid.remote(), actors[1].crash.remote(), return_exceptions=True
    )
    assert all(isinstance(error, RayActorError) for error in lost), lost
    tell(actors=len(set(pids)))


async def linger(cluster: Cluster) -> None:
    """Have two actors and wait to be killed."""
    await asyncio.gather(*(a.pid.remote() for a in make(2)))
    found = processes.descendants(os.getpid())
    tell(directory=str(cluster._keeper.directory), pids=[p.pid for p in found])
    await asyncio.Event().wait()


async def meet(cluster: Cluster) -> None:
    """Tell which bus this driver found, and whether it had to start Ray."""
    cursor = await start_services(is_private=cluster.is_private).bus().cursor()
    tell(private=cluster.is_private, epoch=cursor.epoch)


async def twice(cluster: Cluster) -> None:
    """End the Ray that was started, and start another one in the same process."""
    await cluster.close()
    again = await join_or_start(cluster._keeper._options)
    try:
        pids = await asyncio.gather(*(a.pid.remote() for a in make(1)))
        tell(actors=len(pids), is_another=again.address != cluster.address)
    finally:
        await again.close()


async def hold(cluster: Cluster) -> None:
    """Hold a head for others until the end of stdin."""
    tell(address=cluster.address)
    await asyncio.to_thread(sys.stdin.read)


async def main(mode: str, data_dir: str, address: str = "") -> None:
    options = ClusterOptions(
        data_dir=Path(data_dir),
        address=address,
        log_path=Path(data_dir) / "ray.log",
        cpus=2,
        announce=mode == "hold",
    )
    try:
        cluster = await join_or_start(options, lambda sentence: tell(notice=sentence))
    except ClusterError as error:
        tell(error=str(error))
        return
    try:
        if mode.startswith("many"):
            await many(cluster, int(mode.removeprefix("many")))
        else:
            modes = {"linger": linger, "meet": meet, "hold": hold, "twice": twice}
            await modes[mode](cluster)
    finally:
        await cluster.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
