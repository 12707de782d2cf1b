"""The channel over a board in this process: one that is slow, fails, begins anew, or is full."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from codetether_ray.core.errors import ClusterError
from codetether_ray.local import board_channel
from codetether_ray.local.board_channel import BoardChannel
from codetether_ray.local.task_board import MemoryBoard
from codetether_ray.ports.task_board import Notice
from codetether_ray.ports.task_channel import Lost
from codetether_ray.testing.clock import FakeClock
from tests.contracts.task_channel import (
    MAX_EVENTS,
    Heard,
    TaskChannelContract,
    event,
    some,
    until,
)


class FlakyBoard:
    """A board that can be replaced by an empty one, and be out of reach."""

    def __init__(self, **options: Any) -> None:
        self._options = options
        self.is_away = False
        self.calls: list[str] = []
        self._death = asyncio.Event()
        self.restart()

    def restart(self) -> None:
        """The old one's parked takes fail, as those of an actor that died."""
        self.board = MemoryBoard(**self._options)
        self._death.set()
        self._death = asyncio.Event()

    def __getattr__(self, name: str) -> Any:
        async def call(*arguments: Any) -> Any:
            self.calls.append(name)
            await asyncio.sleep(0)
            if self.is_away:
                raise ClusterError("the board is away")
            dies = asyncio.ensure_future(self._death.wait())
            work = asyncio.ensure_future(getattr(self.board, name)(*arguments))
            try:
                await asyncio.wait({dies, work}, return_when=asyncio.FIRST_COMPLETED)
                if dies.done():
                    raise ClusterError("the board is gone")
                return work.result()
            finally:
                dies.cancel()
                work.cancel()

        return call


@pytest.fixture
async def board() -> FlakyBoard:
    return FlakyBoard()


@pytest.fixture
async def here(board: FlakyBoard) -> AsyncIterator[BoardChannel]:
    channel = BoardChannel(board, pace_s=0.0, max_events=MAX_EVENTS)
    yield channel
    await channel.close()


@pytest.fixture
async def there(board: FlakyBoard) -> AsyncIterator[BoardChannel]:
    channel = BoardChannel(board, pace_s=0.0, max_events=MAX_EVENTS)
    yield channel
    await channel.close()


class TestBoardChannel(TaskChannelContract):
    pass


async def test_listeners_are_told_of_a_board_that_began_anew_and_hear_what_comes_then(
    board: FlakyBoard, here: BoardChannel, there: BoardChannel
) -> None:
    async with there.listen("t1") as theirs, here.listen("t1") as mine:
        await here.publish(event(1))
        assert await some(theirs, 1) == [event(1)]
        board.restart()
        assert await some(theirs, 1) == [Lost()]
        await here.publish(event(2))
        assert await some(theirs, 1) == [event(2)]
        assert 2 in await until(mine, 2)


async def test_no_event_is_lost_without_a_word_wherever_the_board_begins_anew(
    board: FlakyBoard, here: BoardChannel, there: BoardChannel
) -> None:
    async with there.listen("t1") as theirs:
        for n in range(200):
            await here.publish(event(n))
            if n % 23 == 5:
                board.restart()
            await asyncio.sleep(0)
        last = 200
        while True:
            await here.publish(event(last))
            try:
                seen = await asyncio.wait_for(until(theirs, last), 1.0)
                break
            except TimeoutError:
                last += 1
    for before, after in zip([-1, *seen], seen, strict=False):
        assert after in (before + 1, -1) or before == -1


async def test_a_signal_that_comes_while_a_replica_joins_anew_reaches_it(
    board: FlakyBoard, here: BoardChannel, there: BoardChannel
) -> None:
    heard = Heard()
    await there.attend(heard)
    for n in range(20):
        board.restart()
        await here.signal(f"t{n}", "cancel")
        assert await heard.next() == (f"t{n}", "cancel")


async def test_while_the_board_is_away_publishing_waits_for_nothing_and_is_told_later(
    board: FlakyBoard, here: BoardChannel, there: BoardChannel
) -> None:
    async with there.listen("t1") as theirs:
        board.is_away = True
        for n in range(20):
            await here.publish(event(n))
        with pytest.raises(ClusterError, match="away"):
            await here.signal("t1", "cancel")
        with pytest.raises(ClusterError, match="away"):
            async with here.listen("t2"):
                pass
        board.is_away = False
        assert await some(theirs, 20) == [event(n) for n in range(20)]


async def test_what_a_board_that_stays_away_is_not_told_is_told_to_be_lost(
    board: FlakyBoard, here: BoardChannel, there: BoardChannel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(board_channel, "_MAX_WAITING_BYTES", 5_000)
    async with there.listen("t1") as first:
        board.is_away = True
        for n in range(100):
            await here.publish(event(n, "t1", payload=b"x" * 100))
        board.is_away = False
        seen = await until(first, 99)
        assert seen[0] == -1
        assert seen[1:] == list(range(100 - len(seen) + 1, 100))


async def test_many_events_ride_few_calls(
    board: FlakyBoard, here: BoardChannel, there: BoardChannel
) -> None:
    async with there.listen("t1") as theirs:
        board.calls.clear()
        for n in range(MAX_EVENTS):
            await here.publish(event(n))
        await some(theirs, MAX_EVENTS)
    assert board.calls.count("post") <= 3
    assert board.calls.count("take") <= 5


async def test_many_listeners_that_come_at_once_are_told_to_the_board_in_few_calls(
    board: FlakyBoard, here: BoardChannel
) -> None:
    async def one(n: int) -> None:
        async with here.listen(f"t{n}"):
            await release.wait()

    release = asyncio.Event()
    listening = [asyncio.create_task(one(n)) for n in range(500)]
    await asyncio.sleep(0.1)
    release.set()
    await asyncio.gather(*listening)
    assert board.calls.count("change") <= 10


# -- the board itself -----------------------------------------------------------------------------


def notices(*versions: int, size: int = 1) -> Sequence[Notice]:
    return [("t1", n, b"x" * size, False) for n in versions]


async def test_what_was_handed_out_is_handed_out_again_until_it_was_received() -> None:
    board = MemoryBoard()
    await board.join("b", ["t1"])
    await board.post("a", notices(1, 2))
    first = await board.take("b", 0, 0, 1.0)
    assert first is not None
    assert await board.take("b", 0, 0, 1.0) == first
    await board.post("a", notices(3))
    second = await board.take("b", first.until, 0, 1.0)
    assert second is not None
    assert [n for _, n, _, _ in second.notices] == [3]


async def test_a_replica_that_does_not_fetch_costs_little_and_is_told() -> None:
    board = MemoryBoard(max_notices=10)
    await board.join("b", ["t1"])
    await board.post("a", notices(*range(25)))
    mail = await board.take("b", 0, 0, 0.0)
    assert mail is not None
    assert mail.is_lossy
    assert [n for _, n, _, _ in mail.notices] == [20, 21, 22, 23, 24]
    await board.post("a", notices(25))
    mail = await board.take("b", mail.until, 0, 0.0)
    assert mail is not None
    assert not mail.is_lossy
    assert [n for _, n, _, _ in mail.notices] == [25]


async def test_an_answer_has_an_end() -> None:
    board = MemoryBoard()
    await board.join("b", ["t1"])
    await board.post("a", notices(*range(9), size=1_500_000))
    seen, after = [], 0
    for _ in range(5):
        mail = await board.take("b", after, 0, 0.0)
        assert mail is not None
        assert len(mail.notices) <= 2
        seen += [n for _, n, _, _ in mail.notices]
        after = mail.until
    assert seen == list(range(9))


async def test_a_replica_that_is_silent_is_forgotten_and_has_to_join_again() -> None:
    clock = FakeClock()
    board = MemoryBoard(clock=clock)
    await board.join("gone", ["t1", "t2"])
    await clock.advance(50)
    await board.join("b", ["t1"])
    await clock.advance(50)
    await board.join("c", [])
    assert board.replicas() == 2
    assert await board.take("gone", 0, 0, 0.0) is None
    assert not await board.change("gone", [("t9", True)])
    await board.post("a", [("t2", 1, b"", False)])
    assert await board.take("b", 0, 0, 0.0) is not None


async def test_signals_are_kept_for_half_a_minute() -> None:
    clock = FakeClock()
    board = MemoryBoard(clock=clock)
    await board.signal("a", "old", "cancel")
    await clock.advance(40)
    await board.signal("a", "new", "cancel")
    await board.join("b", [])
    mail = await board.take("b", 0, 0, 0.0)
    assert mail is not None
    assert mail.signals == [("new", "cancel")]
    mail = await board.take("b", mail.until, mail.signals_until, 0.0)
    assert mail is not None
    assert mail.signals == []


async def test_a_take_is_answered_when_its_replica_begins_another_or_leaves() -> None:
    board = MemoryBoard()
    await board.join("b", [])
    first = asyncio.create_task(board.take("b", 0, 0, 60.0))
    await asyncio.sleep(0)
    second = asyncio.create_task(board.take("b", 0, 0, 60.0))
    assert await first is not None
    await asyncio.sleep(0)
    await board.leave("b")
    assert await second is None
