"""The run's main branch as a line of single commits, and the one clean tree in which they stand."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from codetether_ray.ports.workspace import Tree


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """Where the line begins, and what a person should know of its branch."""

    start: str
    branch: str = ""
    """The branch that follows the line; empty where it may not (`notes` say why)."""
    notes: tuple[str, ...] = ()


class Trunk(Protocol):
    """Commits with one parent each, landed one after another."""

    async def open(self) -> Opened:
        """Find where the line begins: the run's base, or the branch that goes on (idempotent).

        Raises:
            WorkspaceError: the branch is there and does not come from the base.
        """
        ...

    async def head(self) -> str:
        """The line's last commit."""
        ...

    async def squash(
        self, merged: str, onto: str, message: str, files: Mapping[str, bytes]
    ) -> str | None:
        """A commit on `onto` with the tree of `merged`, where `files` are as given; no ref yet.

        Paths are from the repository's root. None: beside `files` it would change nothing.
        """
        ...

    async def changes(self, old: str, new: str) -> str:
        """What lies between two commits as a unified diff, renames followed, no context."""
        ...

    async def checkout(self, commit: str) -> Tree:
        """The clean tree, at a commit. What git ignores in it (built things) is kept."""
        ...

    async def advance(self, new: str, old: str) -> None:
        """Land `new` on `old`, and have the branch follow.

        Raises:
            WorkspaceError: the line is not at `old`.
        """
        ...

    async def landed(self) -> Mapping[str, str]:
        """Commits of this run in the line, by the story in their trailers."""
        ...

    async def close(self, *, is_awaited: bool = False) -> str:
        """Let go of the clean tree; a sentence on the branch, where it did not follow.

        `is_awaited`: a commit in it is still to be judged, and is kept by its branch.
        """
        ...
