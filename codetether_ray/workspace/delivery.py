"""Bringing a run's result into the user's own checkout: all of it, or nothing.

The user's files must be as they were when the run began. Where they were clean, the branch is
fast-forwarded. Where they held uncommitted changes, the run's own changes alone become one
commit on the branch, and the uncommitted ones stay uncommitted: a file that only the user had
changed keeps its staged and unstaged parts; in a file that both changed, the user's part is
unstaged. If the two cannot be told apart, nothing is done.

A delivery that was cut off is finished by the next one: files that are there already are taken
for what they are, and a commit on the branch is known by its trailer.
"""

import shutil
from dataclasses import dataclass
from pathlib import Path

from codetether_ray.core import failpoints
from codetether_ray.core.errors import WorkspaceError
from codetether_ray.workspace.commits import (
    changed_paths,
    commit_tree,
    merge_trees,
    move_ref,
    resolve,
    tree_of,
)
from codetether_ray.workspace.git_command import Git, shown
from codetether_ray.workspace.index_lock import clear_own_lock, index_lock
from codetether_ray.workspace.records import ROOM, RunRecord
from codetether_ray.workspace.repository import Repository
from codetether_ray.workspace.snapshot import Limits, Snapshot, snapshot


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One delivery of commit `main` (the branch `name`) for the run of `record`."""

    git: Git
    repository: Repository
    record: RunRecord
    limits: Limits
    main: str
    name: str
    message: str

    async def make(self) -> str:
        """Deliver; return a sentence on what was done.

        Raises:
            WorkspaceError: the user's tree moved or would be overwritten; nothing was changed.
        """
        clear_own_lock(self.repository.git_dir, self._room)
        async with snapshot(self.git, self.repository, self.limits) as now:
            if made := await self._made():
                return await self._finish_beside(made, now)
            await self._refuse_if_moved(now)
            paths = await changed_paths(self.git, self.record.base, self.main)
            if not paths:
                return "there is nothing to merge: the run changed no file"
            await self._refuse_if_in_the_way(now, paths)
            if self.repository.is_private:
                await self._update_files(now.index)
                return f"{_count(paths)} updated in {self.repository.root}"
            if not self.record.is_snapshot:
                await self.git.run("merge", "--ff-only", "--quiet", self.main)
                return f"{self.record.branch} was fast-forwarded to {self.name} ({_count(paths)})"
            return await self._commit_beside(now, paths)

    @property
    def _room(self) -> Path:
        return self.repository.common_dir / ROOM

    async def _refuse_if_moved(self, now: Snapshot) -> None:
        record = self.record
        by_hand = f"merge it yourself with `git merge {self.name}`"
        if self.repository.is_private:
            by_hand = "apply the run's patch yourself"
        elif not record.branch:
            raise WorkspaceError(
                f"HEAD is detached, so there is no branch to merge into; {by_hand}"
            )
        elif unfinished := self.repository.unfinished():
            raise WorkspaceError(f"a {unfinished} is in progress; end it, then {by_hand}")
        elif (now.head, now.branch) != (record.head, record.branch):
            where = f"{record.branch} at {record.head[:10] or 'no commit'}"
            raise WorkspaceError(f"the checkout is no longer on {where}; {by_hand}")
        base_tree = await tree_of(self.git, record.base)
        if now.tree not in (base_tree, await tree_of(self.git, self.main)):
            paths = await changed_paths(self.git, base_tree, now.tree)
            raise WorkspaceError(
                f"{_some(paths)} changed since the run began, so nothing was merged; {by_hand}"
            )

    async def _refuse_if_in_the_way(self, now: Snapshot, paths: tuple[str, ...]) -> None:
        """Look for what git's own checkout would overwrite: ignored files, hidden changes."""
        entries = await self.git.run("ls-files", "-v", "-z", index=now.index)
        flags = {part[2:]: part[0] for part in entries.parts}
        root = self.repository.root
        blocked = tuple(
            p for p in paths
            if (p not in flags and _is_blocked(root, p, flags)) or flags.get(p, "H") not in "HM"
        )  # fmt: skip
        if blocked:
            raise WorkspaceError(
                f"{_some(blocked)} in {root} would be overwritten by the run's result, "
                "so nothing was merged; move the file away first"
            )

    async def _update_files(self, index: Path) -> None:
        """Git's own two-way checkout: it checks every file before it writes the first."""
        base = self.record.base
        await self.git.run("update-index", "-q", "--refresh", index=index, allow=(0, 1))
        await self.git.run("read-tree", "-m", "-u", base, self.main, index=index)

    async def _commit_beside(self, now: Snapshot, paths: tuple[str, ...]) -> str:
        """Commit the run's part alone, update the files, keep the rest uncommitted."""
        commit = await self._own_part(paths)
        with index_lock(self.repository.git_dir, self._room) as lock:
            draft = await self._draft(commit, now, paths)
            await self._update_files(now.index)
            failpoints.hit("deliver.files")
            if not await move_ref(self.git, "HEAD", commit, self.record.head):
                raise WorkspaceError(
                    f"{self.record.branch} moved at this very moment: the run's changes are in "
                    "your files, uncommitted"
                )
            failpoints.hit("deliver.swapped")
            await self._take_index(draft, lock)
        return self._said(commit, paths)

    async def _finish_beside(self, commit: str, now: Snapshot) -> str:
        """The commit is on the branch: bring the index after it."""
        paths = await changed_paths(self.git, self.record.base, self.main)
        with index_lock(self.repository.git_dir, self._room) as lock:
            await self._take_index(await self._draft(commit, now, paths), lock)
        return self._said(commit, paths)

    async def _made(self) -> str:
        """The commit on the user's branch that an earlier delivery made; "" if there is none."""
        record = self.record
        if self.repository.is_private or not record.is_snapshot:
            return ""
        since = (f"^{record.head}",) if record.head else ()
        found = await self.git.run(
            "log", "-1", "--format=%H", "--fixed-strings", f"--grep={self.trailer}", "HEAD", *since,
            allow=(0, 128),
        )  # fmt: skip
        return found.text

    @property
    def trailer(self) -> str:
        """The line by which the commit of this delivery is known."""
        return f"Codetether-Result: {self.main}"

    async def _draft(self, commit: str, now: Snapshot, paths: tuple[str, ...]) -> Path:
        """The user's index with what `commit` has at `paths`, beside it."""
        draft = now.index.with_name("draft")
        if (self.repository.git_dir / "index").exists():
            shutil.copy2(self.repository.git_dir / "index", draft)
        await self._stage_from(commit, draft, paths)
        return draft

    async def _take_index(self, draft: Path, lock: Path) -> None:
        await self.git.run("update-index", "-q", "--refresh", index=draft, allow=(0, 1))
        shutil.copyfile(draft, lock)
        lock.replace(self.repository.git_dir / "index")

    def _said(self, commit: str, paths: tuple[str, ...]) -> str:
        return (
            f"{self.record.branch} has one new commit {commit[:10]} ({_count(paths)}); "
            "your uncommitted changes are still uncommitted"
        )

    async def _own_part(self, paths: tuple[str, ...]) -> str:
        """The run's changes on the user's HEAD, without the snapshot's.

        A merge whose two sides meet in the snapshot: HEAD's tree as a child of it, and main.
        """
        git, record = self.git, self.record
        old = await tree_of(git, record.head) if record.head else await _empty_tree(git)
        ours = await commit_tree(git, old, (record.base,), "without the uncommitted changes")
        tree, conflicts = await merge_trees(git, ours, self.main, renames=False)
        strange = set(await changed_paths(git, old, tree)) - set(paths)
        conflicts = conflicts or tuple(sorted(strange))
        if conflicts:
            raise WorkspaceError(
                f"the run built on your uncommitted changes in {_some(conflicts)}, so nothing was "
                f"merged; `git diff {record.base[:12]} {self.name} | git apply` brings its changes "
                "into your files, uncommitted"
            )
        parents = (record.head,) if record.head else ()
        return await commit_tree(git, tree, parents, f"{self.message}\n\n{self.trailer}")

    async def _stage_from(self, commit: str, index: Path, paths: tuple[str, ...]) -> None:
        """Set the index entries of `paths` to what `commit` has."""
        out = await self.git.run("ls-tree", "-r", "-z", "--full-tree", commit)
        wanted = set(paths)
        lines = []
        for entry in out.parts:
            facts, path = entry.split("\t", 1)
            if path in wanted:
                mode, _, oid = facts.split(" ")
                lines.append(f"{mode} {oid}\t{path}")
                wanted.discard(path)
        zero = "0" * len(commit)
        lines[:0] = [f"0 {zero}\t{path}" for path in sorted(wanted)]
        data = "".join(f"{line}\0" for line in lines).encode("utf-8", "surrogateescape")
        await self.git.run("update-index", "-z", "--index-info", stdin=data, index=index)


async def _empty_tree(git: Git) -> str:
    return (await git.run("mktree", stdin=b"")).text


async def is_delivered(git: Git, main: str) -> bool:
    """Whether the user's HEAD already has `main` in its history."""
    head = await resolve(git, "HEAD")
    if not head:
        return False
    out = await git.run("merge-base", "--is-ancestor", main, head, allow=(0, 1))
    return out.code == 0


def _is_blocked(root: Path, path: str, known: dict[str, str]) -> bool:
    """Whether a new file's place is taken by something that git does not track."""
    place = root / path
    if place.is_symlink() or place.exists():
        return not (place.is_dir() and not place.is_symlink() and _is_all_known(root, path, known))
    parts = Path(path).parts
    above = (Path(*parts[:n]) for n in range(1, len(parts)))
    return any(
        ((root / p).is_symlink() or (root / p).is_file()) and p.as_posix() not in known
        for p in above
    )


def _is_all_known(root: Path, path: str, known: dict[str, str]) -> bool:
    """Whether a directory that becomes a file holds nothing but tracked files."""
    files = (p for p in (root / path).rglob("*") if p.is_symlink() or not p.is_dir())
    return all(p.relative_to(root).as_posix() in known for p in files)


def _some(paths: tuple[str, ...], limit: int = 3) -> str:
    names = ", ".join(shown(paths[:limit]))
    more = len(paths) - limit
    return f"{names} and {more} more" if more > 0 else names


def _count(paths: tuple[str, ...]) -> str:
    return f"{len(paths)} file" + ("" if len(paths) == 1 else "s")
