"""Runs that a run's agents start: found again or begun, and paid for by their parent.

A child is a run of its own, with its journal and its trees, in the directory of the agent that
asked for it. Where the parent is taken up again, its child is what its own journal says.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from codetether_ray.bootstrap.children import requests
from codetether_ray.bootstrap.children.requests import Child, Recorded
from codetether_ray.bootstrap.children.words import result_of, step_of
from codetether_ray.bootstrap.replay import archived
from codetether_ray.bootstrap.run_request import RunRequest
from codetether_ray.core import failpoints
from codetether_ray.core.codec import JsonObject
from codetether_ray.core.errors import (
    BudgetSpentError,
    CodetetherError,
    JournalError,
    ToolError,
    TreeLimitError,
    UnknownRunError,
)
from codetether_ray.core.events import ChildRunFinished, ChildRunStarted, Record, ToolOutput
from codetether_ray.core.spec import AgentSpec, Outcome, TurnResult
from codetether_ray.core.usage import Budget, Spend
from codetether_ray.journal.listing import Spending, spending
from codetether_ray.local.family import ordinal
from codetether_ray.local.runtime import HostedRuntime
from codetether_ray.ports.child_runs import ChildResult, ChildWish, RalphWish
from codetether_ray.ports.ledger import Ledger, Reservation

if TYPE_CHECKING:
    from codetether_ray.bootstrap.home import Voices

Show = Callable[[Record], None]
Start = Callable[[RunRequest, Show], Awaitable[JsonObject]]
"""Does a run to its result beside its parent's; cancelled, it ends it and still gives one."""

_SHORTFALL = 1e-9
"""Of what is left of a budget in dollars: sums of fractions are not exact."""
_OUTCOMES: dict[str, Outcome] = {
    "success": "completed",
    "completed": "completed",
    "cancelled": "cancelled",
    "interrupted": "cancelled",
    "budget": "budget",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Bill:
    """What a child may spend, as its parent set it aside."""

    reservation: Reservation
    charged: Spend
    """What the parent has paid for it already."""
    budget: Budget
    """The child's own, over all its tries."""


class HostedChildRuns:
    """Implements `ChildRuns` where a run lives, for its agents.

    Keeps true: a call has one child, whatever dies; a child spends no more than is left of its
    parent's budget; runs that work in one directory are done one after another.
    """

    def __init__(
        self, data_dir: Path, runtime: HostedRuntime, ledger: Ledger, voices: "Voices", start: Start
    ) -> None:
        self._data_dir = data_dir
        self._runtime = runtime
        self._ledger = ledger
        self._voices = voices
        self._start = start
        self._at_work: dict[str, asyncio.Lock] = {}
        self._results: dict[str, ChildResult] = {}

    async def run(self, parent: AgentSpec, call_id: str, wish: ChildWish) -> ChildResult:
        """Do a run in the parent's directory; see the port."""
        if isinstance(wish, RalphWish) and wish.action != "run":
            from codetether_ray.bootstrap.children.prd import word_on

            return await asyncio.to_thread(word_on, Path(parent.root), wish)
        if parent.depth >= parent.max_depth:
            raise TreeLimitError("depth", parent.max_depth)
        if parent.node:
            raise ToolError(
                "a run is started where this one's files are, and this agent is on another node; "
                "do the work yourself"
            )
        history = await self._voices.of_agent(parent).history()
        child = Child.of(parent, call_id, wish, ordinal(history, call_id, requests.kind(wish)))
        await self._runtime.lending(parent.path, child.run_id, lambda: self._done(child))
        return self._results[child.run_id]

    async def _done(self, child: Child) -> TurnResult:
        """The child's result, as a turn of its parent's family counts it."""
        lock = self._at_work.setdefault(child.parent.root, asyncio.Lock())
        async with lock:
            try:
                result = await self._result(child)
            except JournalError:
                raise
            except CodetetherError as error:
                result = {"outcome": "failed", "error": str(error)}
        return self._noted(child, result, await self._spending(child))

    async def _result(self, child: Child) -> JsonObject:
        known = await asyncio.to_thread(requests.recorded, self._data_dir, child)
        if known.result is not None:
            await self._pay(child, known.result)
            return known.result
        bill = await self._set_aside(child)
        result: JsonObject = {"outcome": "cancelled"}
        try:
            result = await self._begun(child, known, bill)
        except CodetetherError as error:
            result = {"outcome": "failed", "error": str(error)}
        finally:
            spent = await self._spending(child)
            await self._ledger.settle(bill.reservation, _spend(spent) - bill.charged)
        await self._voices.of_run().record(_finished(child, str(result["outcome"]), spent))
        failpoints.hit("child.finished")
        return result

    async def _pay(self, child: Child, result: JsonObject) -> None:
        """Charge what a child has spent that ended while its parent could not see it."""
        spent, charged = await self._spending(child), await self._charged(child)
        if _spend(spent) == charged:
            return
        with suppress(BudgetSpentError):  # then nothing more is spent anyway
            nothing = await self._ledger.reserve(Spend(), child.run_id)
            await self._ledger.settle(nothing, _spend(spent) - charged)
        await self._voices.of_run().record(_finished(child, str(result["outcome"]), spent))

    async def _begun(self, child: Child, known: Recorded, bill: _Bill) -> JsonObject:
        request = await requests.request(child, known, bill.budget, self._data_dir)
        started = ChildRunStarted(
            run_id=child.run_id, kind=child.kind, agent=child.parent.path, call_id=child.call_id
        )
        await self._voices.of_run().record(started)
        failpoints.hit("child.started")
        voice = self._voices.of_agent(child.parent)

        def show(record: Record) -> None:
            step = step_of(record)
            if step:
                voice.emit(ToolOutput(call_id=child.call_id, text=f"{step}\n"))

        voice.emit(ToolOutput(call_id=child.call_id, text=f"{child.kind} {child.run_id}\n"))
        return await self._start(request, show)

    # -- what it costs ----------------------------------------------------------------------------

    async def _set_aside(self, child: Child) -> _Bill:
        """All that is left of the budget, until the child has ended.

        Raises:
            BudgetSpentError: nothing is left.
        """
        charged = await self._charged(child)
        limits = await self._ledger.limits()
        while True:
            spent = await self._ledger.spent()
            left = _left(limits, spent)
            try:
                reservation = await self._ledger.reserve(left, child.run_id)
                break
            except BudgetSpentError as error:
                if error.what == "seconds" or spent == await self._ledger.spent():
                    raise  # and not: others have spent meanwhile
        budget = Budget(
            tokens=None if limits.tokens is None else left.tokens + charged.tokens,
            usd=None if limits.usd is None else left.usd + charged.usd,
            wall_s=limits.wall_s,
        )
        return _Bill(reservation=reservation, charged=charged, budget=budget)

    async def _charged(self, child: Child) -> Spend:
        """What the parent's journal says that the child has spent."""
        history = await self._voices.of_run().history()
        for event in reversed(history):
            if isinstance(event, ChildRunFinished) and event.run_id == child.run_id:
                return Spend(tokens=event.usage.total_tokens, usd=event.cost_usd or 0.0)
        return Spend()

    async def _spending(self, child: Child) -> Spending:
        try:
            return await asyncio.to_thread(spending, self._data_dir, child.run_id, fetch=archived())
        except (UnknownRunError, JournalError):
            return Spending()

    def _noted(self, child: Child, result: JsonObject, spent: Spending) -> TurnResult:
        found = self._results[child.run_id] = result_of(child, result, spent)
        return TurnResult(
            outcome=_OUTCOMES.get(found.outcome, "failed"),
            text=found.text,
            usage=found.usage,
            cost_usd=found.cost_usd,
        )


def _left(limits: Budget, spent: Spend) -> Spend:
    """What is left to spend.

    Raises:
        BudgetSpentError: nothing is.
    """
    tokens = 0 if limits.tokens is None else limits.tokens - spent.tokens
    usd = 0.0 if limits.usd is None else (limits.usd - spent.usd) * (1 - _SHORTFALL)
    if limits.tokens is not None and tokens <= 0:
        raise BudgetSpentError("tokens", limits.tokens, spent.tokens)
    if limits.usd is not None and usd <= 0:
        raise BudgetSpentError("US dollars", limits.usd, spent.usd)
    return Spend(tokens=tokens, usd=usd)


def _spend(spent: Spending) -> Spend:
    return Spend(tokens=spent.usage.total_tokens, usd=spent.cost_usd or 0.0)


def _finished(child: Child, outcome: str, spent: Spending) -> ChildRunFinished:
    return ChildRunFinished(
        run_id=child.run_id,
        kind=child.kind,
        agent=child.parent.path,
        call_id=child.call_id,
        outcome=outcome,
        usage=spent.usage,
        cost_usd=spent.cost_usd,
    )
