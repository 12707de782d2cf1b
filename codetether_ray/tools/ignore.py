"""What git ignores: `.gitignore` files at every level, `.git/info/exclude`, negations.

Rules of git's documentation (gitignore): in a file the last matching pattern decides, a deeper
file outranks a higher one, `info/exclude` comes last, and nothing below an ignored directory can be
taken back. The user's own global excludes do not count: every node shall see the same files.
"""

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

ALWAYS = frozenset({".git", ".hg", ".svn", ".jj", "node_modules", "__pycache__", ".venv"})
"""Names that no search descends into, ignored or not; one can still be named as the start."""


@dataclass(frozen=True, slots=True)
class _Pattern:
    """One line of an ignore file, matched against paths relative to the file's directory."""

    regex: re.Pattern[str]
    only_directories: bool
    takes_back: bool


@lru_cache(maxsize=512)
def _patterns(text: str) -> tuple[_Pattern, ...]:
    """An ignore file's patterns, last first: the first that matches decides."""
    found = [pattern for line in text.split("\n") if (pattern := _pattern(line)) is not None]
    return tuple(reversed(found))


def _pattern(line: str) -> _Pattern | None:
    line = line.removesuffix("\r")
    while line.endswith((" ", "\t")) and not line.endswith(("\\ ", "\\\t")):
        line = line[:-1]
    if not line or line.startswith("#"):
        return None
    takes_back = line.startswith("!")
    line = line[1:] if takes_back else line
    only_directories = line.endswith("/")
    line = line[:-1] if only_directories else line
    is_anchored = "/" in line
    regex = glob_regex(line.removeprefix("/"))
    if regex is None or not line:
        return None
    prefix = "" if is_anchored else "(?:.*/)?"
    return _Pattern(re.compile(prefix + regex, re.DOTALL), only_directories, takes_back)


def glob_regex(glob: str) -> str | None:
    """A gitignore glob as a regular expression for a whole path; None if it is malformed."""
    out, at = [], 0
    while at < len(glob):
        if glob.startswith("**/", at) and (at == 0 or glob[at - 1] == "/"):
            out.append("(?:.*/)?")
            at += 3
        elif glob[at:] == "**" and at > 0 and glob[at - 1] == "/":
            out.append(".+")
            at += 2
        else:
            piece, at = _piece(glob, at)
            if piece is None:
                return None
            out.append(piece)
    return "".join(out)


def _piece(glob: str, at: int) -> tuple[str | None, int]:
    """One element of a glob from `at` on, and where the next begins."""
    character = glob[at]
    if character == "*":
        end = at + 1
        while glob[end : end + 1] == "*":
            end += 1
        return "[^/]*", end
    if character == "?":
        return "[^/]", at + 1
    if character == "[":
        return _bracket(glob, at)
    if character == "\\":
        return (None, at) if at + 1 == len(glob) else (re.escape(glob[at + 1]), at + 2)
    return re.escape(character), at + 1


def _bracket(glob: str, at: int) -> tuple[str | None, int]:
    end = at + 1
    is_negated = glob[end : end + 1] in ("!", "^")
    end += is_negated
    members, first = "", end
    while end < len(glob) and (glob[end] != "]" or end == first):
        if glob[end] == "\\" and end + 1 < len(glob):
            end += 1
            members += re.escape(glob[end])
        else:
            members += glob[end] if glob[end] == "-" else re.escape(glob[end])
        end += 1
    if end >= len(glob):
        return None, at
    try:
        re.compile(f"[{members}]")
    except re.error:
        return None, at
    return f"(?!/)[{'^' if is_negated else ''}{members}]", end + 1


class IgnoreRules:
    """Answers whether an entry below `top` is ignored. Reads ignore files as they are met."""

    def __init__(self, top: Path, exclude: str = "") -> None:
        """Take the highest directory whose rules count, and the text of `info/exclude`."""
        self._top = str(top)
        self._exclude = _patterns(exclude)
        self._files: dict[str, tuple[_Pattern, ...]] = {}

    def is_ignored(self, directory: str, name: str, *, is_directory: bool) -> bool:
        """Whether an entry of `directory` (relative to the top, `` for the top) is ignored.

        The directory itself is taken as not ignored.
        """
        if name in ALWAYS:
            return True
        path = f"{directory}/{name}" if directory else name
        verdict = self._verdict(directory, path, is_directory=is_directory)
        return bool(verdict)

    def _verdict(self, directory: str, path: str, *, is_directory: bool) -> bool | None:
        base = directory
        while True:
            rest = path[len(base) + 1 :] if base else path
            verdict = _decide(self._of(base), rest, is_directory=is_directory)
            if verdict is not None:
                return verdict
            if not base:
                return _decide(self._exclude, path, is_directory=is_directory)
            base = base.rpartition("/")[0]

    def _of(self, directory: str) -> tuple[_Pattern, ...]:
        found = self._files.get(directory)
        if found is None:
            file = os.path.join(self._top, directory, ".gitignore")  # noqa: PTH118 - hot
            found = self._files[directory] = _patterns(_read(file))
        return found

    def hides(self, start: str, path: str) -> bool:
        """Whether a file below `start` is ignored, or a directory between them."""
        directory = start
        names = path[len(start) :].strip("/").split("/") if start else path.split("/")
        for name in names[:-1]:
            if self.is_ignored(directory, name, is_directory=True):
                return True
            directory = f"{directory}/{name}" if directory else name
        return self.is_ignored(directory, names[-1], is_directory=False)


def _decide(patterns: Iterable[_Pattern], path: str, *, is_directory: bool) -> bool | None:
    for pattern in patterns:
        if pattern.only_directories and not is_directory:
            continue
        if pattern.regex.fullmatch(path):
            return not pattern.takes_back
    return None


def _read(path: str) -> str:
    try:
        if os.path.islink(path):  # noqa: PTH114 - as git: a linked .gitignore does not count
            return ""
        with open(path, encoding="utf-8", errors="surrogateescape") as file:  # noqa: PTH123
            return file.read(1_000_000)
    except OSError:
        return ""


def git_top(start: Path) -> tuple[Path, str] | None:
    """The top of the git worktree around `start` and the text of its `info/exclude`; or None."""
    for directory in (start, *start.parents):
        git = directory / ".git"
        if git.exists():
            return directory, _read(str(_common(git) / "info" / "exclude"))
    return None


def _common(git: Path) -> Path:
    """The directory that all worktrees of a repository share."""
    if git.is_dir():
        return git
    pointer = _read(str(git)).strip().removeprefix("gitdir:").strip()
    own = (git.parent / pointer).resolve()
    shared = _read(str(own / "commondir")).strip()
    return (own / shared).resolve() if shared else own
