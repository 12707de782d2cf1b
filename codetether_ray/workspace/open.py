"""Which workspace a directory gets."""

import hashlib
from functools import partial
from pathlib import Path

from codetether_ray.core.errors import WorkspaceError
from codetether_ray.ports.sandbox import Sandbox
from codetether_ray.workspace.copy import CopyWorkspace
from codetether_ray.workspace.git import GitWorkspace
from codetether_ray.workspace.hub import hub_path
from codetether_ray.workspace.names import run_slug
from codetether_ray.workspace.repository import find_repository

WORKTREES, COPIES, PORTS = "worktrees", "copies", "ports"
"""Directories below the data directory."""


async def open_workspace(
    directory: Path,
    run_id: str,
    *,
    data_dir: Path,
    setup: str | None = None,
    copy: tuple[str, ...] = (),
    hooks: bool = False,
    sandbox: Sandbox | None = None,
    date: str = "",
    keeps_steps: bool = True,
    set_aside: tuple[Path, ...] = (),
) -> GitWorkspace | CopyWorkspace:
    """Choose: the repository that holds `directory`, or a copy of it. The base is made by then.

    `setup` (a shell command, which needs `sandbox`), `copy` (globs) and `hooks` come from the
    project's configuration. `keeps_steps`: with a hub, as where the run's agents live.
    `set_aside` are files that the run's base has as they were committed.

    Raises:
        WorkspaceError: there is no such directory, git is missing or refuses, it is too large.
    """
    if not directory.is_dir():
        raise WorkspaceError(f"there is no directory {directory}")
    place, run = directory.resolve(), run_slug(run_id)
    repository = await find_repository(place)
    root = place if repository is None else repository.root
    worktrees = data_dir / WORKTREES / room_of(root) / run
    hub = hub_path(data_dir, run_id) if keeps_steps else None
    kind: partial[CopyWorkspace] | partial[GitWorkspace]
    if repository is None:
        kind = partial(CopyWorkspace, copies_dir=data_dir / COPIES / run)
    else:
        kind = partial(GitWorkspace, hooks=hooks, repository=repository)
    workspace = kind(
        place,
        run_id,
        worktrees_dir=worktrees,
        setup=setup,
        copy=copy,
        sandbox=sandbox,
        date=date,
        ports_dir=data_dir / PORTS,
        hub=hub,
        set_aside=set_aside,
    )
    await workspace.open()
    return workspace


def room_of(root: Path) -> str:
    """Name of the directory of all worktrees of the repository at `root`, the same everywhere."""
    mark = hashlib.sha256(str(root).encode()).hexdigest()[:8]
    return f"{root.name or 'root'}-{mark}"
