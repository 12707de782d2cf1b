"""A node whose clock is wrong is told of by the run that uses it; the run goes on.

Nothing in a run goes by the clocks of two machines at once, but people, certificates and S3 do.
"""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress

from codetether_ray.bootstrap.trees.order import NodeCalls
from codetether_ray.core.errors import CodetetherError

WATCH = "codetether_ray.bootstrap.doctor.node:watch"
SKEW_S = 60.0
"""Clocks further apart than this are told of."""
_PATIENCE_S = 60.0


class ClockedNodes:
    """Reaches nodes by their ids, and looks at the clock of each where it is reached first."""

    def __init__(self, reach: Callable[[str], NodeCalls], tell: Callable[[str], None]) -> None:
        self._reach = reach
        self._tell = tell
        self._looks: dict[str, asyncio.Task[None]] = {}

    def __call__(self, id: str) -> NodeCalls:
        """The node; from the event loop."""
        node = self._reach(id)
        if id not in self._looks:
            self._looks[id] = asyncio.create_task(self._look(node), name="clock")
        return node

    async def settled(self) -> None:
        """Return once all clocks have been looked at."""
        await asyncio.gather(*self._looks.values())

    async def _look(self, node: NodeCalls) -> None:
        with suppress(CodetetherError, TimeoutError):  # a node that is gone is told of by others
            async with asyncio.timeout(_PATIENCE_S):
                await node.call(WATCH)  # its process may have to be started
                before = time.time()
                host, there = await node.call(WATCH)
            sentence = told(host, there, before, time.time())
            if sentence:
                self._tell(sentence)


def told(host: str, there: float, before: float, after: float) -> str:
    """What is to be said of a clock that was read between two moments; empty if nothing is."""
    ahead = there - (before + after) / 2
    if abs(ahead) - (after - before) / 2 <= SKEW_S:
        return ""
    way = "ahead of" if ahead > 0 else "behind"
    return (
        f"the clock of {host} is {abs(ahead):.0f} s {way} the head's: the run goes on; set it "
        "there (`timedatectl set-ntp true`)"
    )
