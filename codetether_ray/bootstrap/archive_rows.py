"""Where the Parquet copy is, and how runs come into it and out of it."""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from codetether_ray.archive.ledger import Kept, Ledger, turn
from codetether_ray.archive.push import Pushed
from codetether_ray.archive.rows import drop_run, join_days, write_rows
from codetether_ray.archive.sending import send
from codetether_ray.archive.store import ObjectStore
from codetether_ray.bootstrap.archived_run import run_ids, standing
from codetether_ray.bootstrap.tombstones import tombstone_path
from codetether_ray.core.errors import CodetetherError
from codetether_ray.journal.listing import find_run
from codetether_ray.journal.reader import read_lines

PARQUET = "parquet"
"""The folder of the copy, below the data directory and in the archive."""
_MADE = "_made"  # how far each run is in the copy; readers of Parquet pass over such names


def parquet_root(data_dir: Path) -> Path:
    """The copy's folder."""
    return data_dir / PARQUET


def make_rows(data_dir: Path, run_id: str) -> list[Path]:
    """Bring a finished run's new lines into the copy; the files that were written.

    Raises:
        CodetetherError: the run cannot be read.
    """
    if tombstone_path(data_dir, run_id).exists():
        return []
    note = parquet_root(data_dir) / _MADE / run_id
    done = int(note.read_text("ascii")) if note.exists() else 0
    end = standing(data_dir, run_id).end
    if done >= end or find_run(data_dir, run_id).state != "finished":
        return []
    lines = (line for line in read_lines(data_dir, run_id) if line.place.off >= done)
    files = write_rows(parquet_root(data_dir), run_id, (line.data for line in lines))
    note.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    note.write_text(str(end), encoding="ascii")
    return files


def make_all_rows(data_dir: Path) -> None:
    """Bring every finished run into the copy; those that cannot be read are left out."""
    for run_id in run_ids(data_dir):
        try:
            make_rows(data_dir, run_id)
        except CodetetherError:
            continue


def push_rows(
    store: ObjectStore, data_dir: Path, run_id: str, progress: Callable[[Kept], None]
) -> Pushed:
    """Bring a run into the copy, and send the files that the archive lacks.

    Raises:
        ArchiveError: it stopped there; it can be tried again.
    """
    make_rows(data_dir, run_id)
    with turn(data_dir, PARQUET) as is_mine:
        return _send(store, data_dir, progress) if is_mine else Pushed()


def join_rows(data_dir: Path) -> None:
    """Join the small files of days that are over; the next push sends the joined ones."""
    with turn(data_dir, PARQUET) as is_mine:
        root = parquet_root(data_dir)
        if is_mine and root.is_dir():
            join_days(root, datetime.fromtimestamp(time.time(), UTC).date().isoformat())


def forget_rows(data_dir: Path, run_id: str) -> None:
    """Take a run out of the copy here; the archive follows with `send_rows`."""
    drop_run(parquet_root(data_dir), run_id)
    (parquet_root(data_dir) / _MADE / run_id).unlink(missing_ok=True)


def send_rows(store: ObjectStore, data_dir: Path) -> Pushed:
    """Make the archive's copy the same as this one."""
    with turn(data_dir, PARQUET) as is_mine:
        return _send(store, data_dir, lambda _: None) if is_mine else Pushed()


def _send(store: ObjectStore, data_dir: Path, progress: Callable[[Kept], None]) -> Pushed:
    root, ledger, total = parquet_root(data_dir), Ledger.load(data_dir, PARQUET), Pushed()
    if not root.is_dir():  # never made here, or taken away to be made again
        return total
    here = {p.relative_to(root).as_posix(): p for p in root.glob("date=*/kind=*/*.parquet")}
    for name, path in sorted(here.items()):
        if name not in ledger.kept:
            kept = send(store, f"{PARQUET}/{name}", path, name=name, replace=True)
            ledger.keep(kept)
            progress(kept)
            total += Pushed(objects=1, bytes=kept.size)
    for name in [name for name in ledger.kept if name not in here]:
        store.wipe(f"{PARQUET}/{name}")
        ledger.drop(name)
    return total
