"""What every rate limiter promises."""

import asyncio

import pytest

from codetether_ray.ports.limiter import RateFeedback, RateLimiter


class LimiterContract:
    """Give a fixture `limiter` that knows nothing yet."""

    async def test_nothing_known_holds_nobody_back(self, limiter: RateLimiter) -> None:
        leases = await asyncio.gather(*(limiter.acquire("free") for _ in range(200)))
        assert all(lease.calls >= 1 and lease.provider == "free" for lease in leases)

    async def test_a_429_holds_everyone_for_its_retry_after(self, limiter: RateLimiter) -> None:
        await limiter.acquire("busy")
        await limiter.report("busy", RateFeedback(status=429, retry_after_s=3600.0))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await limiter.acquire("busy")
        await limiter.acquire("idle")
