"""Whether this machine's disk can hold runs: room, rights, kind, quota."""

import os
import shutil
import tempfile
from pathlib import Path

from codetether_ray.bootstrap.doctor.check import Check, State
from codetether_ray.bootstrap.doctor.semantics import disk_troubles
from codetether_ray.config.settings import Settings

_SHORT_BYTES, _NONE_BYTES = 2 * 1024**3, 64 * 1024**2


def data(data_dir: Path) -> Check:
    """Whether the data directory can be written, with a flush."""
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


def file_system(data_dir: Path) -> Check:
    """What kind of file system it is on."""
    from codetether_ray.disk.filesystem import describe

    found = describe(data_dir)
    if found.warning:
        fix = "set CODETETHER_DATA_DIR to a directory on a local disk"
        return Check(name="file system", state="warn", detail=str(found), fix=fix)
    return Check(name="file system", state="ok", detail=str(found) if found.kind else "unknown")


def semantics(data_dir: Path) -> Check:
    """Whether flush, rename and locks do there what the journal relies on."""
    try:
        found = disk_troubles(next(p for p in (data_dir, *data_dir.parents) if p.exists()))
    except OSError as error:
        words = f"it cannot be tried in {data_dir}: {error.strerror}"
        return Check(name="disk", state="warn", detail=words, fix="see free space and rights")
    if found:
        fix = "set CODETETHER_DATA_DIR to a directory on a local disk"
        return Check(name="disk", state="fail", detail="; ".join(found), fix=fix)
    return Check(name="disk", state="ok", detail="flush, rename, append and locks hold")


def space(data_dir: Path) -> Check:
    """How much room there is."""
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


def ballast(data_dir: Path) -> Check:
    """Whether room is held back for the end of runs."""
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


def quota(settings: Settings) -> Check:
    """What all runs take, of what they may."""
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
