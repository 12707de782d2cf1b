"""What one Serve replica does: opens the parts and listens, in an event loop of its own.

Serve runs a replica's code in a loop of asyncio's own kind, beside which it looks after the
replica; requests are answered by the ingress' loop in a thread of its own, so that neither waits
for the other.
"""

import asyncio
import contextlib
import os
import threading
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

from codetether_ray.bootstrap.truth.reach import Reach
from codetether_ray.config.paths import data_dir
from codetether_ray.core.errors import ClusterError
from codetether_ray.ingress.options import AUTH_TOKEN, IngressOptions

T = TypeVar("T")

GRACE_S = 10.0
"""For what is under way when a replica is told to go: streams are ended then, and go on with
another replica."""
_STUCK_S = 10.0
_TELEMETRY = "OTEL_INSTRUMENTATION_A2A_SDK_ENABLED"


class Replica:
    """One process' ingress; its methods are called in another loop than the one it works in."""

    def __init__(self, options: IngressOptions) -> None:
        self.options = options
        self.where = f"{options.hostname}:{options.port}"
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._parts: Any = None
        self._listening: Any = None

    async def start(self) -> None:
        """Open and listen.

        Raises:
            CodetetherError: it cannot.
        """
        from codetether_ray.ingress.loop import new_loop

        os.environ[_TELEMETRY] = "false"  # the SDK reads it when it is imported
        os.environ.pop(AUTH_TOKEN, None)  # whoever started Ray had it; the truth's token counts
        self._loop = new_loop()
        self._thread = threading.Thread(target=self._run, name="ingress", daemon=True)
        self._thread.start()
        try:
            await self._there(self._open())
        except BaseException:
            await self.stop()
            raise

    async def check(self) -> None:
        """Return if it answers.

        Raises:
            ClusterError: its loop is stuck, or it listens no more.
        """
        try:
            async with asyncio.timeout(_STUCK_S):
                is_alive = await self._there(self._is_alive())
        except TimeoutError:
            raise ClusterError(f"the ingress at {self.where} is stuck") from None
        if not is_alive:
            raise ClusterError(f"the ingress at {self.where} listens no more")

    async def stop(self) -> None:
        """Take no more, let what is under way end, close everything; a second time it is done."""
        loop, self._loop = self._loop, None
        if loop is None or self._thread is None:
            return
        await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(self._close(), loop))
        loop.call_soon_threadsafe(loop.stop)
        await asyncio.to_thread(self._thread.join)

    def _run(self) -> None:
        assert self._loop is not None
        loop = self._loop
        asyncio.set_event_loop(loop)
        try:
            loop.run_forever()
        finally:
            loop.close()

    async def _there(self, work: Coroutine[Any, Any, T]) -> T:
        if self._loop is None:
            work.close()
            raise ClusterError(f"the ingress at {self.where} is closed")
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self._loop))

    async def _open(self) -> None:
        from codetether_ray.actors.holders import new_holder
        from codetether_ray.bootstrap.heap import settle_heap
        from codetether_ray.ingress.listening import Listening
        from codetether_ray.ingress.opening import open_parts

        reach = await reach_within(self.options)
        self._parts = await open_parts(self.options, reach, holder=new_holder())
        self._listening = await Listening.start(self._parts, shares=True)
        settle_heap()

    async def _is_alive(self) -> bool:
        return self._listening is not None and bool(self._listening.is_alive)

    async def _close(self) -> None:
        from codetether_ray.ingress.opening import close_parts

        if self._listening is not None:
            with contextlib.suppress(Exception):
                await self._listening.stop(GRACE_S)
        if self._parts is not None:
            await close_parts(self._parts)


async def reach_within(options: IngressOptions) -> Reach:
    """Where the truth is, for a process that is part of the cluster.

    Raises:
        ClusterError: the head does not answer.
    """
    from codetether_ray.actors.member import cluster_within
    from codetether_ray.bootstrap.truth.address import Address
    from codetether_ray.bootstrap.truth.place import find_truth

    folder = Path(options.data_dir) if options.data_dir else data_dir(os.environ)
    cluster = await asyncio.to_thread(cluster_within)
    truth = await find_truth(folder, cluster.address)
    address = Address(value=cluster.address, origin="the cluster that it is part of")
    return Reach(address=address, truth=truth, cluster=cluster)
