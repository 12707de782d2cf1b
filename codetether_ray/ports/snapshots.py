"""The tree of one agent's workspace at each step, so that it can be had again."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """A tree as it was. `files` are the paths that differ from the snapshot before.

    `commit` is kept alive in the run's hub; `tree` is its tree's hash. Both are empty where no
    trees are kept (outside git). `notes` are sentences on what could not be kept.
    """

    commit: str = ""
    tree: str = ""
    files: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


Redone = Literal["finished", "untouched", "unknown"]
"""What is there of a change that may have been made: all of it, nothing of it, anything else."""


KeptKind = Literal["step", "left"]
"""What a step left; or what a step that was cut off left, and was put aside."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A commit for the run's hub: `data` is its pack, or `box` names one that was put before."""

    kind: KeptKind
    old: str
    new: str
    data: bytes = b""
    box: str = ""


class Snapshots(Protocol):
    """Keeps and restores the tree that one agent works in."""

    @property
    def is_own(self) -> bool:
        """Whether the tree is this agent's alone: nobody else works in it, it may be put back."""
        ...

    @property
    def is_there(self) -> bool:
        """Whether the workspace is there at all."""
        ...

    async def take(self, note: str) -> Snapshot:
        """The tree now, durable in the hub; the last one again if nothing changed.

        `note` says which step it was taken after; it is kept with the snapshot.

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
        it is, and what differs is told. A workspace that is gone is made anew.

        Raises:
            WorkspaceError: the tree cannot be had again, or is not the agent's own.
        """
        ...

    async def has_been_done(self, change: Callable[[Path], Awaitable[object]]) -> Redone:
        """Whether `change` was made since the last snapshot: it is made again, on a copy of that.

        `change` gets the place in the copy that stands for the agent's root.

        Raises:
            WorkspaceError: there can be no copy.
        """
        ...


class Keeper(Protocol):
    """The run's hub, for an agent whose files are on another node than that is."""

    async def keep(self, kind: KeptKind, old: str, new: str, pack: Path) -> None:
        """Have commit `new` in the run's hub, durable, its ref moved there from `old`.

        `pack` holds what the hub lacks of it. `old` is what was kept last by this process under
        `kind`; empty at first.

        Raises:
            WorkspaceError: the hub refuses: the pack is broken, the ref stood elsewhere.
            FencedError: another process has taken over.
        """
        ...


class HubKeeper(Protocol):
    """The other side of `Keeper`, where the hub is."""

    async def put(self, life: str, box: str, offset: int, data: bytes) -> None:
        """A piece of a pack that is too large for one call; `box` names the pack.

        Raises:
            WorkspaceError: it does not follow what is there.
        """
        ...

    async def keep(self, agent: str, life: str, kept: Kept) -> None:
        """See `Keeper.keep`. `life` tells one process of the agent from all others.

        Raises:
            WorkspaceError: see `Keeper.keep`.
        """
        ...
