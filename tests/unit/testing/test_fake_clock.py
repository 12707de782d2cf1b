import asyncio

from codetether_ray.testing.clock import FakeClock


async def test_sleepers_wake_in_order_of_their_hour_and_time_stands_at_it() -> None:
    clock, woken = FakeClock(start=100.0), []

    async def sleeper(seconds: float) -> None:
        await clock.sleep(seconds)
        woken.append((seconds, clock.now()))

    tasks = [asyncio.create_task(sleeper(s)) for s in (5.0, 1.0, 3.0)]
    await clock.advance(4.0)
    assert woken == [(1.0, 101.0), (3.0, 103.0)]
    assert (clock.now(), clock.monotonic(), clock.sleepers) == (104.0, 4.0, 1)
    await clock.advance(1.0)
    assert woken[-1] == (5.0, 105.0)
    await asyncio.gather(*tasks)


async def test_who_sleeps_again_while_time_moves_wakes_again() -> None:
    clock, ticks = FakeClock(), 0

    async def ticker() -> None:
        nonlocal ticks
        while True:
            await clock.sleep(10.0)
            ticks += 1

    task = asyncio.create_task(ticker())
    await clock.advance(35.0)
    assert ticks == 3
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert clock.sleepers == 0
