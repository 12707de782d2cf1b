"""A clock that moves only when told to, or when somebody sleeps on it."""

import asyncio


class SteppedClock:
    def __init__(self) -> None:
        self._now = 1_700_000_000.0
        self.slept: list[float] = []

    def now(self) -> float:
        return self._now

    def monotonic(self) -> float:
        return self._now

    def step(self, seconds: float) -> None:
        self._now += seconds

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self._now += seconds
        await asyncio.sleep(0)
