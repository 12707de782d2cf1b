"""One attempt at a story, from its fresh agent to its judgement; or its diagnosis."""

from dataclasses import replace

from codetether_ray.agent.roles import in_tree
from codetether_ray.core import failpoints
from codetether_ray.core.codec import JsonObject
from codetether_ray.core.errors import CodetetherError, JournalError
from codetether_ray.core.events import (
    AttemptEnded,
    AttemptFaulted,
    AttemptStarted,
    CriterionJudged,
    DiagnosisMade,
    StoryEnded,
)
from codetether_ray.core.ralph_events import Cause, StoryStatus
from codetether_ray.core.spec import AgentSpec, TurnResult
from codetether_ray.ports.audit import about_task
from codetether_ray.ports.workspace import Tree
from codetether_ray.ralph import failures, progress, prompts
from codetether_ray.ralph.faults import (
    BudgetOverError,
    FaultError,
    fault_from,
    refuse_unfinished,
)
from codetether_ray.ralph.landing import Landing
from codetether_ray.ralph.markers import read_marker
from codetether_ray.ralph.place import Place
from codetether_ray.ralph.prd import Story
from codetether_ray.ralph.reading import read_turn
from codetether_ray.ralph.rules import FAULTS, FIRST_PAUSE_S


class Attempt:
    """The next thing to be done for a story. What earlier tries of the run did is not repeated."""

    def __init__(self, place: Place, story: Story) -> None:
        self._place = place
        self._story = story
        self._state = place.state(story)
        self._slug = place.slug(story)
        self._tree: Tree | None = None

    async def run(self) -> None:
        """Do it; how it ended is on record, and on the board.

        Raises:
            BudgetOverError: the run's budget is spent; the attempt stays open.
            FaultError: something beside the story is broken, and waiting did not help.
            JournalError: nothing more can be recorded.
        """
        number = 0
        about_task.set(self._story.id)
        while True:
            try:
                return await self._once()
            except JournalError:
                raise
            except CodetetherError as error:
                if self._state.status != "open":  # it was judged; what broke came after that
                    raise
                number += 1
                await self._pause(number, fault_from(error))

    async def _pause(self, number: int, fault: FaultError) -> None:
        """Wait for better times, if there may be any."""
        if isinstance(fault, BudgetOverError):
            raise fault
        wait_s = FIRST_PAUSE_S * 5 ** (number - 1)
        goes_on = fault.is_passing and number <= FAULTS
        await self._place.tell(
            AttemptFaulted(
                story=self._story.id,
                attempt=self._number,
                number=number,
                error=str(fault),
                error_kind=fault.error_kind,
                next_in_s=wait_s if goes_on else None,
            )
        )
        if not goes_on:
            raise fault
        await self._place.clock.sleep(wait_s)

    @property
    def _number(self) -> int:
        """Of the open attempt, or of the one that is to begin."""
        return self._state.attempt + (0 if self._state.is_open else 1)

    async def _once(self) -> None:
        if self._state.needs_diagnosis:
            await self._diagnose()
            return
        if self._state.ended is None:
            await self._turn()
        await self._judge()

    # -- the agent --------------------------------------------------------------------------------

    async def _turn(self) -> None:
        place, story = self._place, self._story
        spec = place.crew.attempt(story, self._slug, self._number)
        turn = await place.tally.run(
            spec, self._request(), prepare=self._placed, priority=-story.priority
        )
        refuse_unfinished(turn)
        await self._settle(spec, turn)

    def _request(self) -> str:
        """The same for every life of the attempt: it is not on the board before it is judged."""
        last = self._state.last_failure
        return prompts.story_request(
            self._place.prd,
            self._story,
            failure=last.detail if last else "",
            branch=self._branch_of(last),
            finding=self._state.finding,
        )

    def _branch_of(self, last: StoryEnded | None) -> str:
        return last.branch if last is not None else ""

    async def _placed(self, spec: AgentSpec) -> AgentSpec:
        """The permit is there: make the tree where the line stands now, say that it runs."""
        place, story = self._place, self._story
        head = await place.trunk.head()
        self._tree = tree = await place.workspace.start(spec.path, (head,), node=spec.node)
        if not self._state.is_open:
            await place.tell(
                AttemptStarted(
                    story=story.id,
                    title=story.title,
                    attempt=self._number,
                    agent=spec.path,
                    base=tree.base,
                    branch=tree.branch,
                )
            )
            failpoints.hit("ralph.begun")
        told = progress.distilled(place.prd, story, _told(place.board.told))
        return replace(
            in_tree(spec, tree), situation=prompts.situation(place.base, tree.base, told)
        )

    async def _settle(self, spec: AgentSpec, turn: TurnResult) -> None:
        """Commit what the agent left, and note what it says of it."""
        tree = self._tree
        if tree is None:
            raise FaultError(f"{spec.path} ended without a tree", "WorkspaceError", True)
        done = await self._place.workspace.commit(tree, self._message(turn))
        await self._place.workspace.release(tree, keep=False)
        failpoints.hit("ralph.committed")
        has_gates = bool(self._place.prd.quality_checks.commands)
        status, detail = read_turn(turn, self._story.id, done.files, has_gates=has_gates)
        await self._place.tell(
            AttemptEnded(
                story=self._story.id,
                title=self._story.title,
                attempt=self._state.attempt,
                agent=spec.path,
                status=status,
                detail=detail,
                commit=done.commit,
                branch="" if done.is_empty else tree.branch,
                files=done.files,
                result=turn,
            )
        )
        failpoints.hit("ralph.attempted")

    def _message(self, turn: TurnResult) -> str:
        done = "" if turn.is_success else f"Unfinished: {turn.outcome}.\n\n"
        run = self._place.options.run_id
        return (
            f"Attempt {self._state.attempt} at {self._story.id}: {_line(self._story.title)}\n\n"
            f"{done}Codetether-Run: {run}\nStory-Id: {self._story.id}\n"
        )

    # -- the judgement ----------------------------------------------------------------------------

    async def _judge(self) -> None:
        ended = self._state.ended
        assert ended is not None
        if ended.status == "done":
            await Landing(self._place, self._story).land()
        elif ended.status == "blocked":
            was_cancelled = ended.result is not None and ended.result.outcome == "cancelled"
            await self._end("blocked", "cancelled" if was_cancelled else "told", ended.detail)
        elif ended.status == "amends":
            await self._propose(ended)
        else:
            status: StoryStatus = "blocked" if self._state.is_last_chance else "failed"
            is_empty = ended.result is not None and ended.result.is_success and not ended.files
            await self._end(status, "empty" if is_empty else "agent", ended.detail)

    async def _end(self, status: StoryStatus, cause: Cause, detail: str) -> None:
        ended = self._state.ended
        await self._place.tell(
            StoryEnded(
                story=self._story.id,
                title=self._story.title,
                status=status,
                attempt=self._state.attempt,
                cause=cause,
                detail=detail,
                digest=failures.digest(cause, detail),
                commit=ended.commit if ended else "",
                branch=ended.branch if ended else "",
                files=ended.files if ended else (),
            )
        )

    # -- a criterion found wrong ------------------------------------------------------------------

    async def _propose(self, ended: AttemptEnded) -> None:
        """Put the proposal to whoever drives the run; the PRD changes by their word alone."""
        marker = read_marker(ended.result.text if ended.result else "", self._story.id)
        criteria = self._story.acceptance_criteria
        if not 1 <= marker.criterion <= len(criteria):
            await self._end("blocked", "criterion", f"it has no criterion {marker.criterion}")
            return
        old = criteria[marker.criterion - 1]
        words = await self._decided(marker.criterion, old, marker.proposal, marker.reason)
        judged = CriterionJudged(
            story=self._story.id,
            attempt=self._state.attempt,
            criterion=marker.criterion,
            old=old,
            new=words or marker.proposal,
            evidence=marker.reason,
            is_granted=bool(words),
            by="user",
        )
        await self._place.tell(judged)
        failpoints.hit("ralph.criterion")
        if words:
            await self._place.book.amend(self._story.id, marker.criterion, words)
            said = f"criterion {marker.criterion} was amended: {words}"
            await self._end("failed", "criterion", said)
        else:
            said = f"criterion {marker.criterion} is said to be wrong: {marker.reason}"
            await self._end("blocked", "criterion", f"{said}; nobody agreed to amend it")

    async def _decided(self, number: int, old: str, new: str, evidence: str) -> str:
        """The criterion's new words; empty where they are not agreed to."""
        if self._place.ask is None:
            return ""
        question: JsonObject = {
            "kind": "criterion",
            "story": self._story.id,
            "title": self._story.title,
            "criterion": number,
            "old": old,
            "new": new,
            "evidence": evidence,
        }
        answer = await self._place.ask(question)
        if isinstance(answer, dict):
            return str(answer.get("text") or new) if answer.get("approved") is True else ""
        return new if answer is True else ""

    # -- a diagnosis ------------------------------------------------------------------------------

    async def _diagnose(self) -> None:
        """Have somebody else look at what failed twice in the same way."""
        place, story, last = self._place, self._story, self._state.failures[-1]
        head = await place.trunk.head()
        path = f"story/{self._slug}/diagnosis-{last.attempt}"
        tree = await place.workspace.start(path, (last.commit or head,))
        spec = place.crew.diagnosis(story, self._slug, last.attempt, tree)
        told = [failure.detail for failure in self._state.failures[-2:]]
        request = prompts.diagnosis_request(place.prd, story, told)
        turn = await place.tally.run(spec, request)
        refuse_unfinished(turn)
        await place.workspace.release(tree, keep=False)
        finding = turn.text.strip() if turn.is_success else ""
        await place.tell(
            DiagnosisMade(
                story=story.id,
                attempt=last.attempt,
                agent=spec.path,
                finding=finding or f"(no cause was found: {turn.error or turn.outcome})",
                result=turn,
            )
        )
        failpoints.hit("ralph.diagnosed")


def _told(passed: list[StoryEnded]) -> list[progress.Told]:
    return [
        progress.Told(story=e.story, title=e.title, summary=e.detail, files=e.files) for e in passed
    ]


def _line(text: str) -> str:
    return " ".join(text.split())
