"""A swarm from its task to its merged branch.

Plan, then every subtask the moment its own dependencies are done, each commit merged in plan
order, then an answer. Who runs the agents and where the trees live is not known here.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import suppress
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from codetether_ray.agent.tally import Tally
from codetether_ray.core import failpoints
from codetether_ray.core.codec import JsonObject
from codetether_ray.core.errors import (
    BudgetSpentError,
    CodetetherError,
    PlannerFailedError,
    WorkspaceError,
)
from codetether_ray.core.events import (
    PlanMade,
    SwarmContinued,
    SwarmFinished,
    SwarmStarted,
    Warned,
)
from codetether_ray.core.usage import Price, Usage
from codetether_ray.ports.clock import Clock
from codetether_ray.ports.publisher import Publisher
from codetether_ray.ports.runtime import AgentRuntime
from codetether_ray.ports.workspace import Base, Workspace
from codetether_ray.swarm.closing import closing, joined
from codetether_ray.swarm.crew import Crew
from codetether_ray.swarm.estimate import Estimate, estimate
from codetether_ray.swarm.execution import Execution
from codetether_ray.swarm.memory import Memory
from codetether_ray.swarm.merging import Merger
from codetether_ray.swarm.options import SwarmOptions
from codetether_ray.swarm.plan import Plan
from codetether_ray.swarm.planner import make_plan
from codetether_ray.swarm.result import SubtaskResult, SwarmOutcome, SwarmResult, outcome_of
from codetether_ray.swarm.rules import RULES
from codetether_ray.swarm.work import Stopwatch, Workplace

Approve = Callable[[Plan, Estimate], Awaitable[bool]]
"""Asked before any sub-agent starts; False ends the swarm."""

Spent = Callable[[], Awaitable[tuple[Usage, float | None]]]
"""What all model calls of the run came to, those of earlier tries and of cut turns included."""


_AFTER_PLANNER: Mapping[str, SwarmOutcome] = MappingProxyType(
    {"budget": "budget", "cancelled": "cancelled"}
)


class SwarmCoordinator:
    """Runs one swarm once; resumed over the journal of an earlier try, it goes on from there.

    `run` always gives a truthful result and records it (`SwarmFinished`); `cancel` ends the
    agents, keeps their trees, and makes `run` return a result of outcome `cancelled`.
    """

    def __init__(
        self,
        options: SwarmOptions,
        runtime: AgentRuntime,
        workspace: Workspace,
        publisher: Publisher,
        clock: Clock,
        *,
        approve: Approve | None = None,
        price: Price | None = None,
        rate_limits: Callable[[], JsonObject] | None = None,
        spent: Spent | None = None,
        elapsed_s: float = 0.0,
    ) -> None:
        """`elapsed_s`: how long earlier tries of this swarm worked."""
        self._options = options
        self._workspace = workspace
        self._publisher = publisher
        self._approve = approve
        self._price = price
        self._rate_limits = rate_limits
        self._spent = spent
        self._watch = Stopwatch(clock, clock.monotonic() - elapsed_s)
        self._tally = Tally(runtime)
        self._crew = Crew(options)
        self._base = Base(commit="")
        self._warnings: tuple[str, ...] = ()
        self._execution: Execution | None = None
        self._work: asyncio.Task[SwarmResult | None] | None = None
        self._agreed: tuple[Memory, Plan] | None = None
        self.result: SwarmResult | None = None
        """What `run` returned, or would have if it had not been cancelled from outside."""

    async def run(self) -> SwarmResult:
        """Do the task.

        Cancelling the caller does what `cancel` does, then raises; `result` is set by then.
        """
        result = await self._led(self._swarm())
        assert result is not None
        return result

    async def prepare(self) -> SwarmResult | None:
        """Make the plan and have it agreed to; None: it is on record, for `run` over its journal.

        A result is the swarm's own: there is no plan, or it was not agreed to.
        """
        return await self._led(self._prepared())

    def cancel(self) -> None:
        """End the swarm: `run` returns soon, with outcome `cancelled`."""
        if self._work is not None:
            self._work.cancel()

    async def _led(self, swarm: Coroutine[Any, Any, SwarmResult | None]) -> SwarmResult | None:
        self._work = asyncio.create_task(swarm)
        result = await self._guarded(self._work)
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise asyncio.CancelledError
        return result

    async def _guarded(self, work: asyncio.Task[SwarmResult | None]) -> SwarmResult | None:
        try:
            return await work
        except asyncio.CancelledError:
            return await self._finish("cancelled", error="the swarm was cancelled")
        except PlannerFailedError as error:
            outcome = _AFTER_PLANNER.get(error.outcome, "failed")
            return await self._finish(outcome, error=str(error), error_kind=error.error_kind)
        except CodetetherError as error:
            outcome = "budget" if isinstance(error, BudgetSpentError) else "failed"
            return await self._finish(outcome, error=str(error), error_kind=type(error).__name__)

    async def _prepared(self) -> SwarmResult | None:
        """Open the workspace, and have a plan that is agreed to."""
        self._base = await self._workspace.open()
        memory = Memory.of(await self._publisher.history())
        await self._begin(memory)
        plan = memory.plan or await self._new_plan()
        self._warnings = plan.warnings
        if not (memory.is_begun or await self._is_approved(plan)):
            return await self._finish(
                "cancelled", error="the plan was not approved", error_kind="DecisionNeededError"
            )
        self._agreed = memory, plan
        return None

    async def _swarm(self) -> SwarmResult:
        ended = await self._prepared()
        if ended is not None:
            return ended
        assert self._agreed is not None
        memory, plan = self._agreed
        for done in memory.settled:
            if done.turn is not None:
                self._tally.add(done.turn)
        results = await self._execute(plan, memory)
        return await self._close(results)

    async def _begin(self, memory: Memory) -> None:
        """Record by which rules it is led from here on, unless that is recorded."""
        if memory.rules is None:
            await self._publisher.record(
                SwarmStarted(
                    task=self._options.task,
                    strategy=self._options.strategy,
                    base=self._base.commit,
                    base_note=" ".join(self._base.notes),
                    rules=RULES,
                )
            )
        elif memory.rules != RULES:
            await self._publisher.record(SwarmContinued(rules=RULES))

    async def _new_plan(self) -> Plan:
        plan = await make_plan(self._options, self._crew, self._tally)
        await self._publisher.record(PlanMade(subtasks=plan.to_json(), warnings=plan.warnings))
        failpoints.hit("plan.recorded")
        return plan

    async def _is_approved(self, plan: Plan) -> bool:
        if self._approve is None:
            return True
        steps = self._options.template.max_steps
        return await self._approve(plan, estimate(plan, max_steps=steps, price=self._price))

    async def _execute(self, plan: Plan, memory: Memory) -> tuple[SubtaskResult, ...]:
        task = self._options.task
        merger = Merger(
            task,
            self._crew,
            self._tally,
            self._workspace,
            self._publisher,
            setbacks=memory.setbacks,
        )
        place = Workplace(
            task=task,
            plan=plan,
            base=self._base,
            crew=self._crew,
            tally=self._tally,
            merger=merger,
            workspace=self._workspace,
            publisher=self._publisher,
            watch=self._watch,
        )
        self._execution = Execution(place, memory.settled)
        return await self._execution.run()

    async def _close(self, results: tuple[SubtaskResult, ...]) -> SwarmResult:
        outcome = outcome_of(results)
        diffstat = await self._workspace.diffstat()
        text, note = await closing(self._options.task, results, diffstat, self._crew, self._tally)
        if note:
            self._publisher.emit(Warned(text=note))
        if outcome == "success":
            return await self._finish(outcome, text=text, note=note)
        kind = next((r.error_kind for r in results if r.error_kind), "")
        return await self._finish(
            outcome,
            text=text,
            note=note,
            error=_what_failed(results),
            error_kind=kind if outcome in ("failed", "budget") else "",
        )

    async def _finish(
        self,
        outcome: SwarmOutcome,
        *,
        text: str = "",
        error: str = "",
        error_kind: str = "",
        note: str = "",
    ) -> SwarmResult:
        results = self._execution.results if self._execution else ()
        usage, cost_usd = self._tally.usage, self._tally.cost_usd
        if self._spent is not None:
            usage, cost_usd = await self._spent()
        result = SwarmResult(
            swarm_id=self._options.swarm_id,
            outcome=outcome,
            text=text or joined(results),
            subtasks=results,
            error=error,
            error_kind=error_kind,
            base=self._base.commit,
            usage=usage,
            cost_usd=cost_usd,
            elapsed_s=self._watch.now(),
            notes=tuple(n for n in (*self._base.notes, *self._warnings, note) if n),
            rate_limits=self._rate_limits() if self._rate_limits else {},
        )
        self.result = result = await self._with_branch(result)
        await self._publisher.record(SwarmFinished(outcome=outcome, result=result.to_json()))
        failpoints.hit("swarm.recorded")
        return result

    async def _with_branch(self, result: SwarmResult) -> SwarmResult:
        with suppress(WorkspaceError):  # a workspace that could not be opened has none
            return replace(
                result,
                branch=await self._workspace.main_branch(),
                commit=await self._workspace.head(),
                diffstat=await self._workspace.diffstat(),
            )
        return result


def _what_failed(results: tuple[SubtaskResult, ...]) -> str:
    return "; ".join(
        f'"{r.subtask.name}" {r.status if not r.is_success else "unmerged"}: {r.error}'
        for r in results
        if not r.is_landed
    )
