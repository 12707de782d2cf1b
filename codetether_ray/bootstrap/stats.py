"""Sums up runs from their journals, one record at a time; git says what commands changed."""

import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

from codetether_ray.bootstrap.replay import all_runs
from codetether_ray.core.errors import CodetetherError
from codetether_ray.journal.files import Fetch
from codetether_ray.journal.reader import read_records
from codetether_ray.journal.segments import list_segments, run_directory
from codetether_ray.replay.stats import KINDS, Totals
from codetether_ray.workspace.hub import hub_path


def sum_up(
    data_dir: Path,
    run_id: str | None,
    since: float,
    *,
    with_files: bool = True,
    fetch: Fetch | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[Totals, tuple[str, ...]]:
    """The sums of one run, or of all, and sentences on runs that cannot be read to their end.

    `since`: seconds since the epoch before which nothing counts. `with_files`: ask git for the
    files that commands changed. `progress` is told how many runs
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
        except CodetetherError as error:
            notes.append(f"left out from there on: {error}")
        if with_files and totals.left:
            paths, note = _changed(hub_path(data_dir, name), totals.left)
            totals.add_writes(paths)
            notes += [f"run {name}: {note}"] if note else []
            totals.left.clear()
    return totals, tuple(notes)


def _changed(hub: Path, commits: Sequence[str]) -> tuple[list[str], str]:
    """The paths that snapshots changed, one after another, and what could not be found out."""
    if not hub.is_dir():
        return [], "its hub is gone, so the files that its commands changed are not counted"
    git = ["git", "--git-dir", str(hub), "diff-tree", "--stdin", "-r", "-z", "--root"]
    done = subprocess.run(
        [*git, "--no-commit-id", "--no-renames", "--name-only"],
        input="".join(f"{commit}\n" for commit in commits).encode(),
        capture_output=True,
        check=False,
    )
    paths = done.stdout.decode(errors="replace").split("\0")[:-1]
    if done.returncode or done.stderr:
        said = done.stderr.decode(errors="replace").strip().partition("\n")[0]
        return paths, f"not all files that its commands changed are counted ({said})"
    return paths, ""


def _last_change(data_dir: Path, run_id: str) -> float:
    segments = list_segments(run_directory(data_dir, run_id))
    try:
        return max((segment.path.stat().st_mtime for segment in segments), default=float("inf"))
    except FileNotFoundError:  # sealed just now
        return float("inf")
