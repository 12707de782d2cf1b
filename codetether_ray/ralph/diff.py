"""A unified diff, file by file: which lines went, which came."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

_HEAD = re.compile(r'diff --git "?a/(.*?)"? "?b/(.*?)"?$')


@dataclass(frozen=True, slots=True, kw_only=True)
class FileChange:
    """One file of a diff. `path` is its name before (after, where it is new)."""

    path: str
    status: Literal["added", "deleted", "modified"] = "modified"
    renamed_to: str = ""
    removed: tuple[str, ...] = ()
    added: tuple[str, ...] = ()


@dataclass(slots=True)
class _Open:
    old: str
    new: str
    status: Literal["added", "deleted", "modified"] = "modified"
    renamed_to: str = ""
    is_in_hunk: bool = False
    removed: list[str] = field(default_factory=list)
    added: list[str] = field(default_factory=list)

    def take(self, line: str) -> None:
        if line.startswith("@@"):
            self.is_in_hunk = True
        elif self.is_in_hunk:
            if line.startswith("-"):
                self.removed.append(line[1:])
            elif line.startswith("+"):
                self.added.append(line[1:])
        elif line.startswith("deleted file"):
            self.status = "deleted"
        elif line.startswith("new file"):
            self.status = "added"
        elif line.startswith("rename to "):
            self.renamed_to = line.removeprefix("rename to ").strip('"')

    def done(self) -> FileChange:
        return FileChange(
            path=self.new if self.status == "added" else self.old,
            status=self.status,
            renamed_to=self.renamed_to,
            removed=tuple(self.removed),
            added=tuple(self.added),
        )


def read_diff(text: str) -> Iterator[FileChange]:
    """Every file of `git diff`'s output."""
    now: _Open | None = None
    for line in text.split("\n"):
        head = _HEAD.match(line) if line.startswith("diff --git ") else None
        if head is not None:
            if now is not None:
                yield now.done()
            now = _Open(old=head[1], new=head[2])
        elif now is not None:
            now.take(line)
    if now is not None:
        yield now.done()
