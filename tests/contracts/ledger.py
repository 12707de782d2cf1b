"""What every ledger promises."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from codetether_ray.core.errors import BudgetSpentError
from codetether_ray.core.usage import Budget, Spend
from codetether_ray.ports.ledger import Ledger

MakeLedger = Callable[[Budget], Awaitable[Ledger]]


class LedgerContract:
    """Give a fixture `make_ledger`: from a budget to a fresh ledger."""

    async def test_without_a_budget_everything_fits_and_is_counted(
        self, make_ledger: MakeLedger
    ) -> None:
        ledger = await make_ledger(Budget())
        for _ in range(3):
            reservation = await ledger.reserve(Spend(tokens=10**9, usd=10.0**6))
            await ledger.settle(reservation, Spend(tokens=5, usd=0.5))
        assert await ledger.spent() == Spend(tokens=15, usd=1.5)
        assert await ledger.limits() == Budget()

    async def test_what_does_not_fit_is_refused_with_what_is_left(
        self, make_ledger: MakeLedger
    ) -> None:
        ledger = await make_ledger(Budget(tokens=100))
        await ledger.settle(await ledger.reserve(Spend(tokens=90)), Spend(tokens=70))
        with pytest.raises(BudgetSpentError) as refused:
            await ledger.reserve(Spend(tokens=31))
        assert (refused.value.what, refused.value.limit, refused.value.spent) == ("tokens", 100, 70)
        await ledger.reserve(Spend(tokens=30))

    async def test_dollars_are_held_as_tokens_are(self, make_ledger: MakeLedger) -> None:
        ledger = await make_ledger(Budget(usd=1.0))
        await ledger.settle(await ledger.reserve(Spend(usd=0.9)), Spend(usd=0.75))
        with pytest.raises(BudgetSpentError, match="dollars"):
            await ledger.reserve(Spend(usd=0.5))
        await ledger.reserve(Spend(usd=0.25))

    async def test_all_that_is_reserved_at_once_never_exceeds_the_budget(
        self, make_ledger: MakeLedger
    ) -> None:
        ledger = await make_ledger(Budget(tokens=100))
        held, most = 0, 0

        async def call() -> None:
            nonlocal held, most
            reservation = await ledger.reserve(Spend(tokens=30))
            held += 30
            most = max(most, held)
            await asyncio.sleep(0)
            held -= 30
            await ledger.settle(reservation, Spend(tokens=3))

        await asyncio.gather(*(call() for _ in range(20)))
        assert 30 <= most <= 100
        assert await ledger.spent() == Spend(tokens=60)

    async def test_who_cannot_fit_now_but_may_later_waits(self, make_ledger: MakeLedger) -> None:
        ledger = await make_ledger(Budget(tokens=100))
        first = await ledger.reserve(Spend(tokens=80))
        second = asyncio.create_task(ledger.reserve(Spend(tokens=50)))
        await asyncio.sleep(0.01)
        assert not second.done()
        await ledger.settle(first, Spend(tokens=50))
        assert (await second).amount == Spend(tokens=50)

    async def test_who_waited_in_vain_is_refused(self, make_ledger: MakeLedger) -> None:
        ledger = await make_ledger(Budget(tokens=100))
        first = await ledger.reserve(Spend(tokens=80))
        second = asyncio.create_task(ledger.reserve(Spend(tokens=50)))
        await asyncio.sleep(0.01)
        await ledger.settle(first, Spend(tokens=80))
        with pytest.raises(BudgetSpentError):
            await second

    async def test_settling_twice_counts_once(self, make_ledger: MakeLedger) -> None:
        ledger = await make_ledger(Budget(tokens=100))
        reservation = await ledger.reserve(Spend(tokens=80))
        await ledger.settle(reservation, Spend(tokens=10))
        await ledger.settle(reservation, Spend(tokens=10))
        assert await ledger.spent() == Spend(tokens=10)
        await ledger.reserve(Spend(tokens=90))

    async def test_spending_more_than_was_reserved_is_told_truthfully(
        self, make_ledger: MakeLedger
    ) -> None:
        ledger = await make_ledger(Budget(tokens=100))
        await ledger.settle(await ledger.reserve(Spend(tokens=90)), Spend(tokens=120))
        assert (await ledger.spent()).tokens == 120
        with pytest.raises(BudgetSpentError):
            await ledger.reserve(Spend(tokens=0))

    async def test_what_a_dead_agent_had_set_aside_comes_back(
        self, make_ledger: MakeLedger
    ) -> None:
        ledger = await make_ledger(Budget(tokens=100))
        await ledger.reserve(Spend(tokens=80), "sub/a")
        await ledger.reserve(Spend(tokens=10), "sub/b")
        waiting = asyncio.create_task(ledger.reserve(Spend(tokens=60), "sub/b"))
        await asyncio.sleep(0.01)
        assert not waiting.done()
        await ledger.release("sub/a")
        assert (await waiting).amount.tokens == 60
        assert await ledger.spent() == Spend()
