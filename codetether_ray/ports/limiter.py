"""Rate limits of providers, shared by every agent."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """Permission to make `calls` calls to `provider` until `expires_at` (seconds since epoch)."""

    provider: str
    calls: int
    expires_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RateFeedback:
    """What an answer said about limits. None where the provider said nothing."""

    status: int
    retry_after_s: float | None = None
    remaining: int | None = None
    limit: int | None = None
    resets_in_s: float | None = None


class RateLimiter(Protocol):
    """Hands out leases per provider, and learns from answers."""

    async def acquire(self, provider: str, calls: int = 1) -> Lease:
        """Wait until calls may be made; a lease may hold more calls than were asked for."""
        ...

    async def report(self, provider: str, feedback: RateFeedback) -> None:
        """Tell what an answer said: 429s slow everyone down, successes speed up again."""
        ...
