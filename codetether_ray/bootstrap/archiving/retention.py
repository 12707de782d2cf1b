"""Local files of finished runs go once the archive has had them long enough."""

import time
from pathlib import Path

from codetether_ray.archive.ledger import Ledger, turn
from codetether_ray.archive.store import ObjectStore
from codetether_ray.bootstrap.archiving.standing import run_ids, standing
from codetether_ray.core import failpoints
from codetether_ray.core.errors import CodetetherError
from codetether_ray.disk.files import RealDisk
from codetether_ray.journal.away import note_away
from codetether_ray.journal.blobs import BLOBS
from codetether_ray.journal.listing import find_run
from codetether_ray.journal.lock import RunLock
from codetether_ray.journal.recovery import recover
from codetether_ray.journal.segments import AWAY, list_segments, run_directory

_IDLE_S = 3600.0
"""A finished run is sealed once nothing was sent of it for so long."""


def apply_retention(
    store: ObjectStore, data_dir: Path, retention_s: float, now: float | None = None
) -> list[str]:
    """Delete sealed segments and blobs that were verified that long ago; the runs concerned.

    A note stays in each segment's place, so that readers fetch it from the archive. Only runs
    that have ended are touched, and nothing whose read-back was not right, or which the archive
    has lost since.

    Raises:
        ArchiveError: the archive cannot be asked.
    """
    now = time.time() if now is None else now
    done = []
    for run_id in run_ids(data_dir):
        try:
            is_finished = _is_here(data_dir, run_id) and (
                find_run(data_dir, run_id).state == "finished"
            )
        except CodetetherError:
            continue
        if is_finished and _release(store, data_dir, run_id, now, retention_s):
            done.append(run_id)
    return done


def _is_here(data_dir: Path, run_id: str) -> bool:
    """Whether something of a run may go."""
    directory = run_directory(data_dir, run_id)
    return any(s.form != "away" for s in list_segments(directory)) or (directory / BLOBS).is_dir()


def _release(
    store: ObjectStore, data_dir: Path, run_id: str, now: float, retention_s: float
) -> bool:
    with turn(data_dir, run_id) as is_mine:
        if not is_mine:
            return False
        ledger = Ledger.load(data_dir, run_id, store.place)
        idle_s = now - max((kept.at for kept in ledger.kept.values()), default=now)
        directory = run_directory(data_dir, run_id)
        if idle_s < min(retention_s, _IDLE_S):
            return False
        if any(s.is_open for s in list_segments(directory)):
            _seal(data_dir, run_id)  # the next push sends it whole; a later round lets it go
            ledger.unsettle()
            return False
        if idle_s < retention_s or standing(data_dir, run_id, store.place).lag_bytes:
            return False
        return _delete(store, directory, ledger)


def _seal(data_dir: Path, run_id: str) -> None:
    """Give a finished run's last segment its final name."""
    directory = run_directory(data_dir, run_id)
    lock = RunLock(run_id, directory)
    try:
        recover(run_id, directory, RealDisk())
    finally:
        lock.release()


def _delete(store: ObjectStore, directory: Path, ledger: Ledger) -> bool:
    """Replace segments by notes, and take blobs away, if the archive (still) has them."""
    if _drop_lost(store, directory.name, ledger):
        return False
    segments = [s for s in list_segments(directory) if s.form != "away"]
    kept = ledger.kept
    segments = [s for s in segments if s.name in kept or f"{s.name}.gz" in kept]
    room = directory / BLOBS
    blobs = [p for p in room.iterdir() if f"{BLOBS}/{p.name}" in kept] if room.is_dir() else []
    if not segments and not blobs:
        return False
    ledger.note_gone([s.name for s in segments] + [f"{BLOBS}/{p.name}" for p in blobs])
    for segment in segments:
        there = segment.name if segment.name in kept else f"{segment.name}.gz"
        note_away(segment, there)
    RealDisk().sync_directory(directory)
    for segment in segments:
        for path in directory.glob(f"{segment.name}*"):
            if path.suffix != AWAY:
                path.unlink()
    for path in blobs:
        path.unlink()
    failpoints.hit("archive.deleted_locally")
    return True


def _drop_lost(store: ObjectStore, run_id: str, ledger: Ledger) -> bool:
    """Whether something that was there is there no more; it is sent again."""
    lost = [
        kept.name
        for kept in tuple(ledger.kept.values())
        if store.promised(f"{run_id}/{kept.name}") != kept.sha256
    ]
    for name in lost:
        ledger.drop(name)
    if lost:
        ledger.unsettle()
    return bool(lost)
