"""The rate limiter across processes: permits come in batches, reports go only where they tell."""

import asyncio
from dataclasses import replace
from typing import Any

from codetether_ray.actors.calls import ask
from codetether_ray.ports.clock import Clock
from codetether_ray.ports.limiter import Lease, RateFeedback

_REGISTRY = "the rate limiter actor"
_BATCH = 8
"""Calls asked for at once; what is not used in time is lost to nobody (permits refill by time)."""
_TELLING = 0.5
"""Below this share of a window left, an answer's headers are worth a call."""


class RayLimiter:
    """The limiter port on a cluster's registry actor.

    Where nothing holds calls back, one call of the actor serves `_BATCH` calls of models, and
    successes are not reported.
    """

    def __init__(self, actor: Any, clock: Clock) -> None:
        self._actor = actor
        self._clock = clock
        self._leases: dict[str, Lease] = {}
        self._turns: dict[str, asyncio.Lock] = {}
        self._scarce: set[str] = set()

    async def acquire(self, provider: str, calls: int = 1) -> Lease:
        """Wait until calls may be made."""
        async with self._turns.setdefault(provider, asyncio.Lock()):
            lease = self._leases.pop(provider, None)
            if lease is None or lease.calls < calls or lease.expires_at <= self._clock.now():
                lease = await self._fetch(provider, calls)
            rest = lease.calls - calls
            if rest > 0:
                self._leases[provider] = replace(lease, calls=rest)
        return replace(lease, calls=calls)

    async def _fetch(self, provider: str, calls: int) -> Lease:
        wanted = max(calls, _BATCH)
        lease: Lease = await ask(self._actor.lease.remote(provider, calls, wanted), _REGISTRY)
        if lease.calls < wanted:
            self._scarce.add(provider)
        else:
            self._scarce.discard(provider)
        return lease

    async def report(self, provider: str, feedback: RateFeedback) -> None:
        """Tell what an answer said."""
        if feedback.status >= 400:
            self._leases.pop(provider, None)
        if provider in self._scarce or _tells(feedback):
            await ask(self._actor.report.remote(provider, feedback), _REGISTRY)


def _tells(feedback: RateFeedback) -> bool:
    """Whether an answer says something that others should know."""
    if feedback.status >= 400:
        return True
    if feedback.remaining is None or not feedback.limit:
        return False
    return feedback.remaining / feedback.limit < _TELLING
