"""What lies in the data directory: runs, half-forgotten ones, the archive, worktrees."""

import asyncio
import time
from collections.abc import Mapping
from pathlib import Path

from codetether_ray.bootstrap.doctor.check import Check
from codetether_ray.config.settings import Settings
from codetether_ray.core.errors import CodetetherError


def runs(data_dir: Path) -> Check:
    """Damaged and interrupted runs."""
    from codetether_ray.journal.listing import list_runs

    found = list_runs(data_dir)
    damaged = [r for r in found if r.state == "damaged"]
    if damaged:
        fix = f"`codetether replay {damaged[0].id} --verify`, or bring it back from the archive"
        words = f"{len(damaged)} damaged: {damaged[0].detail}"
        return Check(name="runs", state="fail", detail=words, fix=fix)
    open_ = [r for r in found if r.state == "interrupted"]
    words = f"{len(found)}, of which {sum(r.state == 'running' for r in found)} running"
    if open_:
        fix = "`codetether runs` says how each goes on"
        words = f"{words}, {len(open_)} interrupted"
        return Check(name="runs", state="warn", detail=words, fix=fix)
    return Check(name="runs", state="ok", detail=words)


def forgetting(data_dir: Path) -> Check:
    """What `forget` began and did not finish."""
    from codetether_ray.bootstrap.forget import unfinished_tombstones

    found = unfinished_tombstones(data_dir)
    if found:
        fix = f"`codetether forget {found[0]}` finishes it"
        words = f"begun and not finished: {', '.join(found[:3])}"
        return Check(name="forgetting", state="warn", detail=words, fix=fix)
    return Check(name="forgetting", state="ok", detail="nothing half done")


def archive(settings: Settings, env: Mapping[str, str]) -> Check:
    """Whether the archive answers."""
    from codetether_ray.bootstrap.archiving.opening import open_archive

    if settings.archive.bucket is None:
        words = "none is set: what is lost here is lost"
        fix = "`codetether config set archive.bucket NAME`"
        return Check(name="archive", state="ok", detail=words, fix=fix)
    store = open_archive(settings, env)
    assert store is not None, "there is a bucket"
    next(iter(store.stored("reachable/")), None)
    sync = ", nothing counts before it is there" if settings.archive.sync else ""
    return Check(name="archive", state="ok", detail=f"{store.place} answers{sync}")


def lag(settings: Settings) -> Check:
    """What the loss of this machine would cost now."""
    from codetether_ray.bootstrap.archiving.opening import place_of
    from codetether_ray.bootstrap.archiving.standing import run_ids, standing

    place = place_of(settings)
    rows = [standing(settings.paths.data, run_id, place) for run_id in run_ids(settings.paths.data)]
    behind = [row for row in rows if row.lag_bytes]
    if not behind:
        return Check(name="lag", state="ok", detail="the loss of this machine would cost nothing")
    words = (
        f"the loss of this machine would cost {sum(r.lag_bytes for r in behind)} bytes of "
        f"{len(behind)} run(s), the oldest {max(r.lag_s for r in behind):.0f} s old"
    )
    if settings.archive.bucket is None:
        return Check(name="lag", state="ok", detail=words)
    is_idle = any(not row.is_running for row in behind)
    fix = "`codetether archive push --all`" if is_idle else ""
    return Check(name="lag", state="warn" if is_idle else "ok", detail=words, fix=fix)


def worktrees(directory: Path, data_dir: Path) -> Check:
    """Worktrees and branches that hold nothing of their own."""
    from codetether_ray.journal.listing import find_run
    from codetether_ray.workspace.cleanup import Cleanup, clean, clean_copies
    from codetether_ray.workspace.open import COPIES
    from codetether_ray.workspace.repository import find_repository

    def is_finished(run_id: str) -> bool:
        try:
            return find_run(data_dir, run_id).state == "finished"
        except CodetetherError:
            return False

    async def look() -> Cleanup:
        repository = await find_repository(directory)
        total = Cleanup()
        if repository is not None:
            total += await clean(repository, is_finished, dry_run=True)
        return total + await clean_copies(data_dir / COPIES, is_finished, dry_run=True)

    began = time.monotonic()
    found = asyncio.run(look())
    stale = len(found.worktrees) + len(found.branches)
    if stale:
        words = f"{stale} worktree(s) and branch(es) of finished runs hold nothing of their own"
        return Check(name="worktrees", state="warn", detail=words, fix="`codetether cleanup`")
    slow = f", looked for {time.monotonic() - began:.0f} s"
    words = f"none is stale{slow if time.monotonic() - began > 1 else ''}"
    return Check(name="worktrees", state="ok", detail=words)
