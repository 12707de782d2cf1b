"""A node's clones of the repositories that runs brought here: one per repository, bare, shared.

`<data>/repos/<id>.git`, where `<id>` follows from the repository's first commits alone: whoever
works on it, from wherever, meets in the same clone, and only commits that it lacks travel. What
came for a run is kept by refs of the run, and after the run its base stays, for the next one to
build on. A clone in which somebody works is never taken away; of the others the one that was
used last stays longest, within a limit of bytes.
"""

import asyncio
import hashlib
import os
import shutil
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from codetether_ray.core.errors import WorkspaceError
from codetether_ray.workspace.git_command import Git
from codetether_ray.workspace.locks import RepositoryLock
from codetether_ray.workspace.names import ref_of, run_slug
from codetether_ray.workspace.outpost import came_ref
from codetether_ray.workspace.records import ROOM
from codetether_ray.workspace.repository import Repository, require_git
from codetether_ray.workspace.transport import (
    clear_unfinished,
    is_whole,
    present,
    take_in,
    tips,
)
from codetether_ray.workspace.worktrees import admin_directories

REPOS = "repos"
"""Directory below a node's data directory."""
LIMIT_BYTES = 20_000_000_000
"""What all clones of a node together may take, as far as nobody works in them."""

_KEPT = f"refs/{ROOM}-kept"
_KEPT_BASES = 8
_LIVE_S = 24 * 3600.0
"""A run of which nothing was heard for a day, and which has no worktree, holds nothing."""
_PACKS = 50
_SETTINGS = (
    ("gc.auto", "0"),
    ("maintenance.auto", "false"),
    ("core.fsync", "all"),
    ("transfer.unpackLimit", "100"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """A repository as it is known on every node."""

    id: str
    """A digest of the first commits of its history."""
    kind: str = "sha1"
    """What its objects are named by."""
    edge: tuple[str, ...] = ()
    """Commits behind which a shallow clone has no history."""


async def origin_of(git: Git, repository: Repository, commit: str) -> Origin:
    """What the repository that `commit` is in is known by."""
    out = await git.text("rev-list", "--max-parents=0", commit)
    kind = await git.text("rev-parse", "--show-object-format")
    roots = "\n".join(sorted(out.splitlines()))
    id = hashlib.sha256(f"{kind}\n{roots}".encode()).hexdigest()[:32]
    edge = repository.common_dir / "shallow"
    shallow = edge.read_text("ascii").split() if edge.exists() else ()
    return Origin(id=id, kind=kind, edge=tuple(sorted(shallow)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Clone:
    """A clone as it is found. `is_used`: somebody works in it."""

    id: str
    path: Path
    size: int
    used_at: float
    is_used: bool


class Clones:
    """The clones below one data directory."""

    def __init__(self, data_dir: Path, *, limit_bytes: int = LIMIT_BYTES) -> None:
        self._folder = data_dir / REPOS
        self._limit = limit_bytes

    def path(self, id: str) -> Path:
        """Where a clone is, or would be.

        Raises:
            WorkspaceError: that is no id.
        """
        if not id.isalnum():
            raise WorkspaceError(f"{id!r} names no repository")
        return self._folder / f"{id}.git"

    def repository(self, id: str, prefix: str = "") -> Repository:
        """A clone as a repository that runs work in."""
        path = self.path(id)
        return Repository(root=path, git_dir=path, common_dir=path, prefix=prefix, is_private=True)

    def git(self, id: str) -> Git:
        """Git on a clone."""
        path = self.path(id)
        return Git(work_tree=path, git_dir=path)

    async def lacking(self, id: str, wanted: Sequence[str]) -> tuple[str, ...]:
        """Those commits that a clone does not have, with all that they need."""
        if not (self.path(id) / "HEAD").exists():
            return tuple(wanted)
        git, known = self.git(id), await self.have(id)
        here = await present(git, wanted)
        whole = {oid for oid in here if oid in known or await is_whole(git, oid, known)}
        return tuple(oid for oid in wanted if oid not in whole)

    async def have(self, id: str) -> tuple[str, ...]:
        """Commits that need not travel: those that refs keep."""
        return await tips(self.git(id)) if (self.path(id) / "HEAD").exists() else ()

    async def take(
        self, id: str, run_id: str, pack: Path, wanted: Sequence[str], origin: Origin
    ) -> None:
        """Bring what came for a run into the clone, made if it is not there, and keep it by refs.

        Raises:
            WorkspaceError: the pack is broken or not complete, git refuses, the disk is full.
        """
        async with self.held(id):
            await self._make(id, origin.kind)
            git = self.git(id)
            if origin.edge:
                await asyncio.to_thread(_add_edge, self.path(id), origin.edge)
            await take_in(git, pack, wanted, await tips(git))
            await self._hold(id, run_id, wanted)

    async def hold(self, id: str, run_id: str, wanted: Sequence[str]) -> None:
        """Keep commits that are there for a run, too."""
        async with self.held(id):
            await self._hold(id, run_id, wanted)

    async def _hold(self, id: str, run_id: str, wanted: Sequence[str]) -> None:
        lines = "".join(f"update {came_ref(run_id, oid)} {oid}\n" for oid in wanted)
        await self.git(id).run("update-ref", "--stdin", stdin=lines.encode(), durable=True)
        await asyncio.to_thread(self.touch, id, run_id)

    async def forget_run(self, id: str, run_id: str) -> None:
        """Let go of what a run brought; its base stays, as ground for the next."""
        async with self.held(id):
            git, slug = self.git(id), run_slug(run_id)
            base = await git.run(
                "rev-parse", "--verify", "--quiet", ref_of(slug, "base"), allow=(0, 1)
            )
            if base.text:
                await git.run("update-ref", f"{_KEPT}/{time.time_ns():020}", base.text)
            kept = (await git.text("for-each-ref", "--format=%(refname)", f"{_KEPT}/")).splitlines()
            gone = (
                await git.text(
                    "for-each-ref", "--format=%(refname)", f"refs/{ROOM}/{slug}/",
                    f"refs/heads/{ROOM}/{slug}/",
                )
            ).splitlines()  # fmt: skip
            lines = "".join(f"delete {ref}\n" for ref in (*gone, *kept[:-_KEPT_BASES]))
            await git.run("update-ref", "--stdin", stdin=lines.encode())
            for place in self.path(id).glob(f"{ROOM}/{slug}.*"):
                place.unlink(missing_ok=True)
            await asyncio.to_thread(self.touch, id)

    # -- keeping house ----------------------------------------------------------------------------

    async def tidy(self) -> tuple[Clone, ...]:
        """Take clones away until the rest is within the limit, the oldest first; which they were.

        Clones of many packs are packed anew while nobody works in them.
        """
        found = await asyncio.to_thread(self.all)
        size, gone = sum(clone.size for clone in found), []
        for clone in sorted(found, key=lambda c: c.used_at):
            if size <= self._limit:
                break
            if not clone.is_used and await self.remove(clone.id):
                size -= clone.size
                gone.append(clone)
        for clone in found:
            if not clone.is_used and clone not in gone:
                await self._repack(clone)
        return tuple(gone)

    async def remove(self, id: str) -> bool:
        """Take a clone away, unless somebody works in it."""
        path = self.path(id)
        async with self.held(id):
            if await asyncio.to_thread(self._is_used, path):
                return False
            going = path.with_name(f".{id}.removed")
            await asyncio.to_thread(shutil.rmtree, going, ignore_errors=True)
            with suppress(FileNotFoundError):
                path.rename(going)
            await asyncio.to_thread(shutil.rmtree, going, ignore_errors=True)
        return True

    def all(self) -> tuple[Clone, ...]:
        """What is there."""
        return tuple(self._look())

    def _look(self) -> Iterator[Clone]:
        for path in sorted(self._folder.glob("[!.]*.git")):
            mark = path / ROOM / "used"
            with suppress(OSError):
                yield Clone(
                    id=path.stem,
                    path=path,
                    size=_size(path),
                    used_at=(mark if mark.exists() else path).stat().st_mtime,
                    is_used=self._is_used(path),
                )

    def touch(self, id: str, run_id: str = "") -> None:
        """Note that a clone is used, by a run."""
        room = self.path(id) / ROOM
        room.mkdir(exist_ok=True)
        (room / "used").touch()
        if run_id:
            (room / f"{run_slug(run_id)}.live").touch()

    @asynccontextmanager
    async def held(self, id: str) -> AsyncIterator[None]:
        """One writer at a time, among all processes of the node."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = RepositoryLock(self._folder / f".{id}.lock", timeout_s=900.0)
        async with lock.held():
            yield

    def _is_used(self, path: Path) -> bool:
        if any(root.exists() for _, root in admin_directories(path)):
            return True
        if any((path / ROOM).glob("*.home")):
            return True
        limit = time.time() - _LIVE_S
        return any(mark.stat().st_mtime > limit for mark in (path / ROOM).glob("*.live"))

    async def _repack(self, clone: Clone) -> None:
        await clear_unfinished(clone.path / "objects")
        if len(list((clone.path / "objects" / "pack").glob("*.pack"))) < _PACKS:
            return
        async with self.held(clone.id):
            if not await asyncio.to_thread(self._is_used, clone.path):
                await self.git(clone.id).run("repack", "-a", "-d", "-q", durable=True)

    async def _make(self, id: str, kind: str) -> None:
        path = self.path(id)
        if (path / "HEAD").exists():
            return
        draft = path.with_name(f".{id}.{os.getpid()}")
        try:
            shutil.rmtree(draft, ignore_errors=True)
            git = Git(work_tree=self._folder)
            await require_git(git)
            await git.run(
                "init", "--bare", "--quiet", "--template=", "-b", "none",
                f"--object-format={kind}", str(draft),
            )  # fmt: skip
            with (draft / "config").open("a", encoding="utf-8") as config:
                for name, value in _SETTINGS:
                    room, _, key = name.partition(".")
                    config.write(f"[{room}]\n\t{key} = {value}\n")
            draft.rename(path)
        except OSError as error:
            raise WorkspaceError(f"{path} cannot be made: {error.strerror}") from error


def _add_edge(path: Path, shallow: Sequence[str]) -> None:
    """Note behind which commits there is no history, as git does."""
    edge = path / "shallow"
    known = set(edge.read_text("ascii").split()) if edge.exists() else set()
    draft = edge.with_name("shallow.new")
    draft.write_text("".join(f"{oid}\n" for oid in sorted(known | set(shallow))), "ascii")
    draft.rename(edge)


def _size(path: Path) -> int:
    size = 0
    for place in path.rglob("*"):
        with suppress(OSError):
            size += place.lstat().st_size
    return size
