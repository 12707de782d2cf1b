"""Following a run on the bus."""

import asyncio
import json

from codetether_ray.bootstrap.follow import Follower
from codetether_ray.core.events import Record, Warned
from codetether_ray.core.spec import Correlation
from codetether_ray.core.topics import topic
from codetether_ray.local.bus import LocalBus
from codetether_ray.ports.bus import Envelope


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
