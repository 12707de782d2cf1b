"""One provider's share of the rate limiter: leases used up call by call, answers reported back."""

from collections.abc import Mapping

from codetether_ray.ports.clock import Clock
from codetether_ray.ports.limiter import RateLimiter
from codetether_ray.providers.limits import feedback


class Permits:
    """Waits for permission before a call; tells the limiter what the answer said.

    A lease may hold more calls than were asked for; they are used before another is asked for.
    Without a limiter every call may be made at once.
    """

    def __init__(self, provider: str, limiter: RateLimiter | None, clock: Clock) -> None:
        self._provider = provider
        self._limiter = limiter
        self._clock = clock
        self._left = 0
        self._until = 0.0

    async def take(self) -> None:
        """Wait until one call may be made."""
        if self._limiter is None:
            return
        if self._left > 0 and self._clock.now() < self._until:
            self._left -= 1
            return
        lease = await self._limiter.acquire(self._provider)
        self._left, self._until = lease.calls - 1, lease.expires_at

    async def report(self, status: int, headers: Mapping[str, str]) -> None:
        """Pass on what an answer said about limits; a 429 voids what is left of the lease."""
        if self._limiter is None:
            return
        if status == 429:
            self._left = 0
        await self._limiter.report(self._provider, feedback(status, headers, self._clock.now()))
