"""What a process of agents asks its supervisor: in few calls, in order."""

import asyncio
import pickle
from collections.abc import Awaitable, Callable, Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from codetether_ray.actors.caller import Caller
from codetether_ray.actors.door import Door, Served
from codetether_ray.actors.journal import RayJournal
from codetether_ray.actors.ledger import RayLedger
from codetether_ray.actors.line import Line
from codetether_ray.core.errors import FencedError
from codetether_ray.core.events import Record, TurnFinished
from codetether_ray.core.spec import Correlation, TurnResult
from codetether_ray.core.usage import Budget, Spend
from codetether_ray.local.clock import SystemClock
from codetether_ray.local.ledger import LocalLedger
from tests.contracts.ledger import LedgerContract

_RECORD = Record(
    correlation=Correlation(run_id="swm_line"),
    agent="sub/a",
    event=TurnFinished(turn=0, result=TurnResult(outcome="completed")),
    time=0.0,
)


class Counter:
    """A journal of one agent, which is always told the same."""

    def __init__(self) -> None:
        self._count = 0

    async def append(self, records: Sequence[Any]) -> tuple[Any, ...]:
        self._count += len(records)
        return tuple(SimpleNamespace(seq=n, agent_seq=n) for n, _ in enumerate(records))

    async def read(self, agent: str | None = None) -> tuple[Record, ...]:
        return (_RECORD,) * self._count


class _Method:
    def __init__(self, method: Callable[..., Awaitable[Any]]) -> None:
        self.remote = method


class Supervisor:
    """A door in this process that is called as an actor's is; it notes the verbs of each call."""

    def __init__(self, budget: Budget) -> None:
        self.door = Door("swm_line")
        self.ledger = LocalLedger(budget, SystemClock())
        self.door.serve(Served(journal=Counter(), ledger=self.ledger))  # type: ignore[arg-type]
        self.badge = self.door.admit("sub/a")
        self.asked: list[list[str]] = []
        self.calls = _Method(self._calls)
        self.call = _Method(self.door.call)

    async def _calls(self, calls: bytes, patience_s: float) -> bytes:
        self.asked.append([verb for _, _, _, verb, _ in pickle.loads(calls)])
        return await self.door.calls_in_bytes(calls, patience_s)

    def caller(self) -> Caller:
        return Caller(self, self.badge, Line(self))


class TestRayLedgerThatAsks(LedgerContract):
    @pytest.fixture
    def make_ledger(self):
        async def make(budget: Budget) -> RayLedger:
            return RayLedger(Supervisor(budget).caller())

        return make


class TestRayLedgerThatKnowsTheBudget(LedgerContract):
    @pytest.fixture
    def make_ledger(self):
        async def make(budget: Budget) -> RayLedger:
            return RayLedger(Supervisor(budget).caller(), budget)

        return make


async def test_what_was_spent_rides_with_what_is_journaled_next() -> None:
    scene = Supervisor(Budget(tokens=100))
    caller = scene.caller()
    ledger, journal = RayLedger(caller), RayJournal(caller)
    await ledger.settle(await ledger.reserve(Spend(tokens=10)), Spend(tokens=7))
    await journal.append([_RECORD])
    assert scene.asked == [["reserve"], ["settle", "append"]]
    assert await scene.ledger.spent() == Spend(tokens=7)


async def test_where_a_budget_has_no_limit_nothing_is_reserved_and_all_is_counted() -> None:
    scene = Supervisor(Budget(agents=3))
    caller = scene.caller()
    ledger, journal = RayLedger(caller, Budget(agents=3)), RayJournal(caller)
    for _ in range(2):
        await ledger.settle(await ledger.reserve(Spend(tokens=10)), Spend(tokens=7))
        await journal.append([_RECORD])
    assert scene.asked == [["spend", "append"]] * 2
    assert await scene.ledger.spent() == Spend(tokens=14)


@pytest.mark.parametrize("limit", [Budget(tokens=100), Budget(usd=1.0), Budget(wall_s=60)])
async def test_where_it_has_one_each_call_is_reserved(limit: Budget) -> None:
    scene = Supervisor(limit)
    ledger = RayLedger(scene.caller(), limit)
    await ledger.reserve(Spend(tokens=10))
    assert scene.asked == [["reserve"]]


async def test_what_was_spent_is_told_without_company_as_well() -> None:
    scene = Supervisor(Budget())
    ledger = RayLedger(scene.caller(), Budget())
    await ledger.settle(await ledger.reserve(Spend()), Spend(tokens=7))
    assert scene.asked == []
    await ledger.rest()
    assert await scene.ledger.spent() == Spend(tokens=7)


async def test_who_was_replaced_spends_nothing_more_and_its_end_does_not_wait() -> None:
    scene = Supervisor(Budget())
    caller = scene.caller()
    ledger = RayLedger(caller, Budget())
    held = await ledger.reserve(Spend())
    await scene.door.dismiss(scene.badge)
    await ledger.settle(held, Spend(tokens=7))
    await ledger.rest()
    assert await scene.ledger.spent() == Spend()
    with pytest.raises(FencedError):
        await RayJournal(caller).append([_RECORD])


async def test_what_is_told_by_many_at_once_is_one_call() -> None:
    scene = Supervisor(Budget())
    line = Line(scene)
    callers = [Caller(scene, scene.door.admit(f"sub/{n}"), line) for n in range(20)]
    ledgers = [RayLedger(caller, Budget()) for caller in callers]
    for ledger in ledgers:
        await ledger.settle(await ledger.reserve(Spend()), Spend(tokens=1))
    await asyncio.gather(*(ledger.rest() for ledger in ledgers))
    assert scene.asked == [["spend"] * 20]
    assert await scene.ledger.spent() == Spend(tokens=20)


async def test_a_journal_that_holds_nothing_of_an_agent_is_asked_once_it_does() -> None:
    scene = Supervisor(Budget())
    journal = RayJournal(scene.caller(), is_empty=True)
    assert await journal.read("sub/a") == ()
    await journal.append([_RECORD])
    assert await journal.read("sub/a") == (_RECORD,)
    assert scene.asked == [["append"], ["read"]]


async def test_an_agent_is_new_to_a_door_until_something_of_it_is_journaled() -> None:
    scene = Supervisor(Budget())
    assert await scene.door.is_new("sub/a")
    await RayJournal(scene.caller()).append([_RECORD])
    assert not await scene.door.is_new("sub/a")
    assert not await Door("swm_none").is_new("sub/a")
