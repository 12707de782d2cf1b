import asyncio

import pytest

from codetether_ray.core.errors import BudgetSpentError
from codetether_ray.core.usage import Budget, Spend
from codetether_ray.local.ledger import LocalLedger
from codetether_ray.testing.clock import FakeClock
from tests.contracts.ledger import LedgerContract


class TestLocalLedger(LedgerContract):
    @pytest.fixture
    def make_ledger(self):
        async def make(budget: Budget) -> LocalLedger:
            return LocalLedger(budget, FakeClock())

        return make


async def test_a_resumed_run_starts_with_what_it_had_spent() -> None:
    ledger = LocalLedger(Budget(tokens=100), FakeClock())
    ledger.restore(Spend(tokens=95))
    assert await ledger.spent() == Spend(tokens=95)
    with pytest.raises(BudgetSpentError):
        await ledger.reserve(Spend(tokens=6))


async def test_when_the_wall_time_is_over_nothing_is_granted_any_more() -> None:
    clock = FakeClock()
    ledger = LocalLedger(Budget(wall_s=60.0), clock)
    await clock.advance(59.0)
    await ledger.reserve(Spend(tokens=1))
    await clock.advance(1.0)
    with pytest.raises(BudgetSpentError, match="60 seconds"):
        await ledger.reserve(Spend(tokens=1))


async def test_who_gives_up_waiting_holds_nothing_and_stops_nobody() -> None:
    ledger = LocalLedger(Budget(tokens=100), FakeClock())
    first = await ledger.reserve(Spend(tokens=80))
    waiting = [asyncio.create_task(ledger.reserve(Spend(tokens=40))) for _ in range(2)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    await asyncio.sleep(0)
    await ledger.settle(first, Spend())
    assert (await waiting[1]).amount.tokens == 40
    await ledger.reserve(Spend(tokens=60))


async def test_what_a_dead_agent_had_set_aside_comes_back() -> None:
    ledger = LocalLedger(Budget(tokens=100), FakeClock())
    lost = await ledger.reserve(Spend(tokens=80), owner="sub/a")
    await ledger.reserve(Spend(tokens=10), owner="sub/b")
    waiting = asyncio.create_task(ledger.reserve(Spend(tokens=60), owner="sub/b"))
    await asyncio.sleep(0)
    assert not waiting.done()
    await ledger.release("sub/a")
    assert (await waiting).amount.tokens == 60
    await ledger.settle(lost, Spend(tokens=80))
    await ledger.release("sub/a")
    assert await ledger.spent() == Spend()
