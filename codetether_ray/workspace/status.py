"""What `git status` says, as values."""

import hashlib
import stat
from dataclasses import dataclass
from pathlib import Path

from codetether_ray.workspace.git_command import Git


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One changed path. `staged` and `unstaged` are git's letters, `.` for none, `?` untracked.

    `submodule` is git's field: `N...`, or `S` and letters for a submodule.
    """

    path: str
    staged: str
    unstaged: str
    submodule: str = "N..."
    is_unmerged: bool = False

    @property
    def is_untracked(self) -> bool:
        """Whether git does not know the path."""
        return self.unstaged == "?"

    @property
    def is_nested_repository(self) -> bool:
        """Whether it is an untracked directory with a repository of its own in it."""
        return self.is_untracked and self.path.endswith("/")

    @property
    def is_only_inside_submodule(self) -> bool:
        """Whether nothing but files within a submodule changed (no commit of ours can hold it)."""
        same_commit = self.submodule.startswith("S.")
        return same_commit and self.staged == "." and not self.is_unmerged

    @property
    def needs_add(self) -> bool:
        """Whether the index lags behind the file."""
        return (self.unstaged != "." or self.is_unmerged) and not self.is_only_inside_submodule


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """A work tree's state. `head` is empty on an unborn branch, `branch` when detached."""

    head: str
    branch: str
    changes: tuple[Change, ...]


async def read_status(git: Git, *, index: Path | None = None, submodules: bool = True) -> Status:
    """Ask git, every untracked file by name, and (`submodules`) what changed inside those."""
    ignored = "none" if submodules else "all"
    out = await git.run(
        "status", "--porcelain=v2", "--branch", "-z", "--untracked-files=all", "--no-renames",
        f"--ignore-submodules={ignored}", index=index,
    )  # fmt: skip
    return parse_status(out.parts)


def parse_status(parts: tuple[str, ...]) -> Status:
    """Read the NUL-separated records of porcelain version 2."""
    head, branch, changes = "", "", list[Change]()
    for part in parts:
        if part.startswith("# branch.oid "):
            head = part.removeprefix("# branch.oid ").replace("(initial)", "")
        elif part.startswith("# branch.head "):
            branch = part.removeprefix("# branch.head ").replace("(detached)", "")
        elif not part.startswith("#"):
            changes.append(_change(part))
    return Status(head=head, branch=branch, changes=tuple(changes))


def _change(part: str) -> Change:
    if part[0] == "?":
        return Change(path=part[2:], staged=".", unstaged="?")
    fields = 10 if part[0] == "u" else 8
    *facts, path = part.split(" ", fields)
    letters, submodule = facts[1], facts[2]
    return Change(
        path=path,
        staged=letters[0],
        unstaged=letters[1],
        submodule=submodule,
        is_unmerged=part[0] == "u",
    )


def size_of(path: Path) -> int:
    """Bytes of a regular file; 0 for what is none."""
    try:
        facts = path.lstat()
    except OSError:
        return 0
    return facts.st_size if stat.S_ISREG(facts.st_mode) else 0


def digest_of(path: Path) -> str:
    """What a path holds, to tell later whether it is still that; empty if it is not there."""
    if path.is_symlink():
        return f"link:{path.readlink()}"
    if path.is_dir():
        return "directory"
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""
