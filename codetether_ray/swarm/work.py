"""One subtask from its queue to its commit."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from codetether_ray.agent.tally import Tally
from codetether_ray.core import failpoints
from codetether_ray.core.errors import (
    BudgetSpentError,
    CodetetherError,
    ParentsConflictError,
    WorkspaceError,
)
from codetether_ray.core.events import SubtaskChanged, SubtaskStatus
from codetether_ray.core.spec import AgentSpec, Outcome, TurnResult
from codetether_ray.ports.clock import Clock
from codetether_ray.ports.publisher import Publisher
from codetether_ray.ports.workspace import Base, Commit, Tree, Workspace
from codetether_ray.swarm import prompts
from codetether_ray.swarm.crew import Crew
from codetether_ray.swarm.merging import Merger
from codetether_ray.swarm.plan import Plan, Subtask
from codetether_ray.swarm.recording import record_whole
from codetether_ray.swarm.result import SubtaskResult

STATUS_OF: Mapping[str, SubtaskStatus] = {
    "completed": "completed",
    "timeout": "timed_out",
    "cancelled": "cancelled",
}
"""How a subtask ended, by how its agent's turn did; otherwise it failed."""
_WORDS: Mapping[str, str] = {
    "max_steps": "it used up its steps",
    "budget": "the run's budget is spent",
    "stuck": "it repeated itself without progress",
    "timeout": "its time was over",
    "cancelled": "it was cancelled",
    "needs_decision": "it needs a decision that nobody could take",
    "waiting": "a quota is spent",
}
_SUBJECT = 72


@dataclass(slots=True)
class Stopwatch:
    """Seconds that the swarm has worked, all tries together."""

    clock: Clock
    start: float

    def now(self) -> float:
        """Now."""
        return self.clock.monotonic() - self.start


@dataclass(frozen=True, slots=True, kw_only=True)
class Workplace:
    """All that the subtasks of a swarm share."""

    task: str
    plan: Plan
    base: Base
    crew: Crew
    tally: Tally
    merger: Merger
    workspace: Workspace
    publisher: Publisher
    watch: Stopwatch


class Work:
    """The work on one subtask: agent, tree, commit, and what became of them."""

    def __init__(self, place: Workplace, subtask: Subtask) -> None:
        self._place = place
        self._subtask = subtask
        self._spec = place.crew.subagent(subtask)
        self._tree: Tree | None = None
        self._started_s = -1.0

    async def run(self, needs: tuple[SubtaskResult, ...]) -> SubtaskResult:
        """Do it, after `needs` (its dependencies, all completed); the end is on record.

        Cancellation leaves the tree as it is; one that comes while the end is being recorded is
        too late: the end stands, and is returned.
        """
        try:
            result = await self._committed(await self._turn(needs))
        except WorkspaceError as error:
            result = self._failed(error)
        failpoints.hit("subtask.committed")
        await record_whole(self._place.publisher, changed(result))
        failpoints.hit("subtask.recorded")
        return result

    def interrupted(self) -> SubtaskResult:
        """What there is to say of it when the whole swarm is stopped."""
        return self._result("interrupted", error="the swarm was stopped while it ran")

    async def _turn(self, needs: tuple[SubtaskResult, ...]) -> TurnResult:
        try:
            return await self._asked(needs)
        except WorkspaceError:
            raise
        except CodetetherError as error:  # it died too often, the budget is spent, …
            outcome: Outcome = "budget" if isinstance(error, BudgetSpentError) else "failed"
            return TurnResult(outcome=outcome, error=str(error), error_kind=type(error).__name__)

    async def _asked(self, needs: tuple[SubtaskResult, ...]) -> TurnResult:
        parents = tuple(dict.fromkeys(need.commit for need in needs if need.commit))
        told = [(need.subtask, need.turn) for need in needs if need.turn is not None]
        request = prompts.subtask_request(self._place.task, self._subtask, told)
        try:
            return await self._ask(request, parents)
        except ParentsConflictError:
            joined = await self._place.merger.join(self._subtask, parents)
            return await self._ask(request, (joined,))

    async def _ask(self, request: str, parents: tuple[str, ...]) -> TurnResult:
        async def prepare(spec: AgentSpec) -> AgentSpec:
            return await self._placed(spec, parents)

        return await self._place.tally.run(
            self._spec, request, prepare=prepare, priority=self._subtask.priority
        )

    async def _placed(self, spec: AgentSpec, parents: tuple[str, ...]) -> AgentSpec:
        """The permit is there: make the tree, say that it runs."""
        place = self._place
        self._tree = await place.workspace.start(self._subtask.id, parents, node=spec.node)
        self._started_s = place.watch.now()
        await place.publisher.record(
            SubtaskChanged(
                id=self._subtask.id,
                name=self._subtask.name,
                status="running",
                agent=spec.path,
                stage=self._subtask.stage,
                branch=self._tree.branch,
            )
        )
        return place.crew.placed(spec, self._tree, place.base, place.plan, self._subtask)

    async def _committed(self, turn: TurnResult) -> SubtaskResult:
        status = STATUS_OF.get(turn.outcome, "failed")
        kind = "" if turn.is_success else turn.error_kind
        if self._tree is None:  # it was never admitted
            error = turn.error or _WORDS.get(turn.outcome, "it failed")
            return replace(self._result(status, turn=turn, error=error), error_kind=kind)
        commit = await self._place.workspace.commit(self._tree, self._message(turn))
        kept = await self._place.workspace.release(self._tree, keep=False)
        notes = (*commit.notes, kept) if kept else commit.notes
        error = "" if turn.is_success else self._why(turn, commit, self._tree)
        return replace(
            self._result(status, turn=turn, error=error),
            error_kind=kind,
            commit=commit.commit,
            files=commit.files,
            notes=notes,
        )

    def _why(self, turn: TurnResult, commit: Commit, tree: Tree) -> str:
        said = turn.error or _WORDS.get(turn.outcome, "it failed")
        if commit.is_empty:
            return said
        return f"{said}; what it had done is on branch {tree.branch or commit.commit}"

    def _message(self, turn: TurnResult) -> str:
        subject = " ".join(self._subtask.name.split())[:_SUBJECT]
        done = "" if turn.is_success else f"Unfinished: {turn.outcome}.\n\n"
        return f"{subject}\n\n{done}{prompts.shorten(self._subtask.instruction, 2000)}\n"

    def _failed(self, error: WorkspaceError) -> SubtaskResult:
        where = f"; its files are in {self._tree.path}" if self._tree else ""
        return replace(
            self._result("failed", error=f"{error}{where}"), error_kind=type(error).__name__
        )

    def _result(
        self, status: SubtaskStatus, *, turn: TurnResult | None = None, error: str = ""
    ) -> SubtaskResult:
        return SubtaskResult(
            subtask=self._subtask,
            agent=self._spec.path,
            status=status,
            turn=turn,
            error=error,
            branch=self._tree.branch if self._tree else "",
            started_s=self._started_s,
            ended_s=self._place.watch.now(),
        )


def changed(result: SubtaskResult) -> SubtaskChanged:
    """The event that says how a subtask ended."""
    return SubtaskChanged(
        id=result.subtask.id,
        name=result.subtask.name,
        status=result.status,
        agent=result.agent,
        stage=result.subtask.stage,
        detail=result.error,
        commit=result.commit,
        branch=result.branch,
        files=result.files,
        result=result.turn,
    )
