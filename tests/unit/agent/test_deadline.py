import asyncio

from codetether_ray.agent.deadline import Deadline
from codetether_ray.testing.clock import FakeClock


async def test_pauses_may_overlap_and_do_not_count() -> None:
    clock = FakeClock()
    deadline = Deadline(clock, 10.0)
    over = asyncio.create_task(deadline.wait())
    await clock.advance(6.0)
    deadline.pause()
    await clock.advance(3.0)
    deadline.pause()
    await clock.advance(50.0)
    deadline.resume()
    await clock.advance(50.0)
    assert not over.done()
    deadline.resume()
    await clock.advance(3.9)
    assert not over.done()
    await clock.advance(0.2)
    assert over.done()


async def test_a_pause_that_ends_before_the_alarm_moves_it() -> None:
    clock = FakeClock()
    deadline = Deadline(clock, 10.0)
    over = asyncio.create_task(deadline.wait())
    await clock.advance(1.0)
    deadline.pause()
    await clock.advance(2.0)
    deadline.resume()
    await clock.advance(8.9)
    assert not over.done()
    await clock.advance(0.2)
    assert over.done()
