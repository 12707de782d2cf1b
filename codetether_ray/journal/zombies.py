"""Bytes that a fenced writer left after its run was taken over: kept aside, and told.

It got no acknowledgement for them, and readers stop at a segment's end: nothing is lost by taking
them out of the stream. A file `zombie-…` keeps them for whoever wants to know.
"""

import os
from pathlib import Path

from codetether_ray.core.codec import JsonObject
from codetether_ray.disk.files import Disk
from codetether_ray.journal.segments import list_segments, list_strays


def keep_zombies(directory: Path, generation: int, disk: Disk) -> tuple[JsonObject, ...]:
    """Take such bytes out of a run whose lock is held: where they were, how many, and the file.

    Raises:
        OSError: the disk refused.
    """
    found: list[JsonObject] = []
    for stray in list_strays(directory):
        kept = f"zombie-{stray.start:020}-gen{generation}"
        size = stray.path.stat().st_size
        disk.rename(stray.path, directory / kept)
        found.append({"segment": stray.name, "offset": 0, "bytes": size, "kept": kept})
    for segment in list_segments(directory):
        if segment.end is None or segment.form != "plain":
            continue
        length = segment.end - segment.start
        more = segment.path.stat().st_size - length
        if more > 0:
            kept = f"zombie-{segment.end:020}-gen{generation}"
            keep_aside(segment.path, length, kept)
            _cut(disk, segment.path, length)
            found.append({"segment": segment.name, "offset": length, "bytes": more, "kept": kept})
    if found:
        disk.sync_directory(directory)
    return tuple(found)


def keep_aside(path: Path, length: int, name: str) -> None:
    """Copy what is behind `length` in the file into one of its own, and flush that."""
    with path.open("rb") as data:
        data.seek(length)
        rest = data.read()
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
    with os.fdopen(os.open(path.with_name(name), flags, 0o600), "wb") as file:
        file.write(rest)
        file.flush()
        os.fsync(file.fileno())


def _cut(disk: Disk, path: Path, length: int) -> None:
    file = disk.open(path)
    try:
        file.truncate(length)
        file.sync()
    finally:
        file.close()
