import asyncio
from collections.abc import Sequence

import pytest

from codetether_ray.actors.outbox import CALL_BYTES, Outbox
from codetether_ray.core.errors import ClusterError, JournalError


class Post:
    """Doubles numbers; refuses odd ones; answers only when it is let."""

    def __init__(self) -> None:
        self.calls: list[list[int]] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.error: Exception | None = None
        self.under_way = self.most = 0

    async def send(self, numbers: Sequence[int]) -> list[int | Exception]:
        self.calls.append(list(numbers))
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        await self.gate.wait()
        await asyncio.sleep(0)
        self.under_way -= 1
        if self.error is not None:
            raise self.error
        return [JournalError(f"{n} is odd") if n % 2 else n * 2 for n in numbers]


async def test_what_comes_while_a_call_is_under_way_rides_the_next_in_order() -> None:
    post = Post()
    outbox = Outbox(post.send)
    answers = [outbox.post(0, 1)]
    await asyncio.sleep(0)
    answers += [outbox.post(n, 1) for n in (2, 4, 6)]
    assert await asyncio.gather(*answers) == [0, 4, 8, 12]
    assert post.calls == [[0], [2, 4, 6]]
    assert post.most == 1


async def test_what_may_wait_for_company_rides_the_next_call_in_order() -> None:
    post = Post()
    outbox = Outbox(post.send)
    answers = [outbox.post(n, 1, wait_s=60) for n in (0, 2)]
    await asyncio.sleep(0.01)
    assert post.calls == []
    answers.append(outbox.post(4, 1))
    assert await asyncio.gather(*answers) == [0, 4, 8]
    assert post.calls == [[0, 2, 4]]


async def test_what_finds_no_company_goes_alone_and_leaves_no_timer() -> None:
    post = Post()
    outbox = Outbox(post.send)
    assert await outbox.post(2, 1, wait_s=0.001) == 4
    waiting = outbox.post(4, 1, wait_s=60)
    await outbox.flush()
    assert waiting.result() == 8
    assert post.calls == [[2], [4]]
    assert not [h for h in asyncio.get_running_loop()._scheduled if not h.cancelled()]  # type: ignore[attr-defined]


async def test_a_refusal_is_its_own_posters_alone() -> None:
    outbox = Outbox(Post().send)
    answers = await asyncio.gather(*(outbox.post(n, 1) for n in (2, 3, 4)), return_exceptions=True)
    assert (answers[0], answers[2]) == (4, 8)
    assert isinstance(answers[1], JournalError)


@pytest.mark.parametrize("error", [ClusterError("gone"), TypeError("no such")])
async def test_a_call_that_fails_fails_all_that_rode_it_and_no_later_one(error: Exception) -> None:
    post = Post()
    outbox = Outbox(post.send)
    post.error = error
    answers = await asyncio.gather(outbox.post(2, 1), outbox.post(4, 1), return_exceptions=True)
    assert answers == [error, error]
    post.error = None
    assert await outbox.post(6, 1) == 12


async def test_a_call_carries_no_more_than_its_bytes_but_for_one_large_payload() -> None:
    post = Post()
    outbox = Outbox(post.send)
    big = CALL_BYTES // 2
    await asyncio.gather(*(outbox.post(n, s) for n, s in ((0, 1), (2, big), (4, big + 1), (6, 1))))
    await outbox.post(8, CALL_BYTES * 10)
    assert post.calls == [[0, 2], [4, 6], [8]]


async def test_who_gives_up_stops_nothing_and_flush_waits_for_all() -> None:
    post = Post()
    post.gate.clear()
    outbox = Outbox(post.send)
    outbox.post(0, 1)
    given_up = outbox.post(2, 1)
    given_up.cancel()
    flushing = asyncio.create_task(outbox.flush())
    await asyncio.sleep(0)
    assert not flushing.done()
    post.gate.set()
    await flushing
    assert [n for sent in post.calls for n in sent] == [0, 2]


async def test_a_poster_waits_for_room_when_too_much_is_unsent() -> None:
    post = Post()
    post.gate.clear()
    outbox = Outbox(post.send)
    for n in range(0, 10, 2):
        outbox.post(n, 10_000_000)
    waiting = asyncio.create_task(outbox.room())
    await asyncio.sleep(0)
    assert not waiting.done()
    post.gate.set()
    await waiting
    await outbox.flush()
    assert len(post.calls) == 5
