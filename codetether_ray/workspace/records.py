"""What must be known of a run and of its worktrees after the process is gone.

A run's record lies in the repository (`<git dir>/codetether/<run>.json`), a worktree's in git's
own directory for that worktree, so that each goes where its subject goes.
"""

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from codetether_ray.core.codec import decode, encode

T = TypeVar("T")
ROOM = "codetether"
"""Directory in the git dir, and prefix of every branch and ref of ours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """A run's base, and where its worktrees are. `delivered`: the main commit that the user has."""

    run_id: str
    base: str
    head: str = ""
    branch: str = ""
    is_snapshot: bool = False
    notes: tuple[str, ...] = ()
    worktrees: str = ""
    delivered: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class MergeRecord:
    """A merge that a resolver works on.

    `label` is the name of `theirs` in the markers. `allowed` gives for each file and each marker
    line of its conflicts how often that line may still stand in the resolved file (0, unless the
    file's own content has such lines).
    """

    ours: str
    theirs: str
    label: str = ""
    conflicts: tuple[str, ...] = ()
    allowed: dict[str, dict[str, int]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class TreeRecord:
    """A worktree: where it started, what in it is not the agent's work, its ports.

    `copied` are the paths that `workspace.copy` brought; `residue` those that the setup command
    left, with the digest of what it left there.
    """

    id: str
    branch: str
    base: str
    port_base: int = 0
    is_ready: bool = False
    copied: tuple[str, ...] = ()
    residue: dict[str, str] = field(default_factory=dict)
    merge: MergeRecord | None = None


def run_record_path(common_dir: Path, slug: str) -> Path:
    """Where a run's record lies."""
    return common_dir / ROOM / f"{slug}.json"


def tree_record_path(git_dir: Path) -> Path:
    """Where a worktree's record lies."""
    return git_dir / f"{ROOM}.json"


def read_record(cls: type[T], path: Path) -> T | None:
    """A record; None if there is none (or it was cut off in the middle of its first write)."""
    try:
        return decode(cls, json.loads(path.read_text("utf-8")))
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None


def write_record(path: Path, record: RunRecord | TreeRecord) -> None:
    """Write atomically; a run's record is flushed (a tree's can be made again)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{os.getpid()}.new")
    with draft.open("w", encoding="utf-8") as file:
        json.dump(encode(record), file, ensure_ascii=True)
        file.flush()
        if isinstance(record, RunRecord):
            os.fsync(file.fileno())
    draft.replace(path)
