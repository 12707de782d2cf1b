"""A PRD from its open stories to its branch.

A story is picked the moment its dependencies have passed; each attempt is a fresh agent's; what
it leaves is merged, measured and landed, one story after another. Who runs the agents and where
the trees live is not known here.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace

from codetether_ray.agent.tally import Tally
from codetether_ray.core import failpoints
from codetether_ray.core.codec import JsonObject
from codetether_ray.core.errors import CodetetherError, WorkspaceError
from codetether_ray.core.events import (
    RalphContinued,
    RalphFinished,
    RalphStarted,
    StoryEnded,
    Warned,
)
from codetether_ray.core.usage import Usage
from codetether_ray.ports.clock import Clock
from codetether_ray.ports.publisher import Publisher
from codetether_ray.ports.runtime import AgentRuntime
from codetether_ray.ports.sandbox import Sandbox
from codetether_ray.ports.trunk import Trunk
from codetether_ray.ports.workspace import Base, Workspace
from codetether_ray.ralph import planning
from codetether_ray.ralph.attempts import Attempt
from codetether_ray.ralph.board import Board
from codetether_ray.ralph.book import Book
from codetether_ray.ralph.crew import Crew
from codetether_ray.ralph.faults import BudgetOverError, FaultError
from codetether_ray.ralph.options import RalphOptions
from codetether_ray.ralph.place import Ask, Place
from codetether_ray.ralph.prd import Story
from codetether_ray.ralph.result import (
    RalphOutcome,
    RalphResult,
    log_rows,
    outcome_of,
    story_rows,
)
from codetether_ray.ralph.rules import RULES

Spent = Callable[[], Awaitable[tuple[Usage, float | None]]]
"""What all model calls of the run came to, those of earlier tries and of cut turns included."""


class RalphCoordinator:
    """Runs one PRD once; resumed over the journal of an earlier try, it goes on from there.

    `run` always gives a truthful result and records it (`RalphFinished`); cancelling it ends the
    agents, keeps their trees, and leaves `result` with outcome `interrupted`.
    """

    def __init__(
        self,
        options: RalphOptions,
        runtime: AgentRuntime,
        workspace: Workspace,
        trunk: Trunk,
        book: Book,
        sandbox: Sandbox,
        publisher: Publisher,
        clock: Clock,
        *,
        ask: Ask | None = None,
        mask: Callable[[str], str] = str,
        spent: Spent | None = None,
        elapsed_s: float = 0.0,
    ) -> None:
        """`elapsed_s`: how long earlier tries of this run worked."""
        self._options = options
        self._spent = spent
        self._began = clock.monotonic() - elapsed_s
        self._notes: tuple[str, ...] = ()
        self._branch = ""
        self._start = ""
        self._known: tuple[object, ...] = ()
        self._place = Place(
            options=options,
            base=Base(commit=""),
            crew=Crew(options),
            tally=Tally(runtime),
            workspace=workspace,
            trunk=trunk,
            book=book,
            sandbox=sandbox,
            publisher=publisher,
            clock=clock,
            board=Board(),
            ask=ask,
            mask=mask,
        )
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._ended: asyncio.Queue[tuple[str, BaseException | None]] = asyncio.Queue()
        self._stopped: FaultError | None = None
        """Why nothing more is begun: the budget, or what is broken."""
        self.result: RalphResult | None = None
        """What `run` returned, or would have if it had not been cancelled from outside."""

    async def run(self) -> RalphResult:
        """Do the PRD.

        Cancelled, it records an interrupted run, sets `result`, and raises.
        """
        try:
            return await self._done()
        except asyncio.CancelledError:
            await self._stop()
            await self._finish("interrupted", "the run was interrupted")
            raise
        except CodetetherError as error:
            await self._stop()
            outcome: RalphOutcome = "failed" if self._place.board.rules is None else "interrupted"
            return await self._finish(outcome, str(error), type(error).__name__)

    async def _done(self) -> RalphResult:
        await self._open()
        await self._begin()
        await self._reconcile()
        await self._work()
        await self._reconcile()
        stopped = self._stopped
        if stopped is not None and not self._is_complete:
            short: RalphOutcome = (
                "budget" if isinstance(stopped, BudgetOverError) else "interrupted"
            )
            return await self._finish(short, str(stopped), stopped.error_kind)
        place = self._place
        outcome = outcome_of(place.prd, place.board, has_more=bool(self._ready()))
        return await self._finish(outcome, self._why(outcome))

    # -- beginning --------------------------------------------------------------------------------

    async def _open(self) -> None:
        place = self._place
        place.base = await place.workspace.open()
        opened = await place.trunk.open()
        self._branch, self._notes = opened.branch, (*place.base.notes, *opened.notes)
        for event in await place.publisher.history():
            place.board.take(event)
        for state in place.board.stories.values():
            for turn in state.turns:
                place.tally.add(turn)
        if place.board.rules is not None:
            place.landed = await place.trunk.landed()
        self._start = opened.start

    async def _begin(self) -> None:
        """Record by which rules and stories it is led from here on."""
        place, prd = self._place, self._place.prd
        if place.board.rules is not None:
            await self._go_on(" ".join(self._notes))
            return
        self._known = self._terms()
        await place.tell(
            RalphStarted(
                prd=self._options.prd,
                project=prd.project,
                feature=prd.feature,
                stories=self._stories(),
                gates=dict(prd.quality_checks.commands),
                max_iterations=self._options.max_iterations,
                base=place.base.commit,
                start=self._start,
                branch=self._branch or prd.branch,
                note=" ".join(self._notes),
                rules=RULES,
            )
        )
        failpoints.hit("ralph.started")

    async def _go_on(self, note: str) -> None:
        """Record by what it is led from here on, where it had begun."""
        self._known = self._terms()
        await self._place.tell(
            RalphContinued(
                stories=self._stories(),
                gates=dict(self._place.prd.quality_checks.commands),
                max_iterations=self._options.max_iterations,
                note=note,
                rules=RULES,
            )
        )

    def _stories(self) -> tuple[JsonObject, ...]:
        """The stories as they stand."""
        here = self._place.board.passed
        stories = self._place.prd.stories
        return tuple(_story_json(s, passes=s.passes or s.id in here) for s in stories)

    def _terms(self) -> tuple[object, ...]:
        """What is decided by, but for what this run itself changes: that stories pass."""
        here, prd = self._place.board.passed, self._place.prd
        stories = (_story_json(s, passes=s.passes and s.id not in here) for s in prd.stories)
        return (*stories, *prd.quality_checks.commands)

    async def _reconcile(self) -> None:
        """Have the PRD's file say of every story that passed here that it did."""
        place = self._place
        for event in place.board.told:
            if event.story in place.prd.by_id:
                await place.book.passed(event.story, event.entry)

    # -- working ----------------------------------------------------------------------------------

    async def _work(self) -> None:
        """Attempts, as long as there is something that may be tried."""
        while True:
            for story in self._next():
                self._start_attempt(story)
            if not self._tasks:
                return
            await self._take_end()

    def _next(self) -> list[Story]:
        """The stories whose attempt begins now: the open ones first, then who is ready."""
        if self._stopped is not None:
            return []
        place, prd = self._place, self._place.prd
        room = (self._options.parallel or len(prd.stories)) - len(self._tasks)
        again = [prd.by_id[id] for id in place.board.under_way if id in prd.by_id]
        chosen = [story for story in again if story.id not in self._tasks][:room]
        left = self._options.max_iterations - place.board.iterations - self._unbegun
        new = [story for story in self._ready() if story.id not in {s.id for s in again}]
        return chosen + new[: max(min(room - len(chosen), left), 0)]

    def _ready(self) -> tuple[Story, ...]:
        place = self._place
        without = {*self._tasks, *place.board.blocked}
        passed = place.prd.passed | place.board.passed
        return planning.ready(place.prd, passed=passed, without=without)

    @property
    def _unbegun(self) -> int:
        """Attempts that wait for their permit: they are not on the board yet."""
        return sum(not self._place.board[id].is_open for id in self._tasks)

    @property
    def _is_complete(self) -> bool:
        return self._place.prd.passed | self._place.board.passed >= set(self._place.prd.by_id)

    def _start_attempt(self, story: Story) -> None:
        attempt = Attempt(self._place, story)

        async def do() -> None:
            try:
                await attempt.run()
            except Exception as error:  # noqa: BLE001 - told to whoever leads, who judges it
                self._ended.put_nowait((story.id, error))
            else:
                self._ended.put_nowait((story.id, None))

        self._tasks[story.id] = asyncio.create_task(do(), name=f"ralph {story.id}")

    async def _take_end(self) -> None:
        """Wait for an attempt to end; take with it those that have ended meanwhile."""
        ended = [await self._ended.get()]
        while not self._ended.empty():
            ended.append(self._ended.get_nowait())
        for id, error in ended:
            del self._tasks[id]
            if isinstance(error, FaultError):
                self._stopped = self._stopped or error
            elif error is not None:
                raise error
        if self._known != self._terms():
            await self._go_on("the PRD was changed meanwhile")
        await self._tell_blocked()

    async def _tell_blocked(self) -> None:
        """Stories behind one that is given up are given up with it."""
        place = self._place
        passed = place.prd.passed | place.board.passed
        behind = planning.blocked(place.prd, place.board.blocked, passed=passed)
        told = [
            StoryEnded(
                story=id,
                title=place.prd.by_id[id].title,
                status="blocked",
                cause="depends",
                detail=f"it depends on {', '.join(causes)}, which is blocked",
            )
            for id, causes in behind.items()
            if id not in self._tasks
        ]
        if told:
            await place.tell(*told)

    # -- ending -----------------------------------------------------------------------------------

    async def _stop(self) -> None:
        """End every attempt; what it had done stays, and is gone on with."""
        tasks = set(self._tasks.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def _why(self, outcome: RalphOutcome) -> str:
        place = self._place
        if outcome == "completed":
            return ""
        if outcome == "max_iterations":
            return (
                f"{self._options.max_iterations} attempts were made (--max-iterations), and "
                "stories are left that could be tried"
            )
        stuck = (place.board[id].verdict for id in sorted(place.board.blocked))
        told = [v for v in stuck if v is not None and v.cause != "depends"]
        return "; ".join(f"{v.story} is blocked: {_first_line(v.detail)}" for v in told)

    async def _finish(
        self, outcome: RalphOutcome, error: str = "", error_kind: str = ""
    ) -> RalphResult:
        place, prd = self._place, self._place.prd
        usage, cost_usd = place.tally.usage, place.tally.cost_usd
        if self._spent is not None:
            usage, cost_usd = await self._spent()
        result = RalphResult(
            run_id=self._options.run_id,
            outcome=outcome,
            prd_path=self._options.prd,
            directory=self._options.template.root,
            prd=prd,
            stories=story_rows(prd, place.board),
            log=log_rows(place.board),
            iterations=place.board.iterations,
            max_iterations=self._options.max_iterations,
            error=error,
            error_kind=error_kind,
            base=place.base.commit,
            usage=usage,
            cost_usd=cost_usd,
            elapsed_s=place.clock.monotonic() - self._began,
            notes=tuple(note for note in self._notes if note),
        )
        self.result = result = await self._with_branch(result)
        await place.tell(RalphFinished(outcome=outcome, result=result.to_json()))
        failpoints.hit("ralph.recorded")
        return result

    async def _with_branch(self, result: RalphResult) -> RalphResult:
        place = self._place
        with suppress(WorkspaceError):  # a workspace that could not be opened has none
            note = await place.trunk.close(is_awaited=place.board.has_merged)
            if note:
                place.publisher.emit(Warned(text=note))
            return replace(
                result,
                branch=self._branch if self._branch and not note else await self._main(),
                commit=await place.trunk.head(),
                diffstat=await place.workspace.diffstat(),
                notes=(*result.notes, note) if note else result.notes,
            )
        return result

    async def _main(self) -> str:
        return await self._place.workspace.main_branch()


def _story_json(story: Story, *, passes: bool) -> JsonObject:
    """What is decided by, of a story."""
    return {
        "id": story.id,
        "title": story.title,
        "passes": passes,
        "priority": story.priority,
        "complexity": story.complexity,
        "depends_on": list(story.depends_on),
    }


def _first_line(text: str) -> str:
    return text.strip().partition("\n")[0][:200]
