"""Agents side by side in one process: the last turn closes the process's audit chain."""

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from codetether_ray.actors.agent import Links, Post, Seat
from codetether_ray.actors.door import Badge
from codetether_ray.agent.parts import AgentLinks, AgentParts
from codetether_ray.core.messages import Message, user
from codetether_ray.core.spec import AgentSpec, Correlation, TurnResult
from codetether_ray.core.usage import Budget


class Waiting:
    """An agent whose turn ends when it is told to."""

    def __init__(self) -> None:
        self.ends = asyncio.Event()
        self.rests = 0

    async def turn(self, message: Message) -> TurnResult:
        await self.ends.wait()
        return TurnResult(outcome="completed")

    async def rest(self) -> None:
        self.rests += 1


async def _nothing(spec: AgentSpec, links: AgentLinks) -> AgentParts:
    raise NotImplementedError


def _post(*, is_away: bool) -> Post:
    services = SimpleNamespace(bus=lambda: None, limiter=lambda: None)
    links = Links(supervisor=None, services=cast("Any", services), budget=Budget())
    return Post(links, _nothing, is_away=is_away)


def _seated(post: Post, name: str) -> tuple[Seat, Waiting]:
    spec = AgentSpec(
        path=f"sub/{name}",
        kind="subagent",
        name=name,
        model="local/x",
        root="/nowhere",
        correlation=Correlation(run_id="swm_x"),
    )
    seat, agent = Seat(spec, Badge(spec.path, name), post), Waiting()
    seat._agent = cast("Any", agent)
    return seat, agent


@pytest.mark.parametrize(("is_away", "rests"), [(False, (0, 1)), (True, (1, 1))])
async def test_only_the_last_turn_has_the_chain_closed_but_each_has_sent_what_it_sends_away(
    is_away: bool, rests: tuple[int, int]
) -> None:
    post = _post(is_away=is_away)
    (first, one), (second, other) = _seated(post, "a"), _seated(post, "b")
    turns = [asyncio.create_task(seat.turn(user("go"))) for seat in (first, second)]
    await asyncio.sleep(0)
    one.ends.set()
    await turns[0]
    assert (one.rests, other.rests) == (rests[0], 0)
    other.ends.set()
    await turns[1]
    assert (one.rests, other.rests) == rests


async def test_a_turn_that_is_cut_off_counts_no_more() -> None:
    post = _post(is_away=False)
    (first, _), (second, other) = _seated(post, "a"), _seated(post, "b")
    turns = [asyncio.create_task(seat.turn(user("go"))) for seat in (first, second)]
    await asyncio.sleep(0)
    turns[0].cancel()
    with pytest.raises(asyncio.CancelledError):
        await turns[0]
    other.ends.set()
    await turns[1]
    assert other.rests == 1
    assert post.turns == 0
