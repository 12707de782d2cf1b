"""Names of a run's segments, and where a run's files are.

A segment is `{YYYYmmddTHHMMSSZ}-chat-events-{start:020}-{end:020}.jsonl`; `start` and `end` are
byte offsets of the run's stream, and the active one has `open` for its end.
"""

import re
import time
from dataclasses import dataclass
from pathlib import Path

from codetether_ray.core.errors import UnknownRunError
from codetether_ray.core.ids import is_run_id

DEFAULT_SEGMENT_BYTES = 64 * 1024 * 1024

_NAME = re.compile(r"(\d{8}T\d{6}Z)-chat-events-(\d{20})-(\d{20}|open)\.jsonl")


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """One file of a run's stream; `end` is None while it is open."""

    path: Path
    start: int
    end: int | None

    @property
    def is_open(self) -> bool:
        """Whether it may still grow."""
        return self.end is None


def events_root(data_dir: Path) -> Path:
    """The directory of all runs."""
    return data_dir / "events"


def run_directory(data_dir: Path, run_id: str) -> Path:
    """The directory of one run.

    Raises:
        UnknownRunError: the id has not the form of one, so a path could hide in it.
    """
    if not is_run_id(run_id):
        raise UnknownRunError(run_id)
    return events_root(data_dir) / run_id


def open_name(start: int, now: float) -> str:
    """The name of a new active segment. `now` is in seconds since the epoch."""
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))
    return f"{stamp}-chat-events-{start:020}-open.jsonl"


def sealed_name(name: str, end: int) -> str:
    """The name that the open segment `name` gets when it ends at `end`."""
    return name.replace("-open.jsonl", f"-{end:020}.jsonl")


def list_segments(directory: Path) -> tuple[Segment, ...]:
    """The segments in `directory`, by start; nothing if there is no directory."""
    found = []
    if directory.is_dir():
        for path in directory.iterdir():
            match = _NAME.fullmatch(path.name)
            if match:
                end = None if match[3] == "open" else int(match[3])
                found.append(Segment(path=path, start=int(match[2]), end=end))
    return tuple(sorted(found, key=lambda s: (s.start, s.is_open)))
