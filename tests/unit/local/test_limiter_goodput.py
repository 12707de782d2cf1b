"""Many agents under a provider's rate limit, in virtual time: nearly all that it allows is used."""

import asyncio
import math
import random
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from codetether_ray.local.limiter import LocalLimiter
from codetether_ray.ports.limiter import RateFeedback


class _VirtualLoop(asyncio.SelectorEventLoop):
    """Time passes only where everybody waits for it."""

    def __init__(self) -> None:
        super().__init__()
        self._now = 0.0
        select = self._selector.select  # type: ignore[attr-defined]

        def instead(timeout: float | None = None) -> object:
            events = select(0)
            if not events and timeout:
                self._now += timeout
            return events

        self._selector.select = instead  # type: ignore[attr-defined]

    def time(self) -> float:
        return self._now


class _Clock:
    def now(self) -> float:
        return 1e9 + self.monotonic()

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


@dataclass
class _Limit:
    """`most` calls at once; they come back at `rate` a second, or all at the end of a window."""

    rate: float
    most: int
    hint: str
    window_s: float = 0.0
    left: float = field(init=False)
    at: float = 0.0
    requests: int = 0

    def __post_init__(self) -> None:
        self.left = self.most

    def take(self, now: float) -> bool:
        self.requests += 1
        if self.window_s and math.floor(now / self.window_s) != self.at:
            self.left, self.at = self.most, math.floor(now / self.window_s)
        elif not self.window_s:
            self.left = min(self.most, self.left + (now - self.at) * self.rate)
            self.at = now
        if self.left < 1:
            return False
        self.left -= 1
        return True

    def told(self, status: int, now: float) -> RateFeedback:
        resets = (
            self.window_s - now % self.window_s
            if self.window_s
            else (self.most - self.left) / self.rate
        )
        if self.hint == "headers":
            return RateFeedback(
                status=status, remaining=int(self.left), limit=self.most, resets_in_s=resets
            )
        if self.hint == "retry-after" and status == 429:
            return RateFeedback(status=status, retry_after_s=resets if self.window_s else 1.0)
        return RateFeedback(status=status)


async def _work(limit: _Limit, answer_s: float, agents: int, calls: int) -> None:
    """Agents that call until so many calls are answered; each waits by itself, too."""
    clock, chance = _Clock(), random.Random(1)
    limiter = LocalLimiter(clock)
    left = iter(range(calls))

    async def agent() -> None:
        for _ in left:
            tries = 0
            while not await call():
                await clock.sleep(chance.random() * min(2.0**tries, 30.0))
                tries += 1

    async def call() -> bool:
        await limiter.acquire("p")
        if not limit.take(clock.monotonic()):
            await clock.sleep(0.01)
            await limiter.report("p", limit.told(429, clock.monotonic()))
            return False
        await clock.sleep(min(0.3, answer_s))
        await limiter.report("p", limit.told(200, clock.monotonic()))
        await clock.sleep(answer_s)
        return True

    await asyncio.gather(*(agent() for _ in range(agents)))


@pytest.fixture
def loop() -> Iterator[_VirtualLoop]:
    loop = _VirtualLoop()
    yield loop
    loop.close()


_CASES = {
    "20 a second, short answers": (20.0, 20, 0.0, 0.05, 60, 400, 0.9),
    "20 a second, long answers": (20.0, 20, 0.0, 10.0, 300, 2000, 0.85),
    "50 a minute": (50 / 60, 50, 0.0, 10.0, 100, 200, 0.85),
    "500 a minute": (500 / 60, 500, 0.0, 10.0, 200, 2000, 0.85),
    "60 in each minute": (1.0, 60, 60.0, 5.0, 60, 300, 0.7),
}


@pytest.mark.parametrize("hint", ["headers", "retry-after", "nothing"])
@pytest.mark.parametrize("case", _CASES)
def test_goodput_is_near_the_limit_and_few_calls_are_refused(
    loop: _VirtualLoop, case: str, hint: str
) -> None:
    rate, most, window_s, answer_s, agents, calls, least = _CASES[case]
    limit = _Limit(rate=rate, most=most, hint=hint, window_s=window_s)
    loop.run_until_complete(_work(limit, answer_s, agents, calls))
    goodput = (calls - most) / loop.time()
    assert goodput >= least * rate, f"{goodput:.2f} of {rate:.2f} a second"
    assert limit.requests <= 1.8 * calls
