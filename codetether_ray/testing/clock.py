"""A clock that stands still until it is told to go on."""

import asyncio
import heapq
import itertools


class FakeClock:
    """Time moves by `advance` alone; those who sleep wake in order of their hour."""

    def __init__(self, start: float = 1_000_000.0) -> None:
        self._start = self._time = start
        self._order = itertools.count()
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []

    def now(self) -> float:
        """Seconds since the epoch."""
        return self._time

    def monotonic(self) -> float:
        """Seconds since this clock was made."""
        return self._time - self._start

    async def sleep(self, seconds: float) -> None:
        """Wait until the clock has been advanced that far."""
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        waker: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._time + seconds, next(self._order), waker))
        await waker

    @property
    def sleepers(self) -> int:
        """How many are asleep."""
        return sum(not waker.done() for _, _, waker in self._sleepers)

    async def advance(self, seconds: float) -> None:
        """Move on, waking each sleeper at its hour and letting it run."""
        end = self._time + seconds
        await _settle()
        while self._sleepers and self._sleepers[0][0] <= end:
            hour, _, waker = heapq.heappop(self._sleepers)
            self._time = max(self._time, hour)
            if not waker.done():
                waker.set_result(None)
                await _settle()
        self._time = end


async def _settle() -> None:
    for _ in range(20):  # enough turns of the event loop for what became ready to run
        await asyncio.sleep(0)
