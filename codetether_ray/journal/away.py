"""Notes in the place of segments that only the archive still holds.

A note's name says which bytes are away. It holds the segment's first and last lines, so that runs
can be listed without fetching anything.
"""

import os
from contextlib import suppress
from pathlib import Path

from codetether_ray.journal.files import RunFiles
from codetether_ray.journal.segments import AWAY, Segment

HEAD_LINES = 16
"""`run.started` is among a run's first lines."""

_HEAD_BYTES = 256 * 1024


def note_away(segment: Segment, name: str) -> Path:
    """Put the note that `segment` is in the archive as `name`; the caller deletes its file.

    `name` is the segment's own, or that with `.gz` behind it. The caller flushes the directory.

    Raises:
        OSError: the note cannot be written, or the segment cannot be read.
    """
    path = segment.path.with_name(f"{name}{AWAY}")
    unfinished = segment.path.with_name(f"{name}{AWAY}.tmp")
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
    with os.fdopen(os.open(unfinished, flags, 0o600), "wb") as file:
        file.write(b"".join(_first_and_last(segment)))
        file.flush()
        os.fsync(file.fileno())
    return unfinished.replace(path)


def read_note(segment: Segment) -> list[bytes]:
    """The lines that a note holds, without their newlines; none in a bare one."""
    with suppress(FileNotFoundError):
        return segment.path.read_bytes().split(b"\n")[:-1]
    return []


def _first_and_last(segment: Segment) -> list[bytes]:
    kept: list[bytes] = []
    size, last = 0, b""
    _, file = RunFiles(segment.path.parent).open(segment)
    with file:
        for number, line in enumerate(file):
            last = line
            if number < HEAD_LINES and size + len(line) <= _HEAD_BYTES:
                size += len(line)
                kept.append(line)
    return kept if kept and kept[-1] == last else [*kept, last]
