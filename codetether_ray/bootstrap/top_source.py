"""Where `top` has its picture from: this data directory, or a cluster's truth and its nodes."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from codetether_ray.bootstrap.top import LOOK, RunWatcher
from codetether_ray.bootstrap.truth.address import Address
from codetether_ray.bootstrap.truth.place import Truth, find_truth
from codetether_ray.core.codec import JsonObject, JsonValue


class TopSource:
    """Gives one picture after another; what it has read once it does not read again."""

    def __init__(self, data_dir: Path, truth: Truth | None = None) -> None:
        """`truth`: that of the cluster that this process has joined; None: there is none."""
        self._truth = truth
        self._watcher = RunWatcher(data_dir)

    async def look(self) -> JsonObject:
        """Runs, agents and nodes as they stand now.

        Raises:
            ClusterError: the head does not answer.
        """
        truth = self._truth
        if truth is None or truth.is_here:
            runs = await asyncio.to_thread(self._watcher.look)
        else:
            runs = await truth.ask(LOOK)
        nodes = await asyncio.to_thread(_this_machine if truth is None else _nodes_of_cluster)
        listed: JsonValue = list(nodes)
        source = "this machine" if truth is None else truth.source
        return {"source": source, **runs, "nodes": listed}


@asynccontextmanager
async def open_source(
    address: Address, data_dir: Path, notice: Callable[[str], None]
) -> AsyncIterator[TopSource]:
    """The picture of a cluster that is named, else of this machine, its own head included.

    Raises:
        ClusterError: the cluster cannot be joined.
    """
    if not address.is_named:
        yield TopSource(data_dir)
        return
    from codetether_ray.actors.cluster import ClusterOptions, join_or_start

    options = ClusterOptions(data_dir=data_dir, address=address.value, log_path=Path(os.devnull))
    cluster = await join_or_start(options, notice)
    try:
        yield TopSource(data_dir, await find_truth(data_dir, cluster.address))
    finally:
        await cluster.close()


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
