"""Local files of finished runs go once the archive has had them long enough."""

import time
from pathlib import Path

from codetether_ray.archive.ledger import Ledger, turn
from codetether_ray.bootstrap.archived_run import run_ids, standing
from codetether_ray.core import failpoints
from codetether_ray.core.errors import CodetetherError
from codetether_ray.disk.files import RealDisk
from codetether_ray.journal.away import note_away
from codetether_ray.journal.blobs import BLOBS
from codetether_ray.journal.listing import find_run
from codetether_ray.journal.lock import RunLock
from codetether_ray.journal.recovery import recover
from codetether_ray.journal.segments import AWAY, list_segments, run_directory


def apply_retention(data_dir: Path, retention_s: float, now: float | None = None) -> list[str]:
    """Delete sealed segments and blobs that were verified that long ago; the runs concerned.

    A note stays in each segment's place, so that readers fetch it from the archive. Only runs
    that have ended are touched, and nothing whose read-back was not right.
    """
    now = time.time() if now is None else now
    done = []
    for run_id in run_ids(data_dir):
        try:
            is_finished = find_run(data_dir, run_id).state == "finished"
        except CodetetherError:
            continue
        if is_finished and _release(data_dir, run_id, now - retention_s):
            done.append(run_id)
    return done


def _release(data_dir: Path, run_id: str, before: float) -> bool:
    with turn(data_dir, run_id) as is_mine:
        if not is_mine:
            return False
        ledger = Ledger.load(data_dir, run_id)
        if not ledger.kept or max(kept.at for kept in ledger.kept.values()) > before:
            return False
        directory = run_directory(data_dir, run_id)
        if any(s.is_open for s in list_segments(directory)):
            _seal(data_dir, run_id)  # the next push sends it whole; a later round lets it go
            return False
        if standing(data_dir, run_id).lag_bytes:
            return False
        return _delete(directory, ledger)


def _seal(data_dir: Path, run_id: str) -> None:
    """Give a finished run's last segment its final name."""
    directory = run_directory(data_dir, run_id)
    lock = RunLock(run_id, directory)
    try:
        recover(run_id, directory, RealDisk())
    finally:
        lock.release()


def _delete(directory: Path, ledger: Ledger) -> bool:
    """Replace segments by notes, and take blobs away, if the archive has them."""
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
