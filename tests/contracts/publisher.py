"""What every publisher promises."""

import asyncio
from collections.abc import Callable

from codetether_ray.core.events import Event, TurnStarted
from codetether_ray.core.messages import user
from codetether_ray.ports.publisher import Publisher

MakePublisher = Callable[[str], Publisher]


def said(turn: int) -> Event:
    """A durable event."""
    return TurnStarted(turn=turn, message=user(f"turn {turn}"))


class PublisherContract:
    """Give a fixture `make_publisher`: from an agent's path to its voice, all of one run."""

    async def test_a_new_agent_has_no_history(self, make_publisher: MakePublisher) -> None:
        assert list(await make_publisher("main").history()) == []

    async def test_what_was_recorded_is_history_in_order(
        self, make_publisher: MakePublisher
    ) -> None:
        publisher = make_publisher("main")
        await publisher.record(said(0), said(1))
        await publisher.record(said(2))
        assert list(await publisher.history()) == [said(0), said(1), said(2)]
        assert list(await make_publisher("main").history()) == [said(0), said(1), said(2)]

    async def test_agents_of_one_run_have_histories_of_their_own(
        self, make_publisher: MakePublisher
    ) -> None:
        one, other = make_publisher("sub/a"), make_publisher("sub/a/task-1")
        await asyncio.gather(one.record(said(0)), other.record(said(7)), one.record(said(1)))
        assert list(await one.history()) == [said(0), said(1)]
        assert list(await other.history()) == [said(7)]

    async def test_recording_nothing_is_nothing(self, make_publisher: MakePublisher) -> None:
        await make_publisher("main").record()
        assert list(await make_publisher("main").history()) == []
