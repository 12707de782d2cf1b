"""Following a run on the bus."""

import asyncio
import json
from collections.abc import Sequence

from codetether_ray.bootstrap.follow import Follower
from codetether_ray.core.events import AgentRestarted, Record, Warned
from codetether_ray.core.spec import Correlation
from codetether_ray.core.topics import topic
from codetether_ray.local.bus import LocalBus
from codetether_ray.ports.bus import Batch, Cursor, Envelope


def said(text: str, *, run_id: str = "mine", agent: str = "main") -> Envelope:
    record = Record(
        correlation=Correlation(run_id=run_id), agent=agent, event=Warned(text=text), time=1.0
    )
    payload = json.dumps(record.to_json()).encode()
    return Envelope(topic=topic("agent", agent, "events"), sender=agent, payload=payload)


class Seen:
    def __init__(self) -> None:
        self.texts: list[str] = []

    def __call__(self, record: Record) -> None:
        assert isinstance(record.event, Warned)
        self.texts.append(record.event.text)


async def test_every_event_is_shown_once_and_in_order_also_the_last_ones() -> None:
    bus, seen = LocalBus(), Seen()
    await bus.publish([said("before")])
    follower = Follower(bus, "mine", seen)
    await follower.start()
    await bus.publish([said("1"), said("2", agent="sub/a"), said("3")])
    await asyncio.sleep(0)
    await bus.publish([said("4")])
    await follower.finish()
    assert seen.texts == ["1", "2", "3", "4"]


async def test_other_runs_on_the_same_bus_are_not_shown() -> None:
    bus, seen = LocalBus(), Seen()
    follower = Follower(bus, "mine", seen)
    await follower.start()
    await bus.publish([said("theirs", run_id="other"), said("mine")])
    await follower.finish()
    assert seen.texts == ["mine"]


async def test_more_than_one_batch_is_drained_at_the_end() -> None:
    bus, seen = LocalBus(), Seen()
    follower = Follower(bus, "mine", seen)
    await follower.start()
    await bus.publish([said(str(number)) for number in range(2500)])
    await follower.finish()
    assert len(seen.texts) == 2500


async def test_finishing_what_never_started_does_nothing() -> None:
    await Follower(LocalBus(), "mine", Seen()).finish()


async def test_events_that_the_bus_dropped_are_told_of() -> None:
    bus, seen, told = LocalBus(capacity=8), Seen(), []
    follower = Follower(bus, "mine", seen, told.append)
    await follower.start()
    await bus.publish([said(str(number)) for number in range(20)])
    await follower.finish()
    assert seen.texts == [str(number) for number in range(12, 20)]
    assert len(told) == 1
    assert told[0].startswith("12 events")


async def test_a_bus_that_began_anew_is_told_of_and_followed() -> None:
    first, second = LocalBus(), LocalBus()
    bus, seen, told = Replaced(first), Seen(), []
    follower = Follower(bus, "mine", seen, told.append)
    await follower.start()
    await second.publish([said("after")])
    bus.now = second
    await follower.finish()
    assert seen.texts == ["after"]
    assert len(told) == 1
    assert "anew" in told[0]


def recorded(number: int, *, run_id: str = "mine") -> Record:
    event = AgentRestarted(attempt=number, reason="killed")
    correlation = Correlation(run_id=run_id)
    return Record(correlation=correlation, agent="sub/a", event=event, time=1.0, seq=number)


def published(record: Record) -> Envelope:
    payload = record.to_text().encode()
    return Envelope(topic=topic("agent", record.agent, "events"), sender="a", payload=payload)


async def test_what_a_bus_that_began_anew_did_not_tell_is_shown_from_the_journal_once() -> None:
    journal = [recorded(number) for number in range(5)]
    first, second = LocalBus(), LocalBus()
    bus, seen, told = Replaced(first), [], []
    follower = Follower(bus, "mine", seen.append, told.append, reread=lambda: iter(journal))
    await follower.start()
    await first.publish([published(journal[0]), published(journal[1])])
    while len(seen) < 2:
        await asyncio.sleep(0)
    await second.publish([published(journal[4])])  # two and three were lost with the first log
    bus.now = second
    await follower.finish()
    assert [record.seq for record in seen] == [0, 1, 2, 3, 4]
    assert told == ["the bus was started anew; some events are shown from the journal"]


async def test_where_a_gap_is_known_the_journal_is_looked_at_though_the_bus_says_nothing() -> None:
    bus, seen = LocalBus(), []
    follower = Follower(bus, "mine", seen.append, reread=lambda: iter([recorded(0)]))
    await follower.start()
    follower.mark_gap()
    await follower.finish()
    assert [record.seq for record in seen] == [0]


async def test_a_durable_event_that_was_published_twice_is_shown_once() -> None:
    bus, seen = LocalBus(), []
    follower = Follower(bus, "mine", seen.append)
    await follower.start()
    await bus.publish([published(recorded(0))] * 2)
    await follower.finish()
    assert len(seen) == 1


class Replaced:
    """A bus whose log is lost on the way."""

    def __init__(self, now: LocalBus) -> None:
        self.now = now

    async def cursor(self) -> Cursor:
        return await self.now.cursor()

    async def publish(self, envelopes: Sequence[Envelope]) -> int:
        return await self.now.publish(envelopes)

    async def poll(
        self, patterns: Sequence[str], cursor: Cursor, *, limit: int = 1000, wait_s: float = 20.0
    ) -> Batch:
        return await self.now.poll(patterns, cursor, limit=limit, wait_s=wait_s)
