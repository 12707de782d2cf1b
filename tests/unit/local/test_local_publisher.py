import asyncio
import json

import pytest

from codetether_ray.core.errors import JournalError
from codetether_ray.core.events import (
    RalphFinished,
    ReasoningStreamed,
    Record,
    StoryEnded,
    SwarmStarted,
    TextStreamed,
    ToolOutput,
    Warned,
)
from codetether_ray.core.spec import Correlation
from codetether_ray.local.publisher import LocalPublisher
from codetether_ray.testing.clock import FakeClock
from codetether_ray.testing.fakes import MemoryJournal
from tests.contracts.publisher import PublisherContract, said

_RUN = Correlation(run_id="swm_0000000000_00000000", swarm_id="swm_x")


class Wire:
    """A bus that keeps what is published; it can be slow or broken."""

    def __init__(self) -> None:
        self.batches: list[list] = []
        self.is_open = asyncio.Event()
        self.is_open.set()
        self.error: Exception | None = None

    async def publish(self, envelopes) -> int:
        await self.is_open.wait()
        if self.error is not None:
            raise self.error
        self.batches.append(list(envelopes))
        return 0

    @property
    def events(self):
        return [
            Record.from_json(json.loads(e.payload)).event for batch in self.batches for e in batch
        ]

    @property
    def topics(self):
        return [e.topic for batch in self.batches for e in batch]


class TestLocalPublisher(PublisherContract):
    @pytest.fixture
    def make_publisher(self):
        journal = MemoryJournal()
        return lambda agent: LocalPublisher(journal, None, _RUN, agent, FakeClock())


def _publisher(wire, journal=None, agent="sub/a", correlation=_RUN):
    return LocalPublisher(journal or MemoryJournal(), wire, correlation, agent, FakeClock())


async def test_records_reach_the_bus_with_their_numbers_after_they_are_on_disk() -> None:
    wire, journal = Wire(), MemoryJournal()
    publisher = _publisher(wire, journal)
    await publisher.record(said(0), said(1))
    assert wire.batches == []
    await publisher.close()
    sent = [Record.from_json(json.loads(e.payload)) for e in wire.batches[0]]
    assert sent == journal.records
    assert [r.agent_seq for r in sent] == [0, 1]
    assert wire.batches[0][0].sender == "sub/a"


async def test_what_cannot_be_written_is_not_published() -> None:
    class Broken(MemoryJournal):
        async def append(self, records):
            raise JournalError("disk full")

    wire = Wire()
    publisher = _publisher(wire, Broken())
    with pytest.raises(JournalError):
        await publisher.record(said(0))
    await publisher.close()
    assert wire.batches == []


async def test_topics_follow_the_agent_the_task_and_the_swarm() -> None:
    wire = Wire()
    correlation = Correlation(run_id=_RUN.run_id, swarm_id="swm.x", task_id="t1")
    publisher = _publisher(wire, agent="sub/a.b", correlation=correlation)
    await publisher.record(SwarmStarted(task="t", strategy="auto"))
    publisher.emit(Warned(text="hm"))
    await publisher.close()
    own, task = "agent.sub/a%2Eb.events", "task.t1"
    assert wire.topics == [own, task, "swarm.swm%2Ex", own, task]


async def test_what_a_run_says_of_a_story_carries_the_storys_id() -> None:
    wire = Wire()
    publisher = _publisher(wire, agent="run", correlation=_RUN)
    verdict = StoryEnded(story="US-1", title="t", status="failed", attempt=1)
    await publisher.record(RalphFinished(outcome="blocked", result={}), verdict)
    await publisher.close()
    records = [Record.from_json(json.loads(e.payload)) for b in wire.batches for e in b]
    assert [record.correlation.task_id for record in records] == ["", "US-1"]


async def test_live_and_durable_events_keep_their_order_on_the_bus() -> None:
    wire = Wire()
    publisher = _publisher(wire)
    publisher.emit(TextStreamed(step=0, text="a"))
    await publisher.record(said(0))
    publisher.emit(TextStreamed(step=0, text="b"))
    await publisher.record(said(1))
    await publisher.close()
    kinds = [getattr(e, "text", e.tag) for e in wire.events]
    assert kinds == ["a", "turn.started", "b", "turn.started"]


async def test_adjacent_pieces_of_one_stream_become_one() -> None:
    wire = Wire()
    publisher = _publisher(wire)
    for event in (
        TextStreamed(step=0, text="a"),
        TextStreamed(step=0, text="b"),
        TextStreamed(step=1, text="c"),
        ReasoningStreamed(step=1, text="d"),
        ReasoningStreamed(step=1, text="e"),
        ToolOutput(call_id="x", text="f"),
        ToolOutput(call_id="y", text="g"),
        ToolOutput(call_id="y", text="h"),
        Warned(text="i"),
        Warned(text="j"),
    ):
        publisher.emit(event)
    await publisher.close()
    assert [e.text for e in wire.events] == ["ab", "c", "de", "f", "gh", "i", "j"]
    assert len(wire.batches) == 1


async def test_live_events_go_out_soon_without_anyone_asking() -> None:
    wire = Wire()
    _publisher(wire).emit(Warned(text="x"))
    async with asyncio.timeout(60):
        while not wire.batches:
            await asyncio.sleep(0.01)
    assert wire.events == [Warned(text="x")]


async def test_a_slow_bus_holds_nobody_up_and_loses_live_events_only() -> None:
    wire = Wire()
    wire.is_open.clear()
    publisher = _publisher(wire)
    await publisher.record(said(0))
    await asyncio.sleep(0.01)  # the flush that now hangs took the first record
    for n in range(5_000):
        publisher.emit(Warned(text=str(n)))
    await publisher.record(said(1))
    wire.is_open.set()
    await publisher.close()
    sent = wire.events
    assert sent[0] == said(0)
    assert sent[-1] == said(1)
    assert sent[1:-1] == [Warned(text=str(n)) for n in range(2_000)]


async def test_a_broken_bus_harms_nobody() -> None:
    wire, journal = Wire(), MemoryJournal()
    wire.error = RuntimeError("the bus is gone")
    publisher = _publisher(wire, journal)
    await publisher.record(said(0))
    await publisher.close()
    wire.error = None
    await publisher.record(said(1))
    await publisher.close()
    assert [e.turn for e in wire.events] == [1]
    assert len(journal.records) == 2
