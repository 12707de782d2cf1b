"""Source trees: a base, a worktree per sub-agent, commits, merges."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Base:
    """What a run works from.

    `commit` holds the user's tree as it was: HEAD, or a snapshot commit on top of it when files
    were changed or untracked. `notes` are sentences for the user and the agents (unborn HEAD,
    shallow clone, submodules, LFS pointers, files left out).
    """

    commit: str
    head: str = ""
    branch: str = ""
    is_snapshot: bool = False
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    """A worktree of one agent. `env` goes to its tool processes (port range and the like).

    `path` is where the agent works: the worktree's root, or in it the directory that the user
    started from. A merge to be resolved has its root.
    """

    id: str
    path: Path
    branch: str
    base: str
    hub: str = ""
    """The run's hub repository, which keeps what each step leaves in the tree."""
    node: str = ""
    """Id of the node that it lies on; empty for the run's own."""
    env: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    """What an agent's work came to. `is_empty`: nothing changed, `commit` is the tree's base."""

    commit: str
    tree: str
    is_empty: bool
    files: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    """Sentences about files left out and the like."""
    tip: str = ""
    """Where the tree's branch stands: `commit`, or where nothing is left of earlier changes, what
    took them back. Empty where that is `commit`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MergeOutcome:
    """The result of merging `theirs` into `ours` without a checkout.

    `commit` is the merge ("" if there were conflicts); `conflicts` are the paths. `already` was
    merged before, in a commit with `message`, if that is found.
    """

    status: Literal["merged", "already", "conflict"]
    commit: str = ""
    conflicts: tuple[str, ...] = ()
    message: str = ""


class Workspace(Protocol):
    """The trees of one run. Never touches the user's branch, index or files, but in `deliver`."""

    async def open(self) -> Base:
        """Look at the directory and make the run's base (idempotent)."""
        ...

    async def start(self, id: str, parents: tuple[str, ...] = (), *, node: str = "") -> Tree:
        """A worktree for agent `id` on its own branch, from the base or the merge of `parents`.

        `parents` are commits in plan order. An existing tree of that id (a retry, a resume) is
        given back as it is. `node` (Ray's id; empty for the run's own) is where it shall lie: a
        workspace of one machine has no other. A tree that was on another node, which may be lost,
        is made on this one as the agent's last recorded step left it.

        Raises:
            ParentsConflictError: the parents conflict in some files.
            WorkspaceError: git refuses.
            NodeLostError: the node is gone.
        """
        ...

    async def commit(self, tree: Tree, message: str) -> Commit:
        """Commit all that is there (ignored files left out) on the tree's branch."""
        ...

    async def merge(self, theirs: str, message: str, *, into: str | None = None) -> MergeOutcome:
        """Merge commit `theirs` into the run's main branch (or onto commit `into`)."""
        ...

    async def advance(self, commit: str) -> None:
        """Move the run's main branch on to `commit`, which stands on it; again is as once.

        Raises:
            WorkspaceError: it does not stand on it.
        """
        ...

    async def start_merge(self, id: str, theirs: str, *, onto: str | None = None) -> Tree:
        """A worktree at the run's main branch with `theirs` half merged, markers in its files.

        With `onto` it stands at that commit instead (a dependent's parents conflict). An existing
        tree of that id (a retry, a resume) is given back as it is.
        """
        ...

    async def finish_merge(
        self, tree: Tree, theirs: str, message: str, *, onto: str | None = None
    ) -> MergeOutcome:
        """Commit a resolved merge to the run's main branch; `conflict` if markers are left.

        With `onto` (as given to `start_merge`) the merge is committed on the tree's branch alone
        and the main branch stays where it is.
        """
        ...

    async def release(self, tree: Tree, *, keep: bool) -> str | None:
        """Let go of a worktree: removed if all its work is committed and `keep` is false.

        The branch stays; nothing is forced. Returns a sentence if the tree was kept for what is
        in it, though `keep` was false.
        """
        ...

    async def head(self) -> str:
        """The commit of the run's main branch (the base if nothing was merged)."""
        ...

    async def main_branch(self) -> str:
        """Its name; empty outside git."""
        ...

    async def diffstat(self) -> str:
        """`git diff --stat` of base to head; empty if nothing changed."""
        ...

    async def patch(self) -> str:
        """The whole change as a unified diff."""
        ...

    async def deliver(self) -> str:
        """Merge the run's main branch into the user's branch; a sentence on what was done.

        Raises:
            WorkspaceError: the user's tree moved or would be overwritten; nothing was changed.
        """
        ...
