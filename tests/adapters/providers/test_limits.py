"""What answers say about limits, and what the limiter hears of it."""

import pytest

from codetether_ray.ports.limiter import Lease, RateFeedback
from codetether_ray.providers.limits import feedback, retry_after, wait_asked
from codetether_ray.providers.permits import Permits
from codetether_ray.testing.clock import FakeClock
from codetether_ray.testing.model_server import ModelServer, Reply, fail, say, script_of
from tests.adapters.providers.asking import Connect, EagerClock, request, response_of

NOW = 1_790_000_000.0  # 2026-09-21T14:13:20Z


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after-ms": "250", "retry-after": "9"}, 0.25),
        ({"retry-after": "Mon, 21 Sep 2026 14:14:20 GMT"}, 60.0),
        ({"retry-after": "Mon, 21 Sep 2026 14:00:00 GMT"}, 0.0),
        ({"retry-after": "soon"}, None),
        ({}, None),
    ],
)
def test_retry_after_is_seconds_milliseconds_or_a_date(
    headers: dict[str, str], seconds: float | None
) -> None:
    assert retry_after(headers, NOW) == seconds


@pytest.mark.parametrize(
    ("reset", "seconds"),
    [
        ("1s", 1.0),
        ("6m0s", 360.0),
        ("20ms", 0.02),
        ("1h2m3.5s", 3723.5),
        ("2d", 172_800.0),
        ("12", 12.0),
        ("1790000030", 30.0),
        ("1790000030000", 30.0),
        ("2026-09-21T14:13:50Z", 30.0),
        ("whenever", None),
    ],
)
def test_a_reset_is_understood_in_every_spelling(reset: str, seconds: float | None) -> None:
    headers = {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": reset}
    found = wait_asked(headers, "", NOW)
    assert found == (None if seconds is None else pytest.approx(seconds))


def test_the_empty_bucket_decides_how_long_to_wait() -> None:
    headers = {
        "anthropic-ratelimit-requests-remaining": "40",
        "anthropic-ratelimit-requests-limit": "50",
        "anthropic-ratelimit-requests-reset": "2026-09-21T14:13:21Z",
        "anthropic-ratelimit-input-tokens-remaining": "0",
        "anthropic-ratelimit-input-tokens-limit": "30000",
        "anthropic-ratelimit-input-tokens-reset": "2026-09-21T14:14:00Z",
    }
    assert feedback(429, headers, NOW) == RateFeedback(
        status=429, remaining=40, limit=50, resets_in_s=40.0
    )


@pytest.mark.parametrize(
    ("words", "seconds"),
    [
        ("Please try again in 7m12s. Visit …", 432.0),
        ("Please try again in 20ms.", 0.02),
        ("Rate limited, retry after 3s", 3.0),
        ("Your limit resets in 2h 30m", 9000.0),
        ("Limit Exhausted. Your limit will reset at 2026-09-21 23:13:20 (id 7)", 3600.0),
        ("You will regain access on 2026-09-21 at 15:13 UTC.", 3580.0),
        ("Try later", None),
    ],
)
def test_a_wait_in_words_is_understood(words: str, seconds: float | None) -> None:
    found = wait_asked({}, words, NOW)
    assert found == (None if seconds is None else pytest.approx(seconds))


class Limiter:
    """Gives leases of three calls and keeps what it is told."""

    def __init__(self) -> None:
        self.asked = 0
        self.told: list[RateFeedback] = []

    async def acquire(self, provider: str, calls: int = 1) -> Lease:
        self.asked += 1
        return Lease(provider=provider, calls=3, expires_at=1_000_060.0)

    async def report(self, provider: str, feedback: RateFeedback) -> None:
        self.told.append(feedback)


async def test_a_lease_is_used_up_before_another_is_asked_for() -> None:
    limiter, clock = Limiter(), FakeClock()
    permits = Permits("local", limiter, clock)
    for _ in range(4):
        await permits.take()
    assert limiter.asked == 2
    await clock.advance(61)  # the second lease is over
    await permits.take()
    assert limiter.asked == 3
    await permits.report(429, {})
    await permits.take()
    assert limiter.asked == 4


async def test_every_try_has_a_permit_and_its_answer_is_reported(
    connect: Connect, clock: EagerClock
) -> None:
    limiter = Limiter()
    generous = Reply(
        text="ok",
        headers=(
            ("x-ratelimit-remaining-requests", "59"),
            ("x-ratelimit-limit-requests", "60"),
            ("x-ratelimit-reset-requests", "1s"),
        ),
    )
    script = script_of(fail(429, "slow down", retry_after_s=2), generous, say("ok"))
    async with ModelServer(script) as server:
        provider = connect("local", server, limiter=limiter)
        await response_of(provider, request())
        await response_of(provider, request())
    assert limiter.told == [
        RateFeedback(status=429, retry_after_s=2.0),
        RateFeedback(status=200, remaining=59, limit=60, resets_in_s=1.0),
        RateFeedback(status=200),
    ]
