"""The door of a run's supervisor: badges, and calls that are done once."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from codetether_ray.actors.door import Badge, Door, Served
from codetether_ray.core.errors import ClusterError, FencedError, JournalError
from codetether_ray.core.events import Record, TurnFinished
from codetether_ray.core.spec import Correlation, TurnResult
from codetether_ray.core.usage import Budget, Spend
from codetether_ray.local.ledger import LocalLedger
from codetether_ray.testing.clock import FakeClock

CORRELATION = Correlation(run_id="swm_x")


class SlowJournal:
    """Numbers records once its disk is `ready`."""

    def __init__(self) -> None:
        self.kept: list[Record] = []
        self.ready = asyncio.Event()
        self.ready.set()
        self.failure: Exception | None = None

    async def append(self, records: Sequence[Record]) -> tuple[Record, ...]:
        await self.ready.wait()
        if self.failure is not None:
            raise self.failure
        start = len(self.kept)
        numbered = [r.numbered(start + n, 0) for n, r in enumerate(records)]
        self.kept += numbered
        return tuple(numbered)

    async def read(self, agent: str | None = None) -> tuple[Record, ...]:
        return tuple(self.kept)

    async def close(self) -> None:
        """Nothing is open."""


def record(text: str = "") -> Record:
    event = TurnFinished(turn=0, result=TurnResult(outcome="completed", text=text))
    return Record(correlation=CORRELATION, agent="sub/a", event=event, time=1.0)


class Scene:
    def __init__(self) -> None:
        self.journal = SlowJournal()
        self.ledger = LocalLedger(Budget(tokens=10), FakeClock())
        self.door = Door("swm_x")
        self.door.serve(Served(journal=self.journal, ledger=self.ledger))
        self.badge = self.door.admit("sub/a")

    async def append(self, number: int, *, floor: int = 0, badge: Badge | None = None) -> Any:
        batches = ((record(str(number)),),)
        return await self.door.call(badge or self.badge, number, floor, "append", (batches,))


async def test_a_call_that_comes_again_is_done_once_and_has_the_same_answer() -> None:
    scene = Scene()
    first = await scene.append(0)
    assert await scene.append(0) == first == [[(0, 0)]]
    assert len(scene.journal.kept) == 1


async def test_a_call_that_comes_again_while_it_is_done_waits_for_the_same_answer() -> None:
    scene = Scene()
    scene.journal.ready.clear()
    calls = [asyncio.create_task(scene.append(0)) for _ in range(3)]
    await asyncio.sleep(0)
    scene.journal.ready.set()
    assert await asyncio.gather(*calls) == [[[(0, 0)]]] * 3
    assert len(scene.journal.kept) == 1


async def test_a_reservation_that_is_asked_for_twice_is_made_once() -> None:
    scene = Scene()
    for _ in range(2):
        await scene.door.call(scene.badge, 0, 0, "reserve", (Spend(tokens=6), "sub/a"))
    rest = scene.door.call(scene.badge, 1, 1, "reserve", (Spend(tokens=4), "sub/a"))
    await asyncio.wait_for(rest, 60)  # it would wait if twelve were reserved


async def test_a_late_copy_of_a_call_whose_answer_was_had_does_nothing() -> None:
    scene = Scene()
    await scene.append(0)
    await scene.append(1, floor=1)
    with pytest.raises(FencedError):
        await scene.append(0)
    assert len(scene.journal.kept) == 2


async def test_after_it_was_dismissed_a_badge_opens_nothing() -> None:
    scene = Scene()
    await scene.door.dismiss(scene.badge)
    with pytest.raises(FencedError, match="another process took agent sub/a over"):
        await scene.append(0)
    assert scene.journal.kept == []


async def test_what_a_badge_had_begun_to_write_is_written_when_dismiss_returns_unacknowledged() -> (
    None
):
    scene = Scene()
    scene.journal.ready.clear()
    late = asyncio.create_task(scene.append(0))
    await asyncio.sleep(0)
    dismissing = asyncio.create_task(scene.door.dismiss(scene.badge))
    await asyncio.sleep(0)
    assert not dismissing.done()
    successor = scene.door.admit("sub/a")
    scene.journal.ready.set()
    await dismissing
    assert len(scene.journal.kept) == 1  # its successor reads it
    with pytest.raises(FencedError):
        await late
    assert await scene.append(0, badge=successor) == [[(1, 0)]]


async def test_a_call_that_outlives_its_badge_is_not_answered() -> None:
    """A parent that waits for a child holds such a call; its child is not waited for."""
    scene = Scene()
    started, go_on = asyncio.Event(), asyncio.Event()

    class Children:
        async def run_child(self, *_: object) -> TurnResult:
            started.set()
            await go_on.wait()
            return TurnResult(outcome="completed")

    scene.door.serve(
        Served(journal=scene.journal, ledger=scene.ledger, children=Children())  # type: ignore[arg-type]
    )
    arguments = ("parent", "call-1", "a child", "go")
    waiting = asyncio.create_task(scene.door.call(scene.badge, 0, 0, "run_child", arguments))
    await started.wait()
    await scene.door.dismiss(scene.badge)
    go_on.set()
    with pytest.raises(FencedError):
        await waiting


async def test_one_batch_that_the_journal_refuses_is_answered_by_its_error() -> None:
    scene = Scene()
    scene.journal.failure = JournalError("the disk is full")
    (answer,) = await scene.append(0)
    assert isinstance(answer, JournalError)


async def test_before_a_run_is_served_the_door_says_so() -> None:
    door = Door("swm_x")
    with pytest.raises(ClusterError, match="serves no run yet"):
        await door.call(door.admit("sub/a"), 0, 0, "spent", ())
