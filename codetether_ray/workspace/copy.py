"""The workspace of a run outside git: the directory is copied, and a patch is given back.

A private repository, kept with the program's data, has the directory as its work tree. So trees,
commits and merges work as they do in git, and the directory itself gets no `.git`.
"""

import asyncio
import shutil
from dataclasses import replace
from pathlib import Path

from codetether_ray.core.errors import WorkspaceError
from codetether_ray.ports.sandbox import Sandbox
from codetether_ray.ports.workspace import Base, Commit, MergeOutcome, Tree
from codetether_ray.workspace.git import GitWorkspace, Ground, Start
from codetether_ray.workspace.git_command import Git
from codetether_ray.workspace.repository import Repository, require_git
from codetether_ray.workspace.snapshot import Limits

_LARGEST = 2_000_000_000
REPOSITORY = "repository"


class CopyWorkspace:
    """A `GitWorkspace` on a private repository below `copies_dir`, which belongs to this run."""

    def __init__(
        self,
        directory: Path,
        run_id: str,
        *,
        copies_dir: Path,
        worktrees_dir: Path,
        setup: str | None = None,
        copy: tuple[str, ...] = (),
        sandbox: Sandbox | None = None,
        date: str = "",
        limits: Limits | None = None,
        ports_dir: Path | None = None,
        hub: Path | None = None,
        set_aside: tuple[Path, ...] = (),
    ) -> None:
        self._directory = directory.resolve()
        git_dir = copies_dir.resolve() / REPOSITORY
        self._repository = Repository(
            root=self._directory, git_dir=git_dir, common_dir=git_dir, is_private=True
        )
        given = limits or Limits(total_bytes=_LARGEST)
        self._inner = GitWorkspace(
            self._directory,
            run_id,
            worktrees_dir=worktrees_dir,
            setup=setup,
            copy=copy,
            sandbox=sandbox,
            date=date,
            limits=replace(given, file_bytes=given.total_bytes),
            ports_dir=ports_dir,
            repository=self._repository,
            hub=hub,
            set_aside=set_aside,
        )
        self._making = asyncio.Lock()

    async def open(self) -> Base:
        """Copy the directory into the run's own repository, once.

        Raises:
            WorkspaceError: it is too large, or git refuses.
        """
        async with self._making:
            if not self._repository.git_dir.exists():
                await self._make_repository()
        base = await self._inner.open()
        note = f"{self._directory} is in no git repository: the result is a patch"
        return replace(base, head="", branch="", notes=(note, *base.notes))

    async def _make_repository(self) -> None:
        if not self._directory.is_dir():
            raise WorkspaceError(f"there is no directory {self._directory}")
        git_dir = self._repository.git_dir
        git_dir.parent.mkdir(parents=True, exist_ok=True)
        git = Git(work_tree=git_dir.parent)
        await require_git(git)
        draft = git_dir.with_name("draft")
        await asyncio.to_thread(shutil.rmtree, draft, ignore_errors=True)
        await git.run("init", "--bare", "--quiet", "--template=", "-b", "copy", str(draft))
        draft.rename(git_dir)

    async def start(self, id: str, parents: tuple[str, ...] = (), *, node: str = "") -> Tree:
        """See `GitWorkspace.start`."""
        await self.open()
        return await self._inner.start(id, parents, node=node)

    async def ground(self) -> Ground:
        """See `GitWorkspace.ground`."""
        await self.open()
        return await self._inner.ground()

    async def find(self, id: str) -> Tree | None:
        """See `GitWorkspace.find`."""
        return await self._inner.find(id)

    async def starting_point(self, id: str, parents: tuple[str, ...] = ()) -> Start:
        """See `GitWorkspace.starting_point`."""
        await self.open()
        return await self._inner.starting_point(id, parents)

    async def take_result(self, name: str, commit: str) -> None:
        """See `GitWorkspace.take_result`."""
        await self.open()
        await self._inner.take_result(name, commit)

    async def commit(self, tree: Tree, message: str) -> Commit:
        """See `GitWorkspace.commit`."""
        await self.open()
        return await self._inner.commit(tree, message)

    async def merge(self, theirs: str, message: str, *, into: str | None = None) -> MergeOutcome:
        """See `GitWorkspace.merge`."""
        await self.open()
        return await self._inner.merge(theirs, message, into=into)

    async def advance(self, commit: str) -> None:
        """See `GitWorkspace.advance`."""
        await self.open()
        await self._inner.advance(commit)

    async def start_merge(self, id: str, theirs: str, *, onto: str | None = None) -> Tree:
        """See `GitWorkspace.start_merge`."""
        await self.open()
        return await self._inner.start_merge(id, theirs, onto=onto)

    async def finish_merge(
        self, tree: Tree, theirs: str, message: str, *, onto: str | None = None
    ) -> MergeOutcome:
        """See `GitWorkspace.finish_merge`."""
        await self.open()
        return await self._inner.finish_merge(tree, theirs, message, onto=onto)

    async def release(self, tree: Tree, *, keep: bool) -> str | None:
        """See `GitWorkspace.release`."""
        await self.open()
        return await self._inner.release(tree, keep=keep)

    async def head(self) -> str:
        """The commit of the result in the private repository."""
        await self.open()
        return await self._inner.head()

    async def main_branch(self) -> str:
        """Empty: there is no branch that the user could see."""
        return ""

    async def diffstat(self) -> str:
        """What changed, file by file; empty if nothing did."""
        await self.open()
        return await self._inner.diffstat()

    async def patch(self) -> str:
        """The whole change as a unified diff, for `git apply` or `patch -p1`."""
        await self.open()
        return await self._inner.patch()

    async def deliver(self) -> str:
        """Write the result into the directory, if nobody changed it since.

        Raises:
            WorkspaceError: it changed, or a file would be overwritten; nothing was changed.
        """
        await self.open()
        return await self._inner.deliver()
