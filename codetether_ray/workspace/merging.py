"""The run's main branch: moved by merges that need no checkout, one after the other."""

import asyncio
from dataclasses import replace

from codetether_ray.core import failpoints
from codetether_ray.core.errors import WorkspaceError
from codetether_ray.ports.workspace import MergeOutcome
from codetether_ray.workspace.commits import (
    commit_tree,
    is_ancestor,
    merge_trees,
    move_ref,
    resolve,
)
from codetether_ray.workspace.git_command import Git, shown

_TRIES = 5


async def merge_commits(git: Git, ours: str, theirs: str, message: str) -> MergeOutcome:
    """A merge commit of two commits, on no branch."""
    if await is_ancestor(git, theirs, ours):
        return MergeOutcome(status="already", commit=ours)
    tree, conflicts = await merge_trees(git, ours, theirs)
    if conflicts:
        return MergeOutcome(status="conflict", conflicts=shown(conflicts))
    commit = await commit_tree(git, tree, (ours, theirs), message)
    return MergeOutcome(status="merged", commit=commit)


class MainBranch:
    """The branch `name`, which comes to be with its first merge, on top of `base`."""

    def __init__(self, git: Git, name: str, base: str) -> None:
        self._git = git
        self._ref = f"refs/heads/{name}"
        self._base = base
        self._lock = asyncio.Lock()
        self._known: str | None = None  # where it stood when we saw it last; "" if it was not

    async def head(self) -> str:
        """Its commit; the base if nothing was merged."""
        return await self._commit() or self._base

    async def merge(self, theirs: str, message: str) -> MergeOutcome:
        """Merge `theirs` into it.

        Raises:
            WorkspaceError: another process keeps moving it.
        """
        async with self._lock:
            for _ in range(_TRIES):
                old = self._known if self._known is not None else await self._commit()
                outcome = await merge_commits(self._git, old or self._base, theirs, message)
                if outcome.status == "merged" and await self._move(outcome.commit, old):
                    return outcome
                if outcome.status == "already":
                    made = await self._made(outcome.commit, theirs, message)
                    outcome = replace(outcome, message=made)
                if outcome.status != "merged" and old == await self._commit():
                    return outcome
                self._known = None
        raise WorkspaceError(f"{self._ref} keeps moving: another process merges into it too")

    async def advance(self, commit: str) -> None:
        """Move on to `commit`, which stands on where it is; again is as once.

        Raises:
            WorkspaceError: it does not stand on it, or another process moves the branch.
        """
        async with self._lock:
            old = await self._commit()
            if await is_ancestor(self._git, commit, old or self._base):
                return
            if not await is_ancestor(self._git, old or self._base, commit):
                raise WorkspaceError(f"{commit[:10]} does not stand on {self._ref}")
            if not await self._move(commit, old):
                raise WorkspaceError(f"{self._ref} moved meanwhile: another process works on it")

    async def take(self, resolved: MergeOutcome, ours: str, message: str) -> MergeOutcome:
        """Move on to a merge that somebody resolved on top of `ours`.

        If the branch has left `ours` meanwhile, the resolved merge is merged in its turn.
        """
        async with self._lock:
            old = await self._commit()
            if (old or self._base) == ours and await self._move(resolved.commit, old):
                return resolved
        return await self.merge(resolved.commit, message)

    async def _made(self, ours: str, theirs: str, message: str) -> str:
        """What the merge of `theirs` says that an earlier try made under the same first line."""
        out = await self._git.run(
            "log", "--merges", "--format=%P%n%B", "-z", f"{self._base}..{ours}"
        )  # fmt: skip
        subject = message.partition("\n")[0]
        for part in out.parts:
            parents, _, body = part.partition("\n")
            if theirs in parents.split() and body.partition("\n")[0] == subject:
                return body
        return ""

    async def _commit(self) -> str:
        self._known = await resolve(self._git, self._ref)
        return self._known

    async def _move(self, new: str, old: str) -> bool:
        failpoints.hit("merge.before_swap")
        is_moved = await move_ref(self._git, self._ref, new, old)
        failpoints.hit("merge.swapped")
        self._known = new if is_moved else None
        return is_moved
