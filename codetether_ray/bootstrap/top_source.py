"""Where `top` has its picture from: this data directory, or a cluster's truth and its nodes."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from codetether_ray.bootstrap.top import LOOK, RunWatcher
from codetether_ray.bootstrap.truth.address import choose_address
from codetether_ray.bootstrap.truth.place import Truth
from codetether_ray.bootstrap.truth.reach import Reach, reached
from codetether_ray.core.codec import JsonObject, JsonValue

if TYPE_CHECKING:
    from codetether_ray.actors.sight import Sight


class TopSource:
    """Gives one picture after another; what it has read once it does not read again."""

    def __init__(self, data_dir: Path, reach: Reach) -> None:
        self._reach = reach
        self._watcher = RunWatcher(data_dir)
        self._sight: Sight | None = None

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
        listed: JsonValue = list(await self.nodes())
        return {"source": reach.source, **runs, "nodes": listed}

    async def nodes(self) -> list[JsonObject]:
        """This machine, or every node of the cluster as seen there."""
        if self._reach.cluster is None:
            return await asyncio.to_thread(_this_machine)
        from codetether_ray.actors.sight import Sight

        if self._sight is None:
            self._sight = Sight()
        seen = await self._sight.capacity()
        return [
            {
                **_node(n.node, n.host, n.cpus, n.memory_bytes, n.free_memory_bytes),
                "draining": n.is_draining,
            }
            for n in seen.nodes
        ]


class HttpTop:
    """The same from an ingress, which has the whole picture."""

    def __init__(self, truth: Truth) -> None:
        self._truth = truth

    async def look(self) -> JsonObject:
        """Runs, agents and nodes as they stand now.

        Raises:
            ClusterError: the ingress does not answer.
        """
        seen: JsonObject = await self._truth.ask(LOOK)
        return {**seen, "source": self._truth.source}


@asynccontextmanager
async def open_source(
    given: str | None, data_dir: Path, notice: Callable[[str], None]
) -> AsyncIterator["TopSource | HttpTop"]:
    """The picture of the cluster that `--address` or a setting names, else of this machine.

    Raises:
        ClusterError: the cluster cannot be joined.
        UsageError: it has no address.
    """
    address = choose_address(given, os.environ)
    if address.is_http:
        from codetether_ray.bootstrap.truth.http import leads_to_ingress, truth_at

        if await asyncio.to_thread(leads_to_ingress, address.value, data_dir):
            truth = await asyncio.to_thread(truth_at, address.value, os.environ)
            try:
                yield HttpTop(truth)
            finally:
                if truth.http is not None:
                    truth.http.close()
            return
    async with reached(given, data_dir, notice) as reach:
        yield TopSource(data_dir, reach)


def _this_machine() -> list[JsonObject]:
    from codetether_ray.local.capacity import machine_capacity

    found = machine_capacity()
    return [
        _node("", socket.gethostname(), found.cpus, found.memory_bytes, found.free_memory_bytes)
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
