"""The user's files as a tree object, made without touching index, HEAD or files.

A private copy of the index takes part, so that sparse checkouts, modes and stat data are right
and only what changed is read.
"""

import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from codetether_ray.core.errors import WorkspaceError
from codetether_ray.workspace.commits import tree_of
from codetether_ray.workspace.git_command import Git, encode_paths, shown
from codetether_ray.workspace.records import ROOM
from codetether_ray.workspace.repository import Repository
from codetether_ray.workspace.status import Change, Status, read_status, size_of

_MB = 1_000_000
_TRIES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a snapshot takes in. `leave_out` are globs of files that are environment, not work.

    `set_aside` are paths that are in it as they were committed, whatever they hold now.
    """

    file_bytes: int = 50 * _MB
    total_bytes: int = 2_000 * _MB
    leave_out: tuple[str, ...] = ()
    set_aside: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The tree, the index that holds it, the HEAD and branch it was seen on, and what was left."""

    tree: str
    head_tree: str
    """HEAD's own tree; empty if there is no commit."""
    index: Path
    head: str
    branch: str
    notes: tuple[str, ...] = ()


@dataclass(slots=True)
class _Sorted:
    """Changes told apart: to be added, and sentences on the rest."""

    add: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@asynccontextmanager
async def snapshot(git: Git, repository: Repository, limits: Limits) -> AsyncIterator[Snapshot]:
    """The user's tree as it is now; its private index lasts as long as the context.

    Raises:
        WorkspaceError: too much is neither tracked nor ignored, or git refuses.
    """
    room = repository.common_dir / ROOM
    room.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=room, prefix="index-") as scratch:
        index = Path(scratch) / "index"
        yield await _take(git, repository, limits, index)


async def _take(git: Git, repository: Repository, limits: Limits, index: Path) -> Snapshot:
    for attempt in range(_TRIES):
        if (repository.git_dir / "index").exists():
            shutil.copy2(repository.git_dir / "index", index)  # its time tells racy entries
        status = await read_status(git, index=index)
        chosen = _choose(status, repository.root, limits)
        out = await git.run(
            "add", "--all", "--pathspec-from-file=-", "--pathspec-file-nul",
            stdin=encode_paths(tuple(chosen.add)), index=index, durable=True, allow=(0, 1, 128),
        ) if chosen.add else None  # fmt: skip
        if out is None or out.code == 0:
            break
        if attempt == _TRIES - 1:  # files come and go, or one cannot be read
            raise WorkspaceError(f"your files could not be read: {out.stderr.strip()[:300]}")
    head_tree = await tree_of(git, status.head) if status.head else ""
    is_changed = bool(chosen.add) or any(c.staged != "." for c in status.changes)
    tree = head_tree
    if is_changed or not head_tree:
        tree = (await git.run("write-tree", index=index, durable=True)).text
    return Snapshot(
        tree=tree,
        head_tree=head_tree,
        index=index,
        head=status.head,
        branch=status.branch,
        notes=tuple(chosen.notes),
    )


def _choose(status: Status, root: Path, limits: Limits) -> _Sorted:
    chosen, total = _Sorted(), 0
    for change in status.changes:
        reason = _reason_to_leave(change, root, limits)
        if reason is None and change.needs_add:
            chosen.add.append(change.path)
            total += size_of(root / change.path) if change.is_untracked else 0
        elif reason:
            chosen.notes.append(f"{shown((change.path,))[0]} {reason}")
    if total > limits.total_bytes:
        raise WorkspaceError(
            f"{root} holds {total / _MB:,.0f} MB of files that are neither tracked nor ignored, "
            f"more than the {limits.total_bytes / _MB:,.0f} MB that a run may copy; "
            "list what the agents do not need in .gitignore"
        )
    return chosen


def _reason_to_leave(change: Change, root: Path, limits: Limits) -> str | None:
    """Why a change is no part of the snapshot: a sentence's end, "" for silently, None to take."""
    if change.path in limits.set_aside:
        return ""
    if change.is_nested_repository:
        return "is a repository of its own and left out"
    if change.is_only_inside_submodule:
        return "has changes inside the submodule, which are left out"
    if not change.is_untracked:
        return None
    if is_matched(change.path, limits.leave_out):
        return ""
    if size_of(root / change.path) > limits.file_bytes:
        return f"is larger than {limits.file_bytes // _MB} MB and left out"
    return None


def is_matched(path: str, globs: tuple[str, ...]) -> bool:
    """Whether `path`, or a directory above it, is named by one of the globs."""
    place = PurePosixPath(path)
    names = (place, *place.parents)
    return any(_names(name, pattern) for pattern in globs for name in names if name.name)


def _names(place: PurePosixPath, pattern: str) -> bool:
    """A glob is anchored at the root; `**/` in front lets it match at any depth."""
    if pattern.startswith("**/"):
        return place.match(pattern.removeprefix("**/"))
    return len(place.parts) == len(PurePosixPath(pattern).parts) and place.match(pattern)
