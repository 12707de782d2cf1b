"""What `codetether doctor` looks at. Every check is real, and none needs room on the disk.

A check that cannot be made is itself a finding, never an error of the doctor's.
"""

import asyncio
import importlib.metadata
import os
import platform
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from codetether_ray.config.settings import Settings, load_settings
from codetether_ray.config.stores import open_secret_store
from codetether_ray.core.errors import CodetetherError, ConfigError

State = Literal["ok", "warn", "fail"]
_OLDEST_GIT = (2, 38)
_SHORT_BYTES, _NONE_BYTES = 2 * 1024**3, 64 * 1024**2
_AUDIT_BYTES = 64 * 1024**2
"""A longer audit log is not read whole here."""
_MANY_CHAINS = 10_000
"""More files than this make everything that reads the log slow."""
_SLOW_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One line: what was looked at, how it is, and what to do."""

    name: str
    state: State
    detail: str
    fix: str = ""


def examine(directory: Path, env: Mapping[str, str]) -> Iterator[Check]:
    """All checks, one after the other."""
    yield _guarded("python", _python)
    yield _guarded("ray", _ray)
    yield _guarded("git", _git)
    try:
        settings = load_settings(directory, env)
    except ConfigError as error:
        yield Check(name="settings", state="fail", detail=str(error))
        return
    yield Check(name="settings", state="ok", detail=f"{len(settings.listing)} keys")
    data_dir = settings.paths.data
    checks: tuple[tuple[str, Callable[[], Check]], ...] = (
        ("data directory", lambda: _data(data_dir)),
        ("file system", lambda: _file_system(data_dir)),
        ("free space", lambda: _space(data_dir)),
        ("ballast", lambda: _ballast(data_dir)),
        ("quota", lambda: _quota(settings)),
        ("keys", lambda: _keys(settings, env)),
        ("ray head", lambda: _head(data_dir)),
        ("runs", lambda: _runs(data_dir)),
        ("forgetting", lambda: _forgetting(data_dir)),
        ("archive", lambda: _archive(settings, env)),
        ("lag", lambda: _lag(settings)),
        ("audit", lambda: _audit(data_dir)),
        ("worktrees", lambda: _worktrees(directory, data_dir)),
    )
    for name, look in checks:
        yield _guarded(name, look)


def _guarded(name: str, look: Callable[[], Check]) -> Check:
    try:
        return look()
    except CodetetherError as error:
        return Check(name=name, state="fail", detail=str(error))
    except Exception as error:  # noqa: BLE001 - the other checks must still be made
        return Check(name=name, state="fail", detail=f"it cannot be checked: {error!r}")


def _python() -> Check:
    return Check(name="python", state="ok", detail=platform.python_version())


def _ray() -> Check:
    try:
        version = importlib.metadata.version("ray")
    except importlib.metadata.PackageNotFoundError:
        return Check(name="ray", state="fail", detail="not installed", fix="install codetether-ray")
    return Check(name="ray", state="ok", detail=version)


def _git() -> Check:
    fix = "install git 2.38 or newer"
    if shutil.which("git") is None:
        return Check(name="git", state="fail", detail="not found", fix=fix)
    text = subprocess.run(
        ["git", "version"], capture_output=True, text=True, timeout=_SLOW_S, check=True
    ).stdout.strip()
    version = text.removeprefix("git version ")
    digits = version.split(".")[:2]
    if all(d.isdigit() for d in digits) and tuple(map(int, digits)) < _OLDEST_GIT:
        return Check(name="git", state="fail", detail=f"{version} is too old", fix=fix)
    return Check(name="git", state="ok", detail=version)


def _data(data_dir: Path) -> Check:
    name = "data directory"
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=data_dir) as file:
            file.write(b"x" * 4096)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        fix = "make room or get the right to write there, or set CODETETHER_DATA_DIR"
        words = f"{data_dir} cannot be written: {error.strerror}"
        return Check(name=name, state="fail", detail=words, fix=fix)
    return Check(name=name, state="ok", detail=str(data_dir))


def _file_system(data_dir: Path) -> Check:
    from codetether_ray.disk.filesystem import describe

    found = describe(data_dir)
    if found.warning:
        fix = "set CODETETHER_DATA_DIR to a directory on a local disk"
        return Check(name="file system", state="warn", detail=str(found), fix=fix)
    return Check(name="file system", state="ok", detail=str(found) if found.kind else "unknown")


def _space(data_dir: Path) -> Check:
    place = next(p for p in (data_dir, *data_dir.parents) if p.exists())
    free = shutil.disk_usage(place).free
    state: State = "ok" if free >= _SHORT_BYTES else "warn" if free >= _NONE_BYTES else "fail"
    ways = {
        "ok": "",
        "warn": "make room: `codetether cleanup`, `codetether forget RUN`",
        "fail": "make room: `codetether cleanup` works here; what is audited needs a little",
    }
    fix = ways[state]
    return Check(name="free space", state=state, detail=f"{free / 1e9:.1f} GB", fix=fix)


def _ballast(data_dir: Path) -> Check:
    from codetether_ray.disk.ballast import SCARCE_BYTES

    place = data_dir / "ballast"
    is_scarce = data_dir.exists() and shutil.disk_usage(data_dir).free < SCARCE_BYTES
    if place.exists():
        held = f"{place.stat().st_size / 1e6:.1f} MB held back"
        return Check(name="ballast", state="ok", detail=held)
    if is_scarce:
        fix = "make room; the next run holds a ballast again"
        return Check(name="ballast", state="warn", detail="room is short, none is held", fix=fix)
    return Check(name="ballast", state="ok", detail="none needed")


def _quota(settings: Settings) -> Check:
    from codetether_ray.disk.quota import used_bytes
    from codetether_ray.journal.segments import events_root

    limit = settings.journal.quota_bytes
    used = used_bytes(events_root(settings.paths.data))
    words = f"runs take {used / 1e9:.2f} GB"
    if limit is None:
        return Check(name="quota", state="ok", detail=f"{words}, no quota is set")
    state: State = "ok" if used < 0.9 * limit else "warn"
    fix = "" if state == "ok" else "`codetether forget RUN`, or set archive.retention"
    detail = f"{words} of {limit / 1e9:.2f} GB"
    return Check(name="quota", state=state, detail=detail, fix=fix)


def _keys(settings: Settings, env: Mapping[str, str]) -> Check:
    async def names() -> tuple[str, tuple[str, ...]]:
        store = open_secret_store(env, settings.paths.data)
        return store.description, await store.providers()

    where, found = asyncio.run(names())
    if not found:
        fix = "`codetether auth set PROVIDER`, or use a local model"
        return Check(name="keys", state="warn", detail=f"none in the {where}", fix=fix)
    return Check(name="keys", state="ok", detail=f"{', '.join(found)} in the {where}")


def _head(data_dir: Path) -> Check:
    if not (data_dir / "ray" / "head.json").exists():
        return Check(name="ray head", state="ok", detail="none; each swarm starts its own")
    from codetether_ray.actors.head import find_head

    head = find_head(data_dir)
    if head is None:
        return Check(name="ray head", state="ok", detail="none; each swarm starts its own")
    if not head.fits:
        fix = "`codetether down`, then `codetether up`"
        words = f"{head.address} has other versions of Ray or Python"
        return Check(name="ray head", state="warn", detail=words, fix=fix)
    return Check(name="ray head", state="ok", detail=f"running at {head.address}")


def _runs(data_dir: Path) -> Check:
    from codetether_ray.journal.listing import list_runs

    runs = list_runs(data_dir)
    damaged = [r for r in runs if r.state == "damaged"]
    if damaged:
        fix = f"`codetether replay {damaged[0].id} --verify`, or bring it back from the archive"
        words = f"{len(damaged)} damaged: {damaged[0].detail}"
        return Check(name="runs", state="fail", detail=words, fix=fix)
    open_ = [r for r in runs if r.state == "interrupted"]
    words = f"{len(runs)}, of which {sum(r.state == 'running' for r in runs)} running"
    if open_:
        fix = "`codetether runs` says how each goes on"
        words = f"{words}, {len(open_)} interrupted"
        return Check(name="runs", state="warn", detail=words, fix=fix)
    return Check(name="runs", state="ok", detail=words)


def _forgetting(data_dir: Path) -> Check:
    from codetether_ray.bootstrap.forget import unfinished_tombstones

    found = unfinished_tombstones(data_dir)
    if found:
        fix = f"`codetether forget {found[0]}` finishes it"
        words = f"begun and not finished: {', '.join(found[:3])}"
        return Check(name="forgetting", state="warn", detail=words, fix=fix)
    return Check(name="forgetting", state="ok", detail="nothing half done")


def _archive(settings: Settings, env: Mapping[str, str]) -> Check:
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


def _lag(settings: Settings) -> Check:
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


def _audit(data_dir: Path) -> Check:
    """Whether it can be written, without which nothing is done, and whether it is sound."""
    from codetether_ray.audit.places import audit_dir
    from codetether_ray.audit.verify import verify
    from codetether_ray.bootstrap.run_times import run_times

    root = audit_dir(data_dir)
    trouble = _unwritable(root)
    if trouble:
        fix = "mend the directory: nothing that must be audited is done before"
        return Check(name="audit", state="fail", detail=trouble, fix=fix)
    size = sum(p.stat().st_size for p in root.rglob("*.jsonl")) if root.is_dir() else 0
    if size > _AUDIT_BYTES:
        words = f"{size / 1e6:.0f} MB, too long to be read here"
        return Check(name="audit", state="ok", detail=words, fix="`codetether audit verify`")
    report = verify(data_dir, runs=run_times(data_dir))
    if report.findings:
        fix = "`codetether audit verify` names everything"
        words = f"{len(report.findings)} finding(s): {report.findings[0].text}"
        return Check(name="audit", state="fail", detail=words, fix=fix)
    words = f"{report.chains} chains, {report.lines} lines"
    if report.chains > _MANY_CHAINS:
        return Check(name="audit", state="warn", detail=words, fix="`codetether audit retire`")
    return Check(name="audit", state="ok", detail=words)


def _unwritable(root: Path) -> str:
    """Why nobody can write an audit log there; empty if nothing is known to hinder it."""
    from codetether_ray.audit.places import key_dir, node_dir, node_name

    data_dir, node = root.parent, node_name()
    for place in (root, node_dir(data_dir, node), key_dir(data_dir)):
        if not (place.exists() or place.is_symlink()):
            continue
        if not place.is_dir():
            return f"{place} is no directory"
        if not os.access(place, os.W_OK | os.X_OK):
            return f"{place} cannot be written by this user"
    key = key_dir(data_dir) / f"{node}.key"
    if key.exists() and key.stat().st_mode & 0o077:
        return f"{key} may be read by others, so that nothing can be signed; `chmod 600 {key}`"
    return ""


def _worktrees(directory: Path, data_dir: Path) -> Check:
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
