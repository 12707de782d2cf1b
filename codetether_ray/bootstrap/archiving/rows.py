"""Where the Parquet copy is, and how runs come into it and out of it."""

import contextlib
import itertools
import os
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from codetether_ray.archive.ledger import Kept, Ledger, turn
from codetether_ray.archive.push import Pushed
from codetether_ray.archive.query import Question, ask
from codetether_ray.archive.rows import drop_rows, drop_run, finish, join_days, write_rows
from codetether_ray.archive.sending import send
from codetether_ray.archive.store import ObjectStore
from codetether_ray.bootstrap.archiving.standing import changed_at, run_ids, stream_end
from codetether_ray.bootstrap.tombstones import tombstone_path
from codetether_ray.core import failpoints
from codetether_ray.core.errors import CodetetherError
from codetether_ray.journal.encode import load_payload
from codetether_ray.journal.files import Fetch, RunFiles
from codetether_ray.journal.listing import find_run
from codetether_ray.journal.reader import read_lines
from codetether_ray.journal.segments import run_directory

PARQUET = "parquet"
"""The folder of the copy, below the data directory and in the archive."""
_MADE = "_made"  # how far each run is in the copy; readers of Parquet pass over such names
_BEGUN = "+"  # behind that number: what follows is being written
_TURN_S = 0.05
_BATCH = 20_000
"""Lines at once: a few ten MB."""


def parquet_root(data_dir: Path) -> Path:
    """The copy's folder."""
    return data_dir / PARQUET


def update_rows(
    data_dir: Path, *, fetch: Fetch | None = None, day: str | None = None
) -> tuple[str, ...]:
    """Bring every finished run's new lines into the copy, and join the files of days before `day`.

    `fetch` gets what only the archive still holds. What cannot be read is left out; a sentence
    for each such run. `day` is today (ISO, UTC), unless given.
    """
    troubles = []
    with _held(data_dir):
        root = parquet_root(data_dir)
        finish(root)
        for run_id in run_ids(data_dir):
            try:
                _bring_in(data_dir, run_id, fetch)
            except CodetetherError as error:
                troubles.append(str(error))
        if root.is_dir():
            join_days(root, day or datetime.fromtimestamp(time.time(), UTC).date().isoformat())
    return tuple(troubles)


def _bring_in(data_dir: Path, run_id: str, fetch: Fetch | None) -> None:
    changed = changed_at(data_dir, run_id)
    note = parquet_root(data_dir) / _MADE / run_id
    with contextlib.suppress(FileNotFoundError):
        if note.stat().st_mtime_ns == changed:
            return
    text = note.read_text("ascii") if note.exists() else "0"
    done, end = int(text.removesuffix(_BEGUN)), stream_end(data_dir, run_id)
    if tombstone_path(data_dir, run_id).exists() or done >= end:
        return
    if find_run(data_dir, run_id).state != "finished":
        return
    root = parquet_root(data_dir)
    if text.endswith(_BEGUN):
        drop_rows(root, run_id, done)
    _note(note, f"{done}{_BEGUN}")
    lines = _lines(data_dir, run_id, done, end, fetch)
    while batch := list(itertools.islice(lines, _BATCH)):
        write_rows(root, run_id, batch)
    failpoints.hit("rows.written")
    _note(note, str(end))
    os.utime(note, ns=(changed, changed))


def _lines(
    data_dir: Path, run_id: str, start: int, end: int, fetch: Fetch | None
) -> Iterator[dict[str, Any]]:
    files = RunFiles(run_directory(data_dir, run_id), fetch)
    for line in read_lines(data_dir, run_id, start=start, until=end, fetch=fetch):
        blob = line.data.get("blob")
        apart = {} if blob is None else {"apart": load_payload(blob["sha256"], files)}
        yield {**line.data, **apart}


def ask_rows(data_dir: Path, question: Question) -> list[dict[str, Any]]:
    """Ask the copy, while nobody changes it.

    Raises:
        UsageError: a column does not exist, or cannot be summed up.
    """
    with _held(data_dir):
        return ask(parquet_root(data_dir), question)


def forget_rows(data_dir: Path, run_id: str) -> None:
    """Take a run out of the copy here; the archive follows with `send_rows`."""
    with _held(data_dir):
        root = parquet_root(data_dir)
        finish(root)
        drop_run(root, run_id)
        (root / _MADE / run_id).unlink(missing_ok=True)


def send_rows(
    store: ObjectStore, data_dir: Path, progress: Callable[[Kept], None] = lambda _: None
) -> Pushed:
    """Make the archive's copy the same as this one.

    Raises:
        ArchiveError: it stopped there; it can be tried again.
    """
    with turn(data_dir, PARQUET) as is_mine:
        return _send(store, data_dir, progress) if is_mine else Pushed()


def _send(store: ObjectStore, data_dir: Path, progress: Callable[[Kept], None]) -> Pushed:
    root, ledger, total = (
        parquet_root(data_dir),
        Ledger.load(data_dir, PARQUET, store.place),
        Pushed(),
    )
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


@contextlib.contextmanager
def _held(data_dir: Path) -> Iterator[None]:
    """Wait until no other process changes the copy, and keep others from it."""
    while True:
        with turn(data_dir, PARQUET) as is_mine:
            if is_mine:
                yield
                return
        time.sleep(_TURN_S)


def _note(path: Path, text: str) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.new")
    draft.write_text(text, encoding="ascii")
    draft.replace(path)
