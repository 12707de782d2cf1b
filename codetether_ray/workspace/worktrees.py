"""Linked worktrees of one run: made, found again, taken away; never by force."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from codetether_ray.core.errors import WorkspaceError
from codetether_ray.workspace.git_command import Git, shorten
from codetether_ray.workspace.locks import RepositoryLock
from codetether_ray.workspace.records import (
    TreeRecord,
    read_record,
    tree_record_path,
    write_record,
)
from codetether_ray.workspace.repository import Repository
from codetether_ray.workspace.status import read_status

_LOCKED = "locked"
"""The file that `git worktree lock` writes, with the reason in it."""


@dataclass(frozen=True, slots=True)
class Place:
    """A worktree on disk: its files, and git's own directory for it."""

    root: Path
    git_dir: Path

    def record(self) -> TreeRecord | None:
        """What is known of it."""
        return read_record(TreeRecord, tree_record_path(self.git_dir))

    def write(self, record: TreeRecord) -> None:
        """Note what is known of it."""
        write_record(tree_record_path(self.git_dir), record)

    def prepared(self, record: TreeRecord, **changes: object) -> TreeRecord:
        """Note a record with some members changed; return it."""
        changed = replace(record, **changes)  # type: ignore[arg-type]
        self.write(changed)
        return changed


class Worktrees:
    """Worktrees below one directory. Each is locked from its start to its removal."""

    def __init__(
        self, git: Git, repository: Repository, directory: Path, lock: RepositoryLock, reason: str
    ) -> None:
        self._git = git
        self._repository = repository
        self._directory = directory.resolve()
        self._lock = lock
        self._reason = reason

    def git(self, place: Place) -> Git:
        """Git on a worktree."""
        return self._git.at(place.root, place.git_dir)

    def find(self, name: str) -> Place | None:
        """The worktree of that name, if its files are there."""
        root = self._directory / name
        if not root.is_dir():
            return None
        git_dir = _pointed_to(root) or next(
            (d for d, r in admin_directories(self._repository.common_dir) if r == root), None
        )
        return None if git_dir is None else Place(root, git_dir)

    async def add(self, name: str, branch: str, commit: str) -> Place:
        """Make a worktree on a new branch at `commit`, or on the branch if it exists.

        Only the registration is serialised; files are checked out side by side.
        """
        place = self.find(name)
        if place is None:
            async with self._lock.held():
                await self._register(self._directory / name, branch, commit)
            place = self.find(name)
        if place is None:
            raise WorkspaceError(f"git made no worktree at {self._directory / name}")
        if not (place.git_dir / "index").exists():
            (place.git_dir / "index.lock").unlink(missing_ok=True)  # of a checkout cut off
            await self.git(place).run("reset", "--hard", "--quiet")
        return place

    async def _register(self, root: Path, branch: str, commit: str) -> None:
        self._directory.mkdir(parents=True, exist_ok=True)
        if not root.exists():
            await self._forget_lost(root)
        add = ("worktree", "add", "--quiet", "--no-checkout", "--lock", "--reason", self._reason)
        new = await self._git.run(*add, "-b", branch, str(root), commit, allow=(0, 128, 255))
        if "already exists" in new.stderr:
            await self._git.run(*add, str(root), branch)
        elif new.code:
            raise WorkspaceError(f"git worktree add failed: {shorten(new.stderr)}")

    async def _forget_lost(self, root: Path) -> None:
        """Take away git's entry of a worktree whose directory somebody deleted."""
        for git_dir, known in admin_directories(self._repository.common_dir):
            if known == root:
                (git_dir / _LOCKED).unlink(missing_ok=True)
                await self._git.run("worktree", "remove", str(root))

    async def remove(self, place: Place) -> None:
        """Take a worktree away, if it is clean.

        It is moved aside first, so that nobody writes into it any more, and looked at again; its
        files are deleted when the repository's lock is free for others.

        Raises:
            WorkspaceError: it is not clean, or git refuses; the worktree is as it was.
        """
        aside = place.root.with_name(f".{place.root.name}.removed")
        if place.root.exists():
            place.root.rename(aside)
        try:
            if aside.exists():
                await self._refuse_unless_clean(aside, place.git_dir)
            await self._unregister(place)
        except BaseException:
            if aside.exists() and place.git_dir.exists():
                aside.rename(place.root)
            raise
        await _delete(aside)

    async def _refuse_unless_clean(self, aside: Path, git_dir: Path) -> None:
        """Submodules are left out: they know their own place, which is another now."""
        status = await read_status(self._git.at(aside, git_dir), submodules=False)
        if status.changes:
            raise WorkspaceError("something was written into it at this very moment")

    async def _unregister(self, place: Place) -> None:
        locked = place.git_dir / _LOCKED
        async with self._lock.held():
            locked.unlink(missing_ok=True)
            try:
                await self._git.run("worktree", "remove", str(place.root))
            finally:
                if place.git_dir.exists():
                    locked.write_text(self._reason)


def admin_directories(common_dir: Path) -> Iterator[tuple[Path, Path]]:
    """Git's directory of each linked worktree, and the worktree's root (it may be gone)."""
    try:
        entries = sorted((common_dir / "worktrees").iterdir())
    except OSError:
        return
    for entry in entries:
        try:
            dot_git = Path((entry / "gitdir").read_text("utf-8").strip())
        except OSError:
            continue
        yield entry, dot_git.parent


async def _delete(directory: Path) -> None:
    """Many files: `rm` does it at a tenth of the cost, and outside this process."""
    quiet = asyncio.subprocess.DEVNULL
    process = await asyncio.create_subprocess_exec(
        "rm", "-rf", "--", str(directory), stdin=quiet, stdout=quiet, stderr=quiet
    )
    await process.wait()


def _pointed_to(root: Path) -> Path | None:
    """What the worktree's `.git` file says, if it is whole."""
    try:
        words = (root / ".git").read_text("utf-8").strip()
    except (OSError, ValueError):
        return None
    git_dir = Path(words.removeprefix("gitdir: "))
    return git_dir if (git_dir / "gitdir").is_file() else None
