import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codetether_ray.local.limiter import LocalLimiter, Pace, begun, learned
from codetether_ray.ports.limiter import RateFeedback
from tests.contracts.limiter import LimiterContract
from tests.unit.clocks import SteppedClock

_OK = RateFeedback(status=200)


class RealClock(SteppedClock):
    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class TestLocalLimiter(LimiterContract):
    @pytest.fixture
    def limiter(self) -> LocalLimiter:
        return LocalLimiter(RealClock())


async def test_a_retry_after_is_waited_for_to_the_second() -> None:
    clock = SteppedClock()
    limiter = LocalLimiter(clock)
    await limiter.report("p", RateFeedback(status=429, retry_after_s=7.0))
    await limiter.acquire("p")
    assert clock.slept == [7.0]


async def test_refusals_of_one_moment_are_one_and_later_ones_double_the_hold() -> None:
    pace, now, holds = Pace(), 100.0, []
    for _ in range(8):
        for _ in range(50):
            pace = learned(pace, RateFeedback(status=429), now=now)
        holds.append(pace.held_until - now)
        now = pace.held_until
    assert holds == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0]


async def test_a_refused_burst_leaves_a_pace_of_what_was_let_through() -> None:
    pace = begun(Pace(), 60, now=0.0)
    for _ in range(40):
        pace = learned(pace, RateFeedback(status=429), now=0.01)
    assert 1 / pace.interval_s(1.0) == pytest.approx(9.0, rel=0.05)  # 20 in about two seconds


async def test_successes_raise_the_pace_and_a_minute_without_refusal_frees_it() -> None:
    pace = learned(begun(Pace(), 20, now=0.0), RateFeedback(status=429), now=0.1)
    intervals = []
    for n in range(50):
        pace = learned(begun(pace, 5, now=2.0 + n), _OK, now=2.0 + n)
        intervals.append(pace.interval_s(2.0 + n))
    assert intervals == sorted(intervals, reverse=True)
    assert 0 < intervals[-1] < intervals[0]
    assert learned(pace, _OK, now=62.0).interval_s(62.0) == 0


async def test_what_remains_is_spread_over_the_window_once_it_is_little() -> None:
    plenty = RateFeedback(status=200, remaining=50, limit=100, resets_in_s=60)
    little = RateFeedback(status=200, remaining=15, limit=100, resets_in_s=60)
    least = RateFeedback(status=200, remaining=5, limit=100, resets_in_s=60)
    assert learned(Pace(), plenty, 0.0).interval_s(0.0) == 0
    assert learned(Pace(), little, 0.0).interval_s(0.0) == pytest.approx(4.0)
    assert learned(Pace(), least, 0.0).interval_s(0.0) == pytest.approx(12.0)
    assert learned(Pace(), least, 0.0).interval_s(60.0) == 0


async def test_a_bucket_that_refills_is_told_from_a_window_by_a_reset_that_moves_away() -> None:
    pace = Pace()
    for n, remaining in enumerate(range(99, 9, -10)):  # refills in 60 s; 10 calls a second
        told = RateFeedback(status=200, remaining=remaining, limit=100,
                            resets_in_s=(100 - remaining) * 0.6)  # fmt: skip
        pace = learned(pace, told, float(n))
    assert pace.interval_s(8.0) == pytest.approx(0.6)
    empty = RateFeedback(status=200, remaining=0, limit=100, resets_in_s=60.0)
    assert learned(pace, empty, 9.0).held_until == 0


async def test_an_empty_window_holds_until_it_resets() -> None:
    clock = SteppedClock()
    limiter = LocalLimiter(clock)
    empty = RateFeedback(status=200, remaining=0, limit=100, resets_in_s=12)
    await limiter.report("p", empty)
    await limiter.acquire("p")
    assert sum(clock.slept) == pytest.approx(12)


async def test_held_callers_go_in_the_order_they_came_and_one_at_a_time() -> None:
    clock = SteppedClock()
    limiter = LocalLimiter(clock)
    await limiter.report("p", RateFeedback(status=200, remaining=10, limit=100, resets_in_s=10))
    order: list[tuple[int, float]] = []

    async def call(n: int) -> None:
        lease = await limiter.acquire("p")
        order.append((n, clock.now()))
        assert lease.calls == 1

    start = clock.now()
    await asyncio.gather(*(call(n) for n in range(5)))
    assert [n for n, _ in order] == [0, 1, 2, 3, 4]
    assert [round(t - start, 3) for _, t in order] == [0.0, 1.0, 2.0, 3.0, 4.0]


async def test_a_batch_of_permits_is_given_only_where_nothing_holds_back() -> None:
    limiter = LocalLimiter(SteppedClock())
    assert (await limiter.lease("p", 1, 16)).calls == 16
    await limiter.report("p", RateFeedback(status=200, remaining=10, limit=100, resets_in_s=10))
    assert (await limiter.lease("p", 1, 16)).calls == 1


async def test_a_faster_pace_holds_for_callers_that_already_wait() -> None:
    clock = SteppedClock()
    limiter = LocalLimiter(clock)
    await limiter.report("p", RateFeedback(status=200, remaining=1, limit=100, resets_in_s=60))
    await limiter.acquire("p")
    await limiter.report("p", RateFeedback(status=200, remaining=99, limit=100, resets_in_s=60))
    await limiter.acquire("p")
    assert sum(clock.slept) == 0


@given(
    st.lists(
        st.builds(
            RateFeedback,
            status=st.sampled_from([200, 429, 500, 503]),
            retry_after_s=st.none() | st.floats(0, 100),
            remaining=st.none() | st.integers(0, 100),
            limit=st.none() | st.integers(0, 100),
            resets_in_s=st.none() | st.floats(0, 100),
        ),
        max_size=40,
    )
)
def test_a_pace_stays_in_its_bounds_whatever_is_told(feedbacks: list[RateFeedback]) -> None:
    pace = Pace()
    for n, feedback in enumerate(feedbacks):
        pace = learned(pace, feedback, float(n))
        assert 0 <= pace.interval_s(float(n)) <= 101
        assert pace.held_until <= n + 100
        assert pace.passed >= 0
