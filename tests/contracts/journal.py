"""What every journal promises. A subclass gives `start`: opens the run `RUN` again and again."""

import asyncio
import math
from collections.abc import Awaitable, Callable

import pytest

from codetether_ray.core.errors import JournalError
from codetether_ray.core.events import (
    Event,
    Record,
    RunFinished,
    TextStreamed,
    ToolFinished,
    TurnStarted,
)
from codetether_ray.core.messages import ToolResult, user
from codetether_ray.core.spec import Correlation
from codetether_ray.ports.journal import Journal

RUN = "ses_0000000000_00000000"
WHERE = Correlation(run_id=RUN, session_id=RUN)

Start = Callable[[], Awaitable[Journal]]


def note(agent: str, text: str = "hi") -> Record:
    """A record as a publisher makes it."""
    return record(agent, TurnStarted(turn=0, message=user(text)))


def record(agent: str, event: Event) -> Record:
    return Record(correlation=WHERE, agent=agent, event=event, time=1_700_000_000.123456)


class JournalContract:
    """Run against every implementation."""

    @pytest.fixture
    async def start(self) -> Start:
        raise NotImplementedError

    async def test_records_get_dense_numbers_in_the_run_and_per_agent(self, start: Start) -> None:
        journal = await start()
        first = await journal.append([note("a"), note("b")])
        second = await journal.append([note("a")])
        assert [(r.agent, r.seq, r.agent_seq) for r in (*first, *second)] == [
            ("a", 0, 0),
            ("b", 1, 0),
            ("a", 2, 1),
        ]
        await journal.close()

    async def test_what_was_appended_is_read_back_whole_and_by_agent(self, start: Start) -> None:
        journal = await start()
        given = await journal.append([note("a", "é\u2028\n\x00"), note("sub/b"), note("a")])
        assert await journal.read() == given
        assert await journal.read("a") == (given[0], given[2])
        assert await journal.read("nobody") == ()
        await journal.close()

    async def test_appends_of_many_coroutines_are_dense_and_keep_each_ones_order(
        self, start: Start
    ) -> None:
        journal = await start()

        async def write(agent: str) -> list[Record]:
            mine = []
            for number in range(20):
                mine += await journal.append([note(agent, str(number)), note(agent, "also")])
            return mine

        written = await asyncio.gather(*(write(f"a{n}") for n in range(20)))
        everything = await journal.read()
        assert [r.seq for r in everything] == list(range(20 * 40))
        for number, mine in enumerate(written):
            assert [r.agent_seq for r in mine] == list(range(40))
            assert await journal.read(f"a{number}") == tuple(mine)
        await journal.close()

    async def test_records_and_numbers_go_on_after_a_new_opening(self, start: Start) -> None:
        journal = await start()
        old = await journal.append([note("a"), note("b")])
        await journal.close()
        journal = await start()
        assert await journal.read() == old
        new = await journal.append([note("b")])
        assert (new[0].seq, new[0].agent_seq) == (2, 1)
        assert await journal.read("b") == (old[1], *new)
        await journal.close()

    async def test_a_big_payload_comes_back_whole(self, start: Start) -> None:
        journal = await start()
        result = ToolResult(call_id="1", name="bash", content="é" * 300_000)
        given = await journal.append([record("a", ToolFinished(step=1, result=result)), note("a")])
        assert await journal.read("a") == given
        event = given[0].event
        assert isinstance(event, ToolFinished)
        assert event.result == result
        await journal.close()

    async def test_a_lone_surrogate_is_replaced_and_the_rest_kept(self, start: Start) -> None:
        journal = await start()
        await journal.append([note("a", "x\ud83dy \U0001f600")])
        (kept,) = await journal.read()
        assert isinstance(kept.event, TurnStarted)
        assert kept.event.message.text == "x\ufffdy \U0001f600"
        await journal.close()

    async def test_a_live_event_and_nan_are_refused_and_use_no_number_up(
        self, start: Start
    ) -> None:
        journal = await start()
        live = record("a", TextStreamed(step=0, text="x"))
        nan = record("a", RunFinished(outcome="completed", summary={"cost_usd": math.nan}))
        for bad in (live, nan):
            with pytest.raises(JournalError):
                await journal.append([note("a"), bad])
        given = await journal.append([note("a")])
        assert [r.seq for r in given] == [0]
        assert await journal.read() == given
        await journal.close()

    async def test_nothing_appended_is_nothing_read(self, start: Start) -> None:
        journal = await start()
        assert await journal.append([]) == ()
        assert await journal.read() == ()
        await journal.close()

    async def test_a_caller_that_gives_up_does_not_disturb_the_next(self, start: Start) -> None:
        journal = await start()
        waiting = [asyncio.ensure_future(journal.append([note("a", str(n))])) for n in range(10)]
        await asyncio.sleep(0)
        for task in waiting[::2]:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        last = await journal.append([note("a", "last")])
        everything = await journal.read("a")
        assert [r.seq for r in everything] == list(range(len(everything)))
        assert everything[-1:] == last
        await journal.close()

    async def test_closing_twice_is_fine_and_a_closed_journal_takes_nothing(
        self, start: Start
    ) -> None:
        journal = await start()
        waiting = asyncio.ensure_future(journal.append([note("a")]))
        await asyncio.sleep(0)
        await journal.close()
        await journal.close()
        assert (await waiting)[0].seq == 0
        with pytest.raises(JournalError):
            await journal.append([note("a")])
