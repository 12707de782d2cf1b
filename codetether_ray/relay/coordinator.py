"""A relay from its task to its branch: a team, turns in one tree, and a truthful end.

Who runs the agents, where the tree lives and how key results are measured is not known here.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from types import MappingProxyType

from codetether_ray.core import failpoints
from codetether_ray.core.errors import (
    BudgetSpentError,
    CodetetherError,
    PlannerFailedError,
    WorkspaceError,
)
from codetether_ray.core.events import (
    Event,
    RelayContinued,
    RelayFinished,
    RelayStarted,
    TeamFormed,
    Warned,
)
from codetether_ray.core.spec import TurnResult
from codetether_ray.core.usage import Usage
from codetether_ray.ports.clock import Clock
from codetether_ray.ports.publisher import Publisher
from codetether_ray.ports.runtime import AgentRuntime
from codetether_ray.ports.workspace import Base, Tree, Workspace
from codetether_ray.relay.crew import Crew
from codetether_ray.relay.memory import Memory
from codetether_ray.relay.options import RelayOptions
from codetether_ray.relay.result import RelayResult
from codetether_ray.relay.rules import RULES
from codetether_ray.relay.schedule import Over, RelayOutcome, ToMeasure, next_step
from codetether_ray.relay.scoring import Scoring
from codetether_ray.relay.team import form_team
from codetether_ray.relay.turns import Announce, Stopped, Turns

TREE = "relay"
"""The id of the tree that all members share."""
Spent = Callable[[], Awaitable[tuple[Usage, float | None]]]
"""What all model calls of the run came to, those of earlier tries and of cut turns included."""

_AFTER_TURN: Mapping[str, RelayOutcome] = MappingProxyType(
    {"budget": "budget", "cancelled": "interrupted"}
)
"""How a relay ends by how an agent's turn did; otherwise it failed."""


def outcome_after(turn: str) -> RelayOutcome:
    """How a relay ends that an agent's turn stopped, by how that ended."""
    return _AFTER_TURN.get(turn, "failed")


class RelayCoordinator:
    """Runs one relay once; resumed over the journal of an earlier try, it goes on from there.

    `run` always gives a truthful result and records it (`RelayFinished`). Cancelled from outside
    it gives outcome `interrupted`, and the tree stays as it is.
    """

    def __init__(
        self,
        options: RelayOptions,
        runtime: AgentRuntime,
        workspace: Workspace,
        publisher: Publisher,
        clock: Clock,
        *,
        scoring: Scoring | None = None,
        announce: Announce | None = None,
        spent: Spent | None = None,
        elapsed_s: float = 0.0,
    ) -> None:
        """`scoring`: where there are key results. `elapsed_s`: how long earlier tries worked."""
        self._options = options
        self._runtime = runtime
        self._workspace = workspace
        self._publisher = publisher
        self._clock = clock
        self._scoring = scoring
        self._spent = spent
        self._start_s = clock.monotonic() - elapsed_s
        self._turns = Turns(options, runtime, workspace, publisher, announce)
        self._memory = Memory()
        self._base = Base(commit="")
        self._tree: Tree | None = None
        self.result: RelayResult | None = None
        """What `run` returned, or would have if it had not been cancelled from outside."""

    async def run(self) -> RelayResult:
        """Do the task. Cancelling the caller ends it as `interrupted`, then raises."""
        work = asyncio.create_task(self._guarded())
        try:
            result = await asyncio.shield(work)
        except asyncio.CancelledError:
            work.cancel()
            await asyncio.wait({work})
            raise
        return result

    async def _guarded(self) -> RelayResult:
        try:
            over = await self._relay()
        except asyncio.CancelledError:
            return await self._finish("interrupted", error="the relay was interrupted")
        except PlannerFailedError as error:
            outcome = outcome_after(error.outcome)
            return await self._finish(outcome, error=str(error), error_kind=error.error_kind)
        except CodetetherError as error:
            outcome = "budget" if isinstance(error, BudgetSpentError) else "failed"
            return await self._finish(outcome, error=str(error), error_kind=type(error).__name__)
        if isinstance(over, Stopped):
            return await self._finish_stopped(over.member, over.result)
        return await self._finish(over.outcome, reason=over.reason)

    async def _relay(self) -> Over | Stopped:
        self._base = await self._workspace.open()
        self._memory = Memory.of(await self._publisher.history())
        await self._begin()
        stands = tuple(filter(None, (turn.commit for turn in self._memory.turns[-1:])))
        self._tree = await self._workspace.start(TREE, stands)  # it may have been cleaned up
        if not self._memory.team:
            await self._form_team()
        await self._keep_measured()
        while True:
            if self._scoring is not None and await self._scoring.is_cancelled():
                return Over(outcome="cancelled", reason="somebody cancelled it")
            step = next_step(self._memory, self._options.rounds, measures=self._scoring is not None)
            if isinstance(step, Over):
                return step
            if isinstance(step, ToMeasure):
                await self._measure(step)
                continue
            done = await self._turns.take(self._memory, step, self._tree)
            if isinstance(done, Stopped):
                return done
            self._memory = self._memory.after(done)

    async def _begin(self) -> None:
        """Record by which rules and for how long it is led, unless that is recorded."""
        if self._memory.rules is None:
            options, ids = self._options, self._options.template.correlation
            await self._note(
                RelayStarted(
                    task=options.task,
                    count=options.count,
                    rounds=options.rounds,
                    base=self._base.commit,
                    base_note=" ".join(self._base.notes),
                    okr_id=ids.okr_id,
                    okr_run_id=ids.okr_run_id,
                    objective=options.objective,
                    rules=RULES,
                )
            )
        elif (self._memory.rules, self._memory.rounds) != (RULES, self._options.rounds):
            await self._note(RelayContinued(rules=RULES, rounds=self._options.rounds))

    async def _form_team(self) -> None:
        team, note = await form_team(self._options, Crew(self._options), self._runtime)
        if note:
            self._publisher.emit(Warned(text=note))
        failpoints.hit("team.answered")
        await self._note(TeamFormed(profiles=tuple(p.to_json() for p in team), note=note))
        failpoints.hit("team.recorded")

    async def _measure(self, step: ToMeasure) -> None:
        assert self._scoring is not None
        measured = await self._scoring.measure(step.turn, step.commit)
        await self._note(measured)
        failpoints.hit("measured.recorded")
        await self._scoring.keep(measured)

    async def _keep_measured(self) -> None:
        """What an earlier try measured last may not be where the objective is kept."""
        if self._scoring is not None and self._memory.standing is not None:
            await self._scoring.keep(self._memory.standing)

    async def _note(self, event: Event) -> None:
        await self._publisher.record(event)
        self._memory = self._memory.after(event)

    # -- the end ----------------------------------------------------------------------------------

    async def _finish_stopped(self, member: str, turn: TurnResult) -> RelayResult:
        why = turn.error or f"its turn ended with {turn.outcome}"
        where = f"; its files are in {self._tree.path}" if self._tree else ""
        return await self._finish(
            outcome_after(turn.outcome),
            error=f"@{member}: {why}{where}",
            error_kind=turn.error_kind,
        )

    async def _finish(
        self, outcome: RelayOutcome, *, reason: str = "", error: str = "", error_kind: str = ""
    ) -> RelayResult:
        memory, ids = self._memory, self._options.template.correlation
        usage, cost_usd = (Usage(), None) if self._spent is None else await self._spent()
        released = await self._release(keep=bool(error))
        result = RelayResult(
            relay_id=self._options.relay_id,
            outcome=outcome,
            reason=reason,
            model=self._options.template.model,
            agents=tuple(memory.by_name),
            turns=memory.turns,
            has_key_results=self._scoring is not None,
            measured=tuple(memory.measured[turn] for turn in sorted(memory.measured)),
            okr_id=ids.okr_id,
            okr_run_id=ids.okr_run_id,
            error=error,
            error_kind=error_kind,
            base=self._base.commit,
            usage=usage,
            cost_usd=cost_usd,
            elapsed_s=self._clock.monotonic() - self._start_s,
            notes=tuple(n for n in (*self._base.notes, memory.team_note, released) if n),
        )
        self.result = result = await self._with_branch(result)
        await self._publisher.record(RelayFinished(outcome=outcome, result=result.to_json()))
        failpoints.hit("relay.recorded")
        return result

    async def _release(self, *, keep: bool) -> str:
        if self._tree is None:
            return ""
        with suppress(WorkspaceError):
            return await self._workspace.release(self._tree, keep=keep) or ""
        return ""

    async def _with_branch(self, result: RelayResult) -> RelayResult:
        with suppress(WorkspaceError):  # a workspace that could not be opened has none
            return replace(
                result,
                branch=await self._workspace.main_branch() if result.turns else "",
                commit=await self._workspace.head(),
                diffstat=await self._workspace.diffstat(),
            )
        return result
