"""The small services of a cluster in one process: who is alive, and how fast models may be asked.

They share an actor because a process of its own costs 60 MB and a second of CPU.
"""

from codetether_ray.local.clock import SystemClock
from codetether_ray.local.directory import LocalDirectory
from codetether_ray.local.limiter import LocalLimiter
from codetether_ray.ports.directory import AgentCard, Presence
from codetether_ray.ports.limiter import Lease, RateFeedback


class Registry:
    """The class of the actor; see `actors.directory` and `actors.limiter` for its clients."""

    def __init__(self) -> None:
        clock = SystemClock()
        self._directory = LocalDirectory(clock)
        self._limiter = LocalLimiter(clock)

    def __repr__(self) -> str:
        return "Registry(directory, rate limits)"

    async def announce(self, card: AgentCard, lease_s: float) -> None:
        """See `Directory`."""
        await self._directory.announce(card, lease_s)

    async def withdraw(self, name: str) -> None:
        """See `Directory`."""
        await self._directory.withdraw(name)

    async def find(self, name: str) -> Presence | None:
        """See `Directory`."""
        return await self._directory.find(name)

    async def list(self, run_id: str | None) -> tuple[Presence, ...]:
        """See `Directory`."""
        return await self._directory.list(run_id)

    async def lease(self, provider: str, least: int, most: int) -> Lease:
        """See `LocalLimiter`."""
        return await self._limiter.lease(provider, least, most)

    async def report(self, provider: str, feedback: RateFeedback) -> None:
        """See `RateLimiter`."""
        await self._limiter.report(provider, feedback)
