"""Sums up runs from their journals, one record at a time."""

from collections.abc import Callable
from pathlib import Path

from codetether_ray.bootstrap.replay import all_runs
from codetether_ray.core.errors import JournalError
from codetether_ray.journal.files import Fetch
from codetether_ray.journal.reader import read_records
from codetether_ray.journal.segments import list_segments, run_directory
from codetether_ray.replay.stats import KINDS, Totals


def sum_up(
    data_dir: Path,
    run_id: str | None,
    since: float,
    *,
    fetch: Fetch | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[Totals, tuple[str, ...]]:
    """The sums of one run, or of all, and sentences on runs that cannot be read to their end.

    `since`: seconds since the epoch before which nothing counts. `progress` is told how many runs
    of how many are summed up.
    """
    run_ids = all_runs(data_dir) if run_id is None else (run_id,)
    totals, notes = Totals(), []
    for number, name in enumerate(run_ids):
        if progress is not None:
            progress(number, len(run_ids))
        if _last_change(data_dir, name) < since:
            continue
        try:
            for record in read_records(data_dir, name, kinds=KINDS, fetch=fetch):
                if record.time >= since:
                    totals.add(record)
        except JournalError as error:
            notes.append(str(error))
    return totals, tuple(notes)


def _last_change(data_dir: Path, run_id: str) -> float:
    segments = list_segments(run_directory(data_dir, run_id))
    try:
        return max((segment.path.stat().st_mtime for segment in segments), default=float("inf"))
    except FileNotFoundError:  # sealed just now
        return float("inf")
