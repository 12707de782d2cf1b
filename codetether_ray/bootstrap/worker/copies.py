"""A copy of a codebase for one task: a git worktree, whose edits become a branch."""

import asyncio
import os
import secrets
import shutil
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from codetether_ray.core.ids import slug
from codetether_ray.workspace.commits import EMPTY, commit_tree, move_ref, resolve, tree_of
from codetether_ray.workspace.git_command import Git
from codetether_ray.workspace.repository import Repository, find_repository

_ROOM = ("worker", "trees")
"""In the data directory; each copy's name ends with its process's id and host."""
BRANCHES = "codetether/worker"
"""What the branches' names begin with."""


@dataclass(slots=True, kw_only=True)
class Copy:
    """Where a task works."""

    directory: Path
    is_copy: bool = False
    _git: Git | None = None
    _base: str = ""
    _ref: str = ""

    async def keep(self, message: str) -> str:
        """Put what was changed on a branch; its name, or nothing where nothing was changed."""
        if self._git is None:
            return ""
        await self._git.run("add", "--all", "--", ".")
        tree = await self._git.text("write-tree")
        if tree == await tree_of(self._git, self._base):
            return ""
        commit = await commit_tree(self._git, tree, (self._base,), message)
        await move_ref(self._git, f"refs/heads/{self._ref}", commit, "")
        return self._ref


@asynccontextmanager
async def copied(codebase: Path, task_id: str, data_dir: Path) -> AsyncIterator[Copy]:
    """A worktree of the commit that is checked out; removed at the end, but for its branch.

    Where the directory is in no repository, or one without a commit, it is given as it is.

    Raises:
        WorkspaceError: git says no.
    """
    repository = await find_repository(codebase)
    base = EMPTY
    if repository is not None:
        base = await resolve(_git_of(repository), "HEAD")
    if repository is None or base == EMPTY:
        yield Copy(directory=codebase)
        return
    name = f"{slug(task_id, 60)}-{secrets.token_hex(4)}"
    room = data_dir.joinpath(*_ROOM)
    await asyncio.to_thread(room.mkdir, mode=0o700, parents=True, exist_ok=True)
    tree = room / f"{name}.{os.getpid()}.{slug(socket.gethostname())}"
    git = _git_of(repository)
    await git.run("worktree", "add", "--detach", "--", str(tree), base)
    try:
        own = Path(await Git(work_tree=tree).text("rev-parse", "--absolute-git-dir"))
        yield Copy(
            directory=tree / repository.prefix,
            is_copy=True,
            _git=Git(work_tree=tree, git_dir=own),
            _base=base,
            _ref=f"{BRANCHES}/{name}",
        )
    finally:
        await asyncio.shield(_removed(git, tree))


def clear_lost(data_dir: Path) -> None:
    """Remove copies whose worker was killed. Git forgets them when it tidies up."""
    here = slug(socket.gethostname())
    for tree in data_dir.joinpath(*_ROOM).glob("*.*.*"):
        _, pid, host = tree.name.split(".")
        if host == here and pid.isdigit() and not Path("/proc", pid).exists():
            shutil.rmtree(tree, ignore_errors=True)


async def _removed(git: Git, tree: Path) -> None:
    await git.run("worktree", "remove", "--force", "--", str(tree), allow=(0, 128))
    await asyncio.to_thread(shutil.rmtree, tree, ignore_errors=True)


def _git_of(repository: Repository) -> Git:
    return Git(work_tree=repository.root, git_dir=repository.git_dir)
