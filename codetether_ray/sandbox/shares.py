"""What one agent's commands may take of the memory that was set aside for it."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from codetether_ray.core.errors import MemoryExceededError
from codetether_ray.sandbox.limits import MemoryLimit, open_limit

_LOOK_S = 0.25


class MemoryShare:
    """Keeps true: the limit holds for all commands that run at once, and is gone with the last.

    One that takes too much is ended. Where the agent may have more elsewhere, that is raised, and
    the command is run again there; else the model is told.
    """

    def __init__(self, agent: str, name: str, limit_bytes: int, *, may_grow: bool = False) -> None:
        """`name` tells the agent from all others on this machine."""
        self._agent = agent
        self._name = name
        self._limit_bytes = limit_bytes
        self._may_grow = may_grow
        self._limit: MemoryLimit | None = None
        self._bounds: set[Bound] = set()

    @contextmanager
    def entered(self) -> Iterator["Bound"]:
        """While a command runs."""
        if self._limit is None:
            self._limit = open_limit(self._name, self._limit_bytes)
        bound = Bound(self, self._limit)
        self._bounds.add(bound)
        try:
            yield bound
        finally:
            self._bounds.discard(bound)
            if not self._bounds:
                self._limit.close()
                self._limit = None

    def look(self) -> None:
        """See what all commands take; those that run when it is too much are told."""
        if self._limit is None:
            return
        peak = self._limit.exceeded(tuple(b.reaper for b in self._bounds if b.reaper))
        if peak is not None:
            for bound in self._bounds:
                bound.peak_bytes = max(bound.peak_bytes, peak)

    def verdict(self, peak_bytes: int) -> str:
        """What the model is told of a command that was ended; empty for nothing.

        Raises:
            MemoryExceededError: the agent may have more elsewhere.
        """
        if not peak_bytes:
            return ""
        if self._may_grow:
            why = "its commands took more memory than was set aside for it"
            raise MemoryExceededError(self._agent, why, peak_bytes, self._limit_bytes)
        most = f"{self._limit_bytes / 1_000_000:,.0f} MB"
        return f"\n[ended: all commands of this agent together may take {most} of memory]\n"


class Bound:
    """One command that runs within a share."""

    def __init__(self, share: MemoryShare, limit: MemoryLimit) -> None:
        self._share = share
        self.scope = limit.scope
        self.reaper = 0
        self.peak_bytes = 0
        """What was taken when it was too much; 0: it was not."""

    async def watch(self, reaper: int) -> None:
        """Return once too much was taken."""
        self.reaper = reaper
        while not self.peak_bytes:
            await asyncio.sleep(_LOOK_S)
            self._share.look()

    def verdict(self) -> str:
        """See `MemoryShare`; for when the command has ended."""
        self._share.look()
        return self._share.verdict(self.peak_bytes)
