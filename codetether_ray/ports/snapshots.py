"""The tree of one agent's workspace at each step, so that it can be had again."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """A tree as it was. `files` are the paths that differ from the snapshot before.

    `commit` is kept alive in the run's hub; `tree` is its tree's hash. `notes` are sentences on
    what could not be kept.
    """

    commit: str
    tree: str
    files: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


class Snapshots(Protocol):
    """Keeps and restores the tree that one agent works in."""

    async def take(self, note: str) -> Snapshot:
        """The tree now, durable in the hub; the last one again if nothing changed.

        Raises:
            WorkspaceError: git refuses, or what changed is too big to be kept.
        """
        ...

    async def go_on_from(self, commit: str) -> None:
        """Say which snapshot the agent's history ends with; the next one is its child."""
        ...

    async def restore(self) -> tuple[str, ...]:
        """Make the workspace what the last snapshot holds; sentences on what was put aside.

        Only for a workspace of the agent's own; a directory that it shares with its user stays as
        it is, and what differs is told.
        """
        ...
