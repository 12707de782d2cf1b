"""Brings the subtasks' commits together; conflicts go to a resolver agent."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from codetether_ray.agent.tally import Tally
from codetether_ray.core import failpoints
from codetether_ray.core.errors import CodetetherError, WorkspaceError
from codetether_ray.core.events import SubtaskMerged
from codetether_ray.ports.publisher import Publisher
from codetether_ray.ports.workspace import MergeOutcome, Tree, Workspace
from codetether_ray.swarm import prompts, trailers
from codetether_ray.swarm.crew import Crew
from codetether_ray.swarm.plan import Subtask
from codetether_ray.swarm.recording import record_whole
from codetether_ray.swarm.result import SubtaskResult


@dataclass(frozen=True, slots=True, kw_only=True)
class _Conflict:
    """A merge to be resolved: of `theirs` into the run's main branch, or onto a commit.

    `id` names the tree and the resolver.
    """

    id: str
    subtask: str
    theirs: str
    message: str
    request: str
    onto: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Resolved:
    commit: str = ""
    conflicts: tuple[str, ...] = ()
    problem: str = ""
    """Why there is no commit."""


class Merger:
    """Merges one after another, in the order of the calls: the trees depend on that order alone."""

    def __init__(
        self,
        task: str,
        crew: Crew,
        tally: Tally,
        workspace: Workspace,
        publisher: Publisher,
        *,
        setbacks: Mapping[str, int] | None = None,
    ) -> None:
        """`setbacks`: how often earlier runs of this swarm gave a subtask up, by its id."""
        self._task = task
        self._crew = crew
        self._tally = tally
        self._workspace = workspace
        self._publisher = publisher
        self._setbacks = setbacks or {}

    async def land(self, result: SubtaskResult) -> SubtaskResult:
        """Merge a completed subtask into the run's main branch; what cannot be is told."""
        try:
            landed = await self._land(result)
        except CodetetherError as error:
            landed = replace(result, merge="unmerged", error=_kept(result, str(error)))
        await record_whole(
            self._publisher,
            SubtaskMerged(
                id=landed.subtask.id,
                name=landed.subtask.name,
                status=landed.merge or "unmerged",
                commit=landed.commit,
                conflicts=landed.conflicts,
                detail=landed.error if landed.merge == "unmerged" else "",
            ),
        )
        failpoints.hit("merge.recorded")
        return landed

    async def _land(self, result: SubtaskResult) -> SubtaskResult:
        if not result.files:
            return replace(result, merge="empty")
        subtask = result.subtask
        message = trailers.merge_message(subtask, self._crew.swarm_id)
        merged = await self._workspace.merge(result.commit, message)
        if merged.status != "conflict":
            resolved_paths = trailers.resolved_in(merged.message)
            if resolved_paths:  # before a crash, which kept it from being recorded
                return replace(result, merge="resolved", conflicts=resolved_paths)
            return replace(result, merge="merged")
        report = result.turn.text if result.turn else ""
        resolved = await self._resolve(
            _Conflict(
                id=subtask.id,
                subtask=subtask.id,
                theirs=result.commit,
                message=trailers.resolved_message(message, merged.conflicts),
                request=prompts.conflict_request(self._task, subtask, merged.conflicts, report),
            )
        )
        if resolved.commit:
            return replace(result, merge="resolved", conflicts=merged.conflicts)
        left = resolved.conflicts or merged.conflicts
        error = _kept(result, f"conflicts in {', '.join(left)}. {resolved.problem}".strip())
        return replace(result, merge="unmerged", conflicts=left, error=error)

    async def join(self, subtask: Subtask, parents: tuple[str, ...]) -> str:
        """One commit that merges conflicting `parents`, in order, conflicts resolved.

        Raises:
            WorkspaceError: a conflict stayed.
        """
        joined = parents[0]
        for number, parent in enumerate(parents[1:], 1):
            message = f"Join what {subtask.name} builds on\n"
            merged = await self._workspace.merge(parent, message, into=joined)
            if merged.status == "conflict":
                joined = await self._join_one(subtask, number, parent, joined, message, merged)
            else:
                joined = merged.commit or joined
        return joined

    async def _join_one(
        self,
        subtask: Subtask,
        number: int,
        parent: str,
        onto: str,
        message: str,
        merged: MergeOutcome,
    ) -> str:
        resolved = await self._resolve(
            _Conflict(
                id=f"{subtask.id}/parents-{number}",
                subtask=subtask.id,
                theirs=parent,
                message=message,
                request=prompts.parents_request(self._task, subtask, merged.conflicts),
                onto=onto,
            )
        )
        if not resolved.commit:
            files = ", ".join(resolved.conflicts or merged.conflicts)
            raise WorkspaceError(
                f'what "{subtask.name}" builds on conflicts in {files}. {resolved.problem}'.strip()
            )
        return resolved.commit

    async def _resolve(self, conflict: _Conflict) -> _Resolved:
        """Two tries, and one more for each time that the swarm was resumed in vain.

        Tries of earlier runs are answered from the journal.
        """
        tree = await self._workspace.start_merge(conflict.id, conflict.theirs, onto=conflict.onto)
        resolved = await self._try(conflict, tree, conflict.request, 1)
        for number in range(2, 3 + self._setbacks.get(conflict.subtask, 0)):
            if resolved.commit:
                break
            request = prompts.conflict_again(conflict.request, resolved.conflicts, resolved.problem)
            resolved = await self._try(conflict, tree, request, number)
        await self._workspace.release(tree, keep=not resolved.commit)
        return resolved

    async def _try(self, conflict: _Conflict, tree: Tree, request: str, number: int) -> _Resolved:
        spec = self._crew.resolver(conflict.id, tree, number)
        try:
            turn = await self._tally.run(spec, request)
        except CodetetherError as error:
            return _Resolved(problem=f"The resolver could not run: {error}")
        if not turn.is_success:
            return _Resolved(problem=f"The resolver ended with {turn.outcome}: {turn.error}")
        done = await self._workspace.finish_merge(
            tree, conflict.theirs, conflict.message, onto=conflict.onto
        )
        if done.status == "conflict":
            return _Resolved(conflicts=done.conflicts, problem="Conflict markers were left.")
        return _Resolved(commit=done.commit or conflict.theirs)


def _kept(result: SubtaskResult, why: str) -> str:
    return f"not merged: {why.rstrip('.')}; the work is on branch {result.branch or result.commit}"
