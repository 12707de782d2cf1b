import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codetether_ray.core.topics import matches
from codetether_ray.local.bus import LocalBus
from codetether_ray.local.topiclog import Interest, TopicLog
from codetether_ray.ports.bus import Cursor
from tests.contracts.bus import CAPACITY, MAX_POLLS, BusContract, message, texts

_SEGMENT = st.sampled_from(["a", "b", "ab", "*", "**", ""])
_NAME = st.sampled_from(["a", "b", "ab", ""])


class TestLocalBus(BusContract):
    @pytest.fixture
    def bus(self) -> LocalBus:
        return LocalBus(capacity=CAPACITY, max_parked_polls=MAX_POLLS)


@given(
    st.lists(st.lists(_SEGMENT, min_size=1, max_size=4), max_size=4),
    st.lists(_NAME, min_size=1, max_size=4),
)
def test_an_interest_wants_what_any_pattern_matches(
    patterns: list[list[str]], name: list[str]
) -> None:
    spelled, topic = [".".join(p) for p in patterns], ".".join(name)
    interest = Interest(spelled)
    expected = any(matches(p, topic) for p in spelled)
    assert interest.wants(topic) is expected
    assert interest.wants(topic) is expected


@given(st.lists(st.integers(1, 9), max_size=60), st.integers(1, 20), st.integers(100, 3000))
def test_a_log_keeps_the_newest_and_counts_what_it_dropped(
    batches: list[int], capacity: int, capacity_bytes: int
) -> None:
    log = TopicLog(capacity=capacity, capacity_bytes=capacity_bytes)
    sent = 0
    for size in batches:
        log.append([("t", "s", b"x" * n) for n in range(size)])
        sent += size
        found = log.read(Interest(["t"]), 0, limit=10**6, max_bytes=10**9)
        assert log.end == found.next_offset == sent
        assert [row[0] for row in found.rows] == list(range(log.oldest, sent))
        assert found.lost == log.oldest
        assert len(found.rows) <= capacity
        assert log.size_bytes <= capacity_bytes or len(found.rows) == 1


async def test_a_log_is_bound_in_bytes_and_keeps_at_least_the_newest() -> None:
    bus = LocalBus(capacity=100, capacity_bytes=10_000)
    start = await bus.cursor()
    await bus.publish([message("t", "x" * 4000)] * 3)
    assert (await bus.poll(["t"], start)).lost == 1
    await bus.publish([message("t", "y" * 50_000)])
    batch = await bus.poll(["t"], start)
    assert (len(batch.envelopes), batch.lost) == (1, 3)


async def test_an_answer_is_bound_in_bytes_and_the_rest_comes_next() -> None:
    bus = LocalBus()
    bus.append([("t", "s", b"x" * 1000)] * 10)
    rows, epoch, offset, lost, lag = await bus.wait_for(("t",), "", 0, 100, 0, 3500)
    assert (len(rows), lost, lag) == (3, 0, 7)
    rows, *_ = await bus.wait_for(("t",), epoch, offset, 100, 0, 10)
    assert len(rows) == 1


async def test_a_second_poll_of_a_reader_answers_its_first() -> None:
    bus = LocalBus()
    first = asyncio.create_task(bus.wait_for(("a",), "", -1, 9, 30, 9000, "me"))
    await asyncio.sleep(0)
    second = asyncio.create_task(bus.wait_for(("b",), "", -1, 9, 30, 9000, "me"))
    rows, *_ = await first
    assert rows == []
    bus.append([("b", "s", b"!")])
    rows, *_ = await second
    assert [row[3] for row in rows] == [b"!"]


async def test_what_comes_in_the_moment_a_poll_gives_up_is_not_passed_over() -> None:
    bus = LocalBus()
    seen: list[str] = []
    cursor = await bus.cursor()
    for n in range(200):
        poll = asyncio.create_task(bus.poll(["t"], cursor, wait_s=0.0001))
        await asyncio.sleep(0.0001)
        await bus.publish([message("t", str(n))])
        batch = await poll
        seen += texts(batch.envelopes)
        cursor = batch.cursor
    seen += texts((await bus.poll(["t"], cursor, wait_s=0)).envelopes)
    assert seen == [str(n) for n in range(200)]


async def test_two_thousand_polls_wait_and_a_publish_is_answered() -> None:
    bus = LocalBus(max_parked_polls=2000)
    polls = [asyncio.create_task(bus.poll([f"agent.{n}"], Cursor())) for n in range(2000)]
    await asyncio.sleep(0)
    await bus.publish([message("agent.77", "hi")])
    assert texts((await polls[77]).envelopes) == ["hi"]
    assert sum(p.done() for p in polls) == 1
    for poll in polls:
        poll.cancel()
    await asyncio.gather(*polls, return_exceptions=True)
