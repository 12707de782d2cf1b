"""Taking away what runs that are over left in a node's clones, and clones beyond the limit.

A tree goes if all that is in it was committed and sent home; what is kept is named with the reason.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from codetether_ray.core.errors import WorkspaceError
from codetether_ray.workspace.cleanup import Cleanup, Kept, Leftover
from codetether_ray.workspace.commits import is_ancestor, resolve
from codetether_ray.workspace.git_command import Git
from codetether_ray.workspace.hub import hub_path
from codetether_ray.workspace.hub_cleanup import remove_hub
from codetether_ray.workspace.locks import RepositoryLock
from codetether_ray.workspace.names import run_slug, split_branch
from codetether_ray.workspace.outpost import HOME_MARK, came, is_outpost, sent
from codetether_ray.workspace.records import ROOM, RunRecord, TreeRecord, read_record
from codetether_ray.workspace.release import drop_environment, reason_to_keep
from codetether_ray.workspace.repos import LIMIT_BYTES, Clone, Clones
from codetether_ray.workspace.repository import Repository
from codetether_ray.workspace.snapshot import Limits
from codetether_ray.workspace.worktrees import Place, Worktrees, admin_directories

IsOver = Callable[[str], bool]
"""Whether a run needs nothing any more: it cannot be gone on with."""


def runs_in_clones(data_dir: Path) -> tuple[str, ...]:
    """The runs that have something in the clones below a data directory."""
    found = {run.run_id for clone in Clones(data_dir).all() for run in _runs(clone.path)}
    return tuple(sorted(found))


async def clean_clones(
    data_dir: Path, is_over: IsOver, *, limit_bytes: int = LIMIT_BYTES, dry_run: bool
) -> Cleanup:
    """Remove what runs that are over left, and the oldest clones beyond the limit.

    With `dry_run` only say what would be.
    """
    clones, total = Clones(data_dir, limit_bytes=limit_bytes), Cleanup()
    found = await asyncio.to_thread(clones.all)
    for clone in found:
        total += await _Cleaner(data_dir, clones, clone, dry_run=dry_run).clean(is_over)
    if dry_run:
        gone = _beyond(found, limit_bytes)
    else:
        gone = await clones.tidy()
    return total + Cleanup(clones=tuple((str(clone.path), clone.size) for clone in gone))


def _beyond(found: tuple[Clone, ...], limit_bytes: int) -> tuple[Clone, ...]:
    size, gone = sum(clone.size for clone in found), []
    for clone in sorted(found, key=lambda c: c.used_at):
        if size > limit_bytes and not clone.is_used:
            size -= clone.size
            gone.append(clone)
    return tuple(gone)


def _runs(clone: Path) -> tuple[RunRecord, ...]:
    records = (read_record(RunRecord, path) for path in sorted((clone / ROOM).glob("*.json")))
    return tuple(record for record in records if record is not None)


@dataclass(frozen=True, slots=True)
class _Tree:
    place: Place
    record: TreeRecord
    git: Git


class _Cleaner:
    """One clone."""

    def __init__(self, data_dir: Path, clones: Clones, clone: Clone, *, dry_run: bool) -> None:
        self._data_dir = data_dir
        self._clones = clones
        self._clone = clone
        self._repository: Repository = clones.repository(clone.id)
        self._is_dry = dry_run

    async def clean(self, is_over: IsOver) -> Cleanup:
        total = Cleanup()
        for run in _runs(self._clone.path):
            if is_over(run.run_id):
                total += await self._run(run.run_id)
        return total

    async def _run(self, run_id: str) -> Cleanup:
        gone: list[Leftover] = []
        kept: list[Kept] = []
        if self._clone.path.joinpath(HOME_MARK.format(run_slug(run_id))).exists():
            why = f"the result of {run_id} was not brought to the checkout that it is for yet"
            return Cleanup(kept=(Kept(what=str(self._clone.path), reason=why),))
        for tree in self._trees(run_slug(run_id)):
            reason = await self._reason(tree, run_id)
            if reason is None and not self._is_dry:
                reason = await self._remove(tree)
            if reason is not None:
                kept.append(Kept(what=str(tree.place.root), reason=reason))
            else:
                record = tree.record
                gone.append(Leftover(id=record.id, branch=record.branch, path=str(tree.place.root)))
        if not kept and not self._is_dry:
            hub = hub_path(self._data_dir, run_id)
            if is_outpost(hub):
                await remove_hub(self._data_dir, run_id)
                hub.with_suffix(".cleared").unlink(missing_ok=True)
            await self._clones.forget_run(self._clone.id, run_id)
        return Cleanup(worktrees=tuple(gone), kept=tuple(kept))

    def _trees(self, slug: str) -> list[_Tree]:
        found = []
        for git_dir, root in admin_directories(self._clone.path):
            place = Place(root, git_dir)
            record = place.record()
            if record is not None and (split_branch(record.branch) or ("",))[0] == slug:
                git = self._clones.git(self._clone.id).at(root, git_dir)
                found.append(_Tree(place, record, git))
        return found

    async def _reason(self, tree: _Tree, run_id: str) -> str | None:
        if not tree.place.root.is_dir():
            return None
        reason = await reason_to_keep(tree.git, tree.record, Limits().file_bytes)
        return reason or await self._unsent(tree, run_id)

    async def _unsent(self, tree: _Tree, run_id: str) -> str | None:
        git = self._clones.git(self._clone.id)
        tip = await resolve(git, f"refs/heads/{tree.record.branch}")
        hub = hub_path(self._data_dir, run_id)
        known = (*came(self._repository, run_id), *(sent(hub) if is_outpost(hub) else ()))
        result = hub / "refs" / ROOM / run_id / "result" / tree.record.id
        with suppress(OSError):
            known = (*known, result.read_text("ascii").strip())
        for oid in known:
            if oid == tip or (oid and await is_ancestor(git, tip, oid)):
                return None
        return "its commits may be nowhere else"

    async def _remove(self, tree: _Tree) -> str | None:
        place = tree.place
        try:
            if place.root.is_dir():
                await drop_environment(tree.git, tree.record)
            lock = RepositoryLock(self._clone.path / ROOM / "worktrees.flock")
            git = self._clones.git(self._clone.id)
            trees = Worktrees(git, self._repository, place.root.parent, lock, "kept by codetether")
            await trees.remove(place)
            with suppress(OSError):  # others are still in it
                place.root.parent.rmdir()
        except (WorkspaceError, OSError) as error:
            return str(error)
        return None
