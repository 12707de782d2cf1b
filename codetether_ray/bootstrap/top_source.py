"""Where `top` has its picture from: this data directory, or a cluster's truth and its nodes."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from codetether_ray.bootstrap.top import LOOK, RunWatcher
from codetether_ray.bootstrap.truth.reach import Reach, reached
from codetether_ray.core.codec import JsonObject, JsonValue


class TopSource:
    """Gives one picture after another; what it has read once it does not read again."""

    def __init__(self, data_dir: Path, reach: Reach) -> None:
        self._reach = reach
        self._watcher = RunWatcher(data_dir)

    async def look(self) -> JsonObject:
        """Runs, agents and nodes as they stand now.

        Raises:
            ClusterError: the head does not answer.
        """
        reach = self._reach
        if reach.truth.is_here:
            runs = await asyncio.to_thread(self._watcher.look)
        else:
            runs = await reach.truth.ask(LOOK)
        find_nodes = _this_machine if reach.cluster is None else _nodes_of_cluster
        listed: JsonValue = list(await asyncio.to_thread(find_nodes))
        return {"source": reach.source, **runs, "nodes": listed}


@asynccontextmanager
async def open_source(
    given: str | None, data_dir: Path, notice: Callable[[str], None]
) -> AsyncIterator[TopSource]:
    """The picture of the cluster that `--address` or a setting names, else of this machine.

    Raises:
        ClusterError: the cluster cannot be joined.
        UsageError: it has no address.
    """
    async with reached(given, data_dir, notice) as reach:
        yield TopSource(data_dir, reach)


def _this_machine() -> list[JsonObject]:
    from codetether_ray.local.capacity import machine_capacity

    found = machine_capacity()
    return [
        _node("", socket.gethostname(), found.cpus, found.memory_bytes, found.free_memory_bytes)
    ]


def _nodes_of_cluster() -> list[JsonObject]:
    from codetether_ray.actors.nodes import cluster_capacity

    return [
        {
            **_node(n.node, n.host, n.cpus, n.memory_bytes, n.free_memory_bytes),
            "draining": n.is_draining,
        }
        for n in cluster_capacity().nodes
    ]


def _node(id: str, host: str, cpus: float, memory: int, free: int) -> JsonObject:
    return {
        "node": id,
        "host": host,
        "cpus": cpus,
        "memory_bytes": memory,
        "free_memory_bytes": free,
        "draining": False,
    }
