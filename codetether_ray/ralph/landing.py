"""Brings an attempt's work onto the run's line: merge, one commit, measures, gates, land."""

from collections.abc import Sequence
from dataclasses import dataclass

from codetether_ray.core import failpoints
from codetether_ray.core.errors import CodetetherError, PrdError, PrdGoneError
from codetether_ray.core.events import AttemptEnded, GateRun, StoryEnded, StoryMerged, Warned
from codetether_ray.core.ralph_events import Cause, StoryStatus
from codetether_ray.ports.workspace import Tree
from codetether_ray.ralph import failures, progress, prompts, trailers
from codetether_ray.ralph.faults import refuse_unfinished
from codetether_ray.ralph.gates import run_gates
from codetether_ray.ralph.markers import without_markers
from codetether_ray.ralph.measuring import weakened
from codetether_ray.ralph.place import Place
from codetether_ray.ralph.prd import Story

_TOLD_CHARS = 2_000
_RESOLVER_TRIES = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class _Merge:
    """An attempt's work on the line's head; no commit: `conflicts` are left."""

    commit: str = ""
    conflicts: tuple[str, ...] = ()
    problem: str = ""


class Landing:
    """Judges one attempt whose agent says that it is done. One at a time in a run."""

    def __init__(self, place: Place, story: Story) -> None:
        self._place = place
        self._story = story
        self._state = place.state(story)

    async def land(self) -> None:
        """Land it, or say why not; the judgement is on record.

        Raises:
            CodetetherError: something beside the story is broken; nothing was judged.
        """
        async with self._place.landing:
            merged = await self._merged()
            if merged.status == "unmerged":
                cause: Cause = "merge" if merged.conflicts else "empty"
                await self._fail(cause, merged.detail)
            elif self._place.landed.get(self._story.id) == merged.commit:
                await self._passed(merged)  # before a crash, which kept it from being recorded
            else:
                await self._measure(merged)

    # -- one commit -------------------------------------------------------------------------------

    async def _merged(self) -> StoryMerged:
        """The attempt as one commit on the head, as recorded where the head is still the same."""
        known, head = self._state.merged, await self._place.trunk.head()
        if known is not None and known.status == "unmerged":
            return known
        if known is not None and (known.onto == head or self._has_landed(known)):
            return known
        merged = await self._squashed(head)
        await self._place.tell(merged)
        failpoints.hit("ralph.merged")
        return merged

    def _has_landed(self, known: StoryMerged) -> bool:
        return self._place.landed.get(self._story.id) == known.commit

    async def _squashed(self, head: str) -> StoryMerged:
        ended = self._ended
        whole = await self._place.workspace.merge(ended.commit, self._subject, into=head)
        found = _Merge(commit=whole.commit)
        if whole.status == "conflict":
            found = await self._resolved(head, whole.conflicts)
        if not found.commit:
            return self._unmerged(head, found.conflicts, found.problem)
        entry = self._entry()
        commit = await self._place.trunk.squash(
            found.commit,
            head,
            trailers.story_message(self._story, self._place.options),
            await self._place.book.carried(self._story.id, entry),
        )
        if commit is None:
            return self._unmerged(head, (), "what it changed is there already")
        return StoryMerged(
            story=self._story.id,
            title=self._story.title,
            attempt=self._state.attempt,
            status="resolved" if whole.conflicts else "merged",
            commit=commit,
            onto=head,
            conflicts=whole.conflicts,
            entry=entry,
        )

    def _unmerged(self, head: str, conflicts: tuple[str, ...], problem: str) -> StoryMerged:
        words = problem
        if conflicts:
            words = (
                f"It conflicts with stories that passed meanwhile, in {', '.join(conflicts)}. "
                f"{problem}"
            ).strip()
        return StoryMerged(
            story=self._story.id,
            title=self._story.title,
            attempt=self._state.attempt,
            status="unmerged",
            onto=head,
            conflicts=conflicts,
            detail=words,
        )

    @property
    def _ended(self) -> AttemptEnded:
        ended = self._state.ended
        assert ended is not None
        return ended

    @property
    def _subject(self) -> str:
        return trailers.subject(self._story)

    def _entry(self) -> str:
        place, ended = self._place, self._ended
        return progress.entry(
            self._story,
            place.board.iterations,
            place.clock.now(),
            ended.result.text if ended.result else "",
            ended.files,
            place.options.run_id,
        )

    # -- conflicts --------------------------------------------------------------------------------

    async def _resolved(self, head: str, conflicts: tuple[str, ...]) -> _Merge:
        """Have an agent resolve it; two tries."""
        place, ended = self._place, self._ended
        id = f"{place.slug(self._story)}-{self._state.attempt}"
        tree = await place.workspace.start_merge(id, ended.commit, onto=head)
        report = ended.result.text if ended.result else ""
        first = prompts.conflict_request(self._story, conflicts, report)
        found, request = _Merge(conflicts=conflicts), first
        for number in range(1, _RESOLVER_TRIES + 1):
            found = await self._try(tree, head, request, number, conflicts)
            if found.commit:
                break
            request = prompts.conflict_again(first, found.conflicts, found.problem)
        await place.workspace.release(tree, keep=not found.commit)
        return found

    async def _try(
        self, tree: Tree, head: str, request: str, number: int, conflicts: tuple[str, ...]
    ) -> _Merge:
        place, ended = self._place, self._ended
        slug, attempt = place.slug(self._story), self._state.attempt
        spec = place.crew.resolver(self._story, slug, attempt, number, tree)
        turn = await place.tally.run(spec, request)
        refuse_unfinished(turn)
        if not turn.is_success:
            words = f"The resolver ended with {turn.outcome}: {turn.error}"
            return _Merge(conflicts=conflicts, problem=words)
        done = await place.workspace.finish_merge(tree, ended.commit, self._subject, onto=head)
        if done.status == "conflict":
            return _Merge(conflicts=done.conflicts, problem="Conflict markers were left.")
        return _Merge(commit=done.commit or ended.commit)

    # -- measures and gates -----------------------------------------------------------------------

    async def _measure(self, merged: StoryMerged) -> None:
        place = self._place
        commands = [command for _, command in place.prd.quality_checks.commands]
        diff = await place.trunk.changes(merged.onto, merged.commit)
        problems = weakened(diff, self._story, commands)
        if problems:
            words = "It weakens what it is measured by, which the story does not ask for:\n"
            await self._fail("measures", words + "\n".join(f"- {p}" for p in problems))
            return
        attempt, known = self._state.attempt, self._state.gates
        runs = await run_gates(place, self._story, attempt, merged.commit, known)
        if not all(run.passed for run in runs):
            report, digest = failures.gates_report(runs), failures.gates_digest(runs)
            await self._fail("gates", report, digest=digest, runs=runs)
            return
        failpoints.hit("ralph.gated")
        await place.trunk.advance(merged.commit, merged.onto)
        failpoints.hit("ralph.landed")
        await self._passed(merged)

    async def _passed(self, merged: StoryMerged) -> None:
        ended = self._ended
        said = without_markers(ended.result.text) if ended.result else ""
        await self._place.tell(
            StoryEnded(
                story=self._story.id,
                title=self._story.title,
                status="passed",
                attempt=self._state.attempt,
                detail=progress.shorten(said, _TOLD_CHARS),
                commit=merged.commit,
                files=ended.files,
                entry=merged.entry,
            )
        )
        failpoints.hit("ralph.passed")
        try:
            await self._place.book.passed(self._story.id, merged.entry)
        except (PrdError, PrdGoneError):
            raise  # that it passed is on record; nothing more is begun on a PRD that is not there
        except CodetetherError as error:  # tried again when the run ends
            self._place.publisher.emit(Warned(text=f"the PRD could not be saved: {error}"))
        failpoints.hit("ralph.saved")

    async def _fail(
        self, cause: Cause, detail: str, *, digest: str = "", runs: Sequence[GateRun] = ()
    ) -> None:
        ended = self._ended
        status: StoryStatus = "blocked" if self._state.is_last_chance else "failed"
        await self._place.tell(
            StoryEnded(
                story=self._story.id,
                title=self._story.title,
                status=status,
                attempt=self._state.attempt,
                cause=cause,
                detail=detail,
                digest=digest or failures.digest(cause, detail),
                commit=ended.commit,
                branch=ended.branch,
                files=ended.files,
            )
        )
        failpoints.hit("ralph.failed")
