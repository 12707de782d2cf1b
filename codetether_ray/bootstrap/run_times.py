"""When the runs of a data directory were made: the audit log must be at least as old."""

from pathlib import Path

from codetether_ray.core.ids import made_at
from codetether_ray.journal.segments import events_root


def run_times(data_dir: Path) -> list[float]:
    """In seconds since the epoch, of every run whose journal is here."""
    root = events_root(data_dir)
    names = [path.name for path in root.iterdir()] if root.is_dir() else []
    return [made for name in names if (made := made_at(name)) is not None]
