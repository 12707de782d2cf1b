"""One process has one connection to Ray: what several runs of a process share, or wait for.

A cluster that was joined is shared, and left by the last. A private Ray is one run's own: its
whole memory is that run's to plan with, so another run waits until it is over.
"""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from codetether_ray.core.errors import ClusterError

_LOOK_S = 0.1


@dataclass(slots=True, eq=False)
class Hold:
    """A connection that is there or is being made, and how many hold on to it."""

    target: str
    """The address that was asked for; empty for a private Ray."""
    holders: int = 1
    connection: Any = None
    """None while it is being made."""


class Shares:
    """The connection of this process. It may be asked from several threads and event loops."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._hold: Hold | None = None

    async def take(self, target: str, notice: Callable[[str], None]) -> Hold:
        """A hold on the connection to `target`; whose `connection` is None has to make it.

        Who makes it says `made`, or gives the hold back; whoever has one gives it back.

        Raises:
            ClusterError: this process is connected to another cluster.
        """
        is_told = False
        while True:
            found = self._try(target)
            if found is not None:
                return found
            if not target and not is_told:
                is_told = True
                notice(
                    "it waits: another run of this process has its private Ray; `codetether up` "
                    "starts a head that runs share"
                )
            await asyncio.sleep(_LOOK_S)

    def made(self, hold: Hold, connection: Any, *, is_private: bool) -> None:
        """The connection is there: others may share it, unless it is to a private Ray."""
        with self._lock:
            if is_private:
                hold.target = ""
            hold.connection = connection

    async def give_back(
        self, hold: Hold, close: Callable[[], Awaitable[None]] | None = None
    ) -> None:
        """Let go; the last one closes the connection before anybody makes another."""
        with self._lock:
            is_last = hold.holders == 1
            if not is_last:
                hold.holders -= 1
        if is_last:
            try:
                if close is not None:
                    await close()
            finally:
                with self._lock:
                    self._hold = None

    def _try(self, target: str) -> Hold | None:
        """A hold, or None where it has to be waited for."""
        with self._lock:
            hold = self._hold
            if hold is None:
                self._hold = Hold(target)
                return self._hold
            if hold.target != target:
                mine = f"the Ray cluster at {hold.target}" if hold.target else "a private Ray"
                raise ClusterError(
                    f"this process is connected to {mine} by another run; wait for its end, or "
                    "use another process"
                )
            if target and hold.connection is not None:
                hold.holders += 1
                return hold
            return None
