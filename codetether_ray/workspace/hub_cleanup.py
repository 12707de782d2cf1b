"""Taking away the hubs of runs that are over: what each step left is of use to a resume alone."""

import asyncio
import contextlib
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from codetether_ray.core.errors import WorkspaceError
from codetether_ray.core.ids import is_run_id
from codetether_ray.workspace.git_command import Git
from codetether_ray.workspace.hub import HUBS, KEPT, Hub, cleared_mark, hub_path
from codetether_ray.workspace.names import ref_of, run_slug

ReasonToKeep = Callable[[str], str | None]
"""Why the hub of that run is still needed; None if it is not."""

_DRAFT_S = 3600.0  # a hub is made in a second; a draft as old as this was left by a killed process


@dataclass(frozen=True, slots=True, kw_only=True)
class OldHub:
    """A hub that is no longer needed, and the bytes that it takes."""

    run_id: str
    path: str
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HubCleanup:
    """What was, or would be, removed; and by run why a hub stays."""

    hubs: tuple[OldHub, ...] = ()
    kept: tuple[tuple[str, str], ...] = ()


async def clean_hubs(
    data_dir: Path, reason_to_keep: ReasonToKeep, *, dry_run: bool = False
) -> HubCleanup:
    """Remove the hubs of all runs that are over, or (`dry_run`) say which would be."""
    gone: list[OldHub] = []
    kept: list[tuple[str, str]] = []
    if not dry_run:
        for draft in (data_dir / HUBS).glob(".*"):
            await asyncio.to_thread(_drop_draft, draft)
    for path in sorted((data_dir / HUBS).glob("[!.]*.git")):
        run_id = path.name.removesuffix(".git")
        reason = reason_to_keep(run_id) if is_run_id(run_id) else "nothing is known of its run"
        reason = reason or await asyncio.to_thread(_reason_inside, path)
        if reason is not None:
            kept.append((str(path), reason))
            continue
        gone.append(
            OldHub(run_id=run_id, path=str(path), size=await asyncio.to_thread(_size, path))
        )
        if not dry_run:
            await remove_hub(data_dir, run_id)
    return HubCleanup(hubs=tuple(gone), kept=tuple(kept))


async def remove_hub(data_dir: Path, run_id: str) -> None:
    """Remove a run's hub and what it keeps alive in the user's repository; it may be gone.

    A mark stays in its place, so that nobody takes its trees for lost if the run is continued.
    """
    path = hub_path(data_dir, run_id)
    if not path.exists():
        return
    await _let_go(Hub(path), run_id)

    def remove() -> None:
        cleared_mark(data_dir, run_id).touch()
        going = path.with_name(f".{path.name}.removed")
        shutil.rmtree(going, ignore_errors=True)
        path.rename(going)
        shutil.rmtree(going)

    await asyncio.to_thread(remove)


async def _let_go(hub: Hub, run_id: str) -> None:
    """Delete the refs that keep the hub's ground alive in the user's repository, if it is there."""
    try:
        common = hub.common_dir()
    except OSError:
        return
    if not common.is_dir():
        return
    git = Git(work_tree=common, git_dir=common)
    with contextlib.suppress(WorkspaceError):  # a repository that git refuses needs nothing of us
        prefix = f"{ref_of(run_slug(run_id), KEPT)}/"
        for ref in (await git.text("for-each-ref", "--format=%(refname)", prefix)).splitlines():
            await git.run("update-ref", "-d", ref, allow=(0, 1, 128))


def _reason_inside(path: Path) -> str | None:
    """What a step left that was cut off was put aside in the hub, and is nowhere else."""
    left = sorted((path / "refs" / "codetether").rglob("left-*"))
    if not left:
        return None
    ref = left[0].relative_to(path)
    return f"it alone has what a step left that was cut off ({ref}); `codetether forget` removes it"


def _drop_draft(path: Path) -> None:
    with contextlib.suppress(OSError):
        if path.name.endswith(".removed") or time.time() - path.stat().st_mtime > _DRAFT_S:
            shutil.rmtree(path)


def _size(path: Path) -> int:
    size = 0
    for place in path.rglob("*"):
        with contextlib.suppress(OSError):
            size += place.lstat().st_size
    return size
