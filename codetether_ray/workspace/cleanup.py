"""Taking away what finished runs left behind, and nothing that exists nowhere else.

A worktree goes if all its work is committed on its branch; a branch if its commits are in
another one that stays; what is kept is named with the reason.
"""

import contextlib
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from codetether_ray.core.errors import WorkspaceError
from codetether_ray.workspace.commits import resolve, tree_of
from codetether_ray.workspace.git_command import Git
from codetether_ray.workspace.hub_cleanup import OldHub, ReasonToKeep, clean_hubs
from codetether_ray.workspace.locks import RepositoryLock
from codetether_ray.workspace.names import MAIN, branch_of, split_branch
from codetether_ray.workspace.records import ROOM, RunRecord, TreeRecord, read_record
from codetether_ray.workspace.records import run_record_path as record_path
from codetether_ray.workspace.release import drop_environment, reason_to_keep
from codetether_ray.workspace.repository import Repository
from codetether_ray.workspace.snapshot import Limits
from codetether_ray.workspace.worktrees import Place, Worktrees, admin_directories

IsFinished = Callable[[str], bool]
"""Whether the run of that id has ended for good (an interrupted one can be resumed)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Leftover:
    """A worktree of ours."""

    id: str
    branch: str
    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """Something that stays, and why."""

    what: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Cleanup:
    """What was, or would be, removed, and what stays."""

    worktrees: tuple[Leftover, ...] = ()
    branches: tuple[str, ...] = ()
    hubs: tuple[OldHub, ...] = ()
    kept: tuple[Kept, ...] = ()
    clones: tuple[tuple[str, int], ...] = ()
    """Paths and bytes of clones that nobody uses and that are beyond the limit."""

    @property
    def is_empty(self) -> bool:
        """Whether nothing was, or would be, removed."""
        return not (self.worktrees or self.branches or self.hubs or self.clones)

    def __add__(self, other: "Cleanup") -> "Cleanup":
        return Cleanup(
            worktrees=self.worktrees + other.worktrees,
            branches=self.branches + other.branches,
            hubs=self.hubs + other.hubs,
            kept=self.kept + other.kept,
            clones=self.clones + other.clones,
        )


@dataclass(slots=True)
class _Found:
    """A `Cleanup` in the making, with branches and runs that stay because a worktree does."""

    worktrees: list[Leftover] = field(default_factory=list)
    branches: list[str] = field(default_factory=list)
    kept: list[Kept] = field(default_factory=list)
    in_use: set[str] = field(default_factory=set)
    busy: set[str] = field(default_factory=set)

    def done(self) -> Cleanup:
        return Cleanup(
            worktrees=tuple(self.worktrees), branches=tuple(self.branches), kept=tuple(self.kept)
        )


async def clean(
    repository: Repository,
    is_finished: IsFinished,
    *,
    dry_run: bool,
    can_go_on: IsFinished = lambda _: False,
) -> Cleanup:
    """Clean one repository, or (`dry_run`) say what would be done.

    Of a finished run that `can_go_on` what it began from is kept: else it would begin elsewhere.
    """
    return await _Cleaner(repository, is_finished, can_go_on, dry_run=dry_run).clean()


async def clean_copies(copies_dir: Path, is_finished: IsFinished, *, dry_run: bool) -> Cleanup:
    """The same for the private repositories of runs outside git; emptied ones go as a whole."""
    total = Cleanup()
    for repository, record in _copies(copies_dir):
        found = await clean(repository, is_finished, dry_run=dry_run)
        total += found
        if not dry_run and not found.kept and is_finished(record.run_id):
            shutil.rmtree(repository.git_dir.parent)
    return total


async def clean_kept_trees(
    data_dir: Path, reason_to_keep: ReasonToKeep, *, dry_run: bool
) -> Cleanup:
    """The same for the trees that were kept of each step; `reason_to_keep` judges by the run."""
    done = await clean_hubs(data_dir, reason_to_keep, dry_run=dry_run)
    kept = tuple(Kept(what=what, reason=reason) for what, reason in done.kept)
    return Cleanup(hubs=done.hubs, kept=kept)


class _Cleaner:
    def __init__(
        self,
        repository: Repository,
        is_finished: IsFinished,
        can_go_on: IsFinished,
        *,
        dry_run: bool,
    ) -> None:
        self._can_go_on = can_go_on
        self._repository = repository
        self._git = Git(work_tree=repository.root, git_dir=repository.git_dir)
        self._is_finished = is_finished
        self._is_dry = dry_run
        self._found = _Found()

    async def clean(self) -> Cleanup:
        for place, record in _our_worktrees(self._repository.common_dir):
            await self._worktree(place, record)
        branches = await self._branches()
        self._found.in_use |= await self._checked_out()
        records = (self._repository.common_dir / ROOM).glob("*.json")
        slugs = {parts[0] for b in branches if (parts := split_branch(b))}
        for slug in sorted(slugs | {path.stem for path in records}):
            own = {b: oid for b, oid in branches.items() if (split_branch(b) or ("",))[0] == slug}
            await self._run(slug, own)
        return self._found.done()

    def _reason_for_run(self, slug: str) -> str | None:
        record = read_record(RunRecord, record_path(self._repository.common_dir, slug))
        if record is None:
            return "nothing is known of its run"
        if not self._is_finished(record.run_id):
            return f"its run {record.run_id} is not finished"
        return None

    # -- worktrees --------------------------------------------------------------------------------

    async def _worktree(self, place: Place, record: TreeRecord) -> None:
        slug = (split_branch(record.branch) or ("",))[0]
        git = self._git.at(place.root, place.git_dir)
        is_there = place.root.is_dir()
        reason = self._reason_for_run(slug)
        if reason is None and is_there:
            reason = await reason_to_keep(git, record, Limits().file_bytes)
        if reason is None and not self._is_dry:
            try:
                await self._remove(place, record, git if is_there else None)
            except (WorkspaceError, OSError) as error:
                reason = str(error)
        if reason is None:
            self._found.worktrees.append(
                Leftover(id=record.id, branch=record.branch, path=str(place.root))
            )
        else:
            self._found.in_use.add(record.branch)
            self._found.busy.add(slug)
            self._found.kept.append(Kept(what=str(place.root), reason=reason))

    async def _remove(self, place: Place, record: TreeRecord, git: Git | None) -> None:
        if git is not None:
            await drop_environment(git, record)
        lock = RepositoryLock(self._repository.common_dir / ROOM / "worktrees.flock")
        directory = place.root.parent
        trees = Worktrees(self._git, self._repository, directory, lock, "kept by codetether")
        await trees.remove(place)
        with contextlib.suppress(OSError):  # others are still in it
            directory.rmdir()
            directory.parent.rmdir()

    # -- branches ---------------------------------------------------------------------------------

    async def _branches(self) -> dict[str, str]:
        out = await self._git.text(
            "for-each-ref", "--format=%(refname:lstrip=2) %(objectname)", f"refs/heads/{ROOM}/"
        )
        return dict(line.split(" ", 1) for line in out.splitlines())

    async def _checked_out(self) -> set[str]:
        """Branches that some worktree stands on, but those that a dry run would take away."""
        out = await self._git.text("worktree", "list", "--porcelain")
        going = {leftover.branch for leftover in self._found.worktrees}
        prefix = "branch refs/heads/"
        here = {x.removeprefix(prefix) for x in out.splitlines() if x.startswith(prefix)}
        return here - going

    async def _run(self, slug: str, branches: dict[str, str]) -> None:
        """Remove a run's branches, its main last, and then what else it left in the repository."""
        reason = self._reason_for_run(slug)
        main = branch_of(slug, MAIN)
        stays = reason is not None or slug in self._found.busy
        for branch in sorted(branches, key=lambda b: (b == main, b)):
            why = reason or await self._reason_for_branch(slug, branch, branches[branch])
            if why is None and not self._is_dry:
                ref = f"refs/heads/{branch}"
                why = None if await self._delete(ref, branches[branch]) else "it moved just now"
            if why is None:
                self._found.branches.append(branch)
            else:
                stays = True
                self._found.kept.append(Kept(what=branch, reason=why))
        if not stays and not self._is_dry:
            await self._forget(slug)

    async def _reason_for_branch(self, slug: str, branch: str, oid: str) -> str | None:
        if branch in self._found.in_use:
            return "a worktree stands on it"
        main = branch_of(slug, MAIN)
        record = read_record(RunRecord, record_path(self._repository.common_dir, slug))
        if branch == main and record is not None and record.delivered == oid:
            return None
        out = await self._git.text(
            "for-each-ref", "--format=%(refname)", "--contains", oid, "refs/heads", "refs/remotes"
        )
        holders = set(out.splitlines()) - {f"refs/heads/{branch}"}
        foreign = {h for h in holders if not h.startswith(f"refs/heads/{ROOM}/")}
        if foreign or (branch != main and f"refs/heads/{main}" in holders):
            return None
        if record is not None and await self._has_nothing(slug, branch, oid, record):
            return None
        if self._repository.is_private:
            return f"its result was never written to the directory ({self._repository.git_dir})"
        return f"its work is merged nowhere else; `git merge {branch}` takes it"

    async def _has_nothing(self, slug: str, branch: str, oid: str, record: RunRecord) -> bool:
        """Whether a branch stands where it began (the base, or what it was started from)."""
        name = (split_branch(branch) or ("", ""))[1]
        if name == MAIN:
            return await tree_of(self._git, oid) == await tree_of(self._git, record.base)
        start = await resolve(self._git, f"refs/{ROOM}/{slug}/start/{name}")
        return oid in (record.base, start)

    async def _delete(self, ref: str, oid: str) -> bool:
        out = await self._git.run("update-ref", "-d", ref, oid, allow=(0, 128))
        return out.code == 0

    async def _forget(self, slug: str) -> None:
        """Remove a run's own refs and its record, once nothing else of it is left."""
        record = read_record(RunRecord, record_path(self._repository.common_dir, slug))
        if record is not None and self._can_go_on(record.run_id):
            return
        out = await self._git.text(
            "for-each-ref", "--format=%(refname) %(objectname)", f"refs/{ROOM}/{slug}/"
        )
        for line in out.splitlines():
            ref, oid = line.split(" ", 1)
            await self._delete(ref, oid)
        record_path(self._repository.common_dir, slug).unlink(missing_ok=True)


def _our_worktrees(common_dir: Path) -> Iterator[tuple[Place, TreeRecord]]:
    for git_dir, root in admin_directories(common_dir):
        place = Place(root, git_dir)
        record = place.record()
        if record is not None:
            yield place, record


def _copies(copies_dir: Path) -> Iterator[tuple[Repository, RunRecord]]:
    """Each private repository with its run; the directory it copied need not exist any more."""
    for git_dir in sorted(copies_dir.glob("*/repository")):
        record = read_record(RunRecord, record_path(git_dir, git_dir.parent.name))
        if record is not None:
            yield (
                Repository(root=git_dir, git_dir=git_dir, common_dir=git_dir, is_private=True),
                record,
            )
