"""Names of a run's segments, and where a run's files are.

A segment is `{YYYYmmddTHHMMSSZ}-chat-events-{start:020}-{end:020}.jsonl`; `start` and `end` are
byte offsets of the run's stream, and the active one has `open` for its end. A compressed one has
`.gz` behind its name, and one that only the archive still holds `.away`: a note in its place.
"""

import os
import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from codetether_ray.core.errors import UnknownRunError
from codetether_ray.core.ids import is_run_id

DEFAULT_SEGMENT_BYTES = 64 * 1024 * 1024

GZIP = ".gz"
AWAY = ".away"

_NAME = re.compile(r"((\d{8}T\d{6}Z)-chat-events-(\d{20})-(\d{20}|open)\.jsonl)(\.gz)?(\.away)?")

_GEN = re.compile(rb'^\{"v":\d+,"seq":\d+,"off":\d+,"gen":(\d+),')

Form = Literal["plain", "gzip", "away"]
_BEST: tuple[Form, ...] = ("plain", "gzip", "away")


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """One piece of a run's stream; `end` is None while it is open.

    `form` says what is at `path`: its bytes, its bytes compressed, or a note that the archive has
    them. `name` is the same in all forms.
    """

    path: Path
    start: int
    end: int | None
    form: Form = "plain"
    name: str = ""

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
    """The segments in `directory`, by start; nothing if there is no directory.

    Of one that is there in several forms (a crash came between) the plain one is named.
    """
    found: dict[str, Segment] = {}
    names = [entry.name for entry in os.scandir(directory)] if directory.is_dir() else []
    for name in names:
        segment = _segment(directory, name)
        if segment is not None:
            known = found.get(segment.name)
            if known is None or _BEST.index(segment.form) < _BEST.index(known.form):
                found[segment.name] = segment
    return _only_newest(sorted(found.values(), key=lambda s: s.start))


def list_strays(directory: Path) -> tuple[Segment, ...]:
    """Segments that a fenced writer began where a newer one had begun its own."""
    known = {segment.name for segment in list_segments(directory)}
    names = [entry.name for entry in os.scandir(directory)] if directory.is_dir() else []
    found = [_segment(directory, name) for name in sorted(names)]
    return tuple(segment for segment in found if segment and segment.name not in known)


def _only_newest(segments: list[Segment]) -> tuple[Segment, ...]:
    """Of several with one start, the one of the highest generation."""
    kept: list[Segment] = []
    for segment in segments:
        if kept and kept[-1].start == segment.start:
            kept[-1] = max(kept[-1], segment, key=lambda s: (_generation(s), not s.is_open))
        else:
            kept.append(segment)
    return tuple(kept)


def _generation(segment: Segment) -> int:
    """The generation of a segment's first line; 0 where there is none, -1 if it is gone."""
    if segment.form != "plain":
        return 0
    try:
        with segment.path.open("rb") as file:
            match = _GEN.search(file.readline())
    except FileNotFoundError:  # sealed just now: its other name is listed, too
        return -1
    return int(match[1]) if match else 0


def _segment(directory: Path, name: str) -> Segment | None:
    match = _NAME.fullmatch(name)
    if match is None or (match[4] == "open" and (match[5] or match[6])):
        return None
    form: Form = "away" if match[6] else "gzip" if match[5] else "plain"
    end = None if match[4] == "open" else int(match[4])
    path = directory / name
    return Segment(path=path, start=int(match[3]), end=end, form=form, name=match[1])
