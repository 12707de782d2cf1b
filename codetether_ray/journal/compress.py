"""Sealed segments become gzip files, in the background of the process that writes the run.

The plain file goes only after the compressed one was flushed, named, read back and compared. A
crash between any two steps leaves a readable run: of a segment that is there in both forms the
plain one is read, and the work is done again.
"""

import gzip
import hashlib
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from codetether_ray.core.failpoints import hit
from codetether_ray.disk.files import AppendFile, Disk, write_all
from codetether_ray.journal.members import Table, compress_lines, index_path
from codetether_ray.journal.segments import GZIP, Segment, list_segments

MIN_BYTES = 64 * 1024
"""A shorter segment is not worth it."""

_READ_BYTES = 1024 * 1024
_NICE = 10
_UNFINISHED = ".tmp"


class _StoppedError(Exception):
    """The writer closes; what was begun is dropped."""


class _NotTheSameError(OSError):
    """What was written is not what was read."""


def _never() -> bool:
    return False


def compressible(directory: Path) -> list[Segment]:
    """The sealed segments that are still plain and worth it, but for the newest sealed one."""
    sealed = [s for s in list_segments(directory) if not s.is_open]
    return [s for s in sealed[:-1] if s.form == "plain" and (s.end or 0) - s.start >= MIN_BYTES]


def compress_segment(
    segment: Segment, disk: Disk, is_stopped: Callable[[], bool] = _never
) -> Path | None:
    """Turn a sealed segment into its compressed form; None if it was stopped meanwhile.

    Bytes of a fenced writer behind its end are not taken along.

    Raises:
        OSError: the disk refused, or gave back other bytes; the plain file is still there.
    """
    target = segment.path.with_name(segment.path.name + GZIP)
    unfinished = target.with_name(target.name + _UNFINISHED)
    unfinished.unlink(missing_ok=True)
    try:
        table, digest = _write(segment, unfinished, disk, is_stopped)
        if _digest_of(unfinished) != digest:
            raise _NotTheSameError(f"{unfinished.name} does not hold what {segment.name} does")
    except _StoppedError:
        unfinished.unlink(missing_ok=True)
        return None
    except BaseException:
        with suppress(OSError):
            unfinished.unlink(missing_ok=True)
        raise
    hit("compress.verified")
    disk.rename(unfinished, target)
    hit("compress.renamed")
    index_path(target).write_bytes(table.to_line())
    hit("compress.indexed")
    disk.sync_directory(target.parent)
    segment.path.unlink()
    hit("compress.deleted")
    return target


def _write(
    segment: Segment, target: Path, disk: Disk, is_stopped: Callable[[], bool]
) -> tuple[Table, str]:
    """Write the members of a segment; where they begin, and the SHA-256 of its lines."""
    digest = hashlib.sha256()
    offs, ats = [segment.start], [0]
    file = disk.create(target)
    try:
        with segment.path.open("rb") as source:
            for off, member in compress_lines(_own_lines(source, segment, digest), segment.start):
                if is_stopped():
                    raise _StoppedError
                write_all(file, member)
                offs.append(off)
                ats.append(ats[-1] + len(member))
        _finish(file)
    finally:
        file.close()
    if offs[-1] != segment.end:
        raise _NotTheSameError(f"{segment.name} ends too early")
    return Table(tuple(offs), tuple(ats)), digest.hexdigest()


def _finish(file: AppendFile) -> None:
    hit("compress.written")
    file.sync()
    hit("compress.flushed")


def _own_lines(source: BinaryIO, segment: Segment, digest: "hashlib._Hash") -> Iterator[bytes]:
    """The lines up to the segment's end."""
    left = (segment.end or 0) - segment.start
    for line in source:
        if left <= 0:
            return
        left -= len(line)
        digest.update(line)
        yield line


def _digest_of(path: Path) -> str:
    with gzip.open(path, "rb") as file:
        digest = hashlib.sha256()
        try:
            while data := file.read(_READ_BYTES):
                digest.update(data)
        except (EOFError, gzip.BadGzipFile) as error:
            raise _NotTheSameError(f"{path.name} cannot be read back: {error}") from error
    return digest.hexdigest()


class Compressor:
    """Compresses a run's sealed segments in a thread that lives only while there is work."""

    def __init__(self, directory: Path, disk: Disk) -> None:
        self._directory, self._disk = directory, disk
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._is_stopped = False
        self._failed: set[str] = set()

    def wake(self) -> None:
        """A segment was sealed, or a run was opened: look whether there is something to do."""
        with self._lock:
            if self._is_stopped or self._thread is not None or not self._waiting():
                return
            self._thread = threading.Thread(target=self._run, name="compressor", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """Stop soon (within a member), and wait for it. Idempotent."""
        with self._lock:
            self._is_stopped = True
            thread = self._thread
        if thread is not None:
            thread.join()

    def _waiting(self) -> list[Segment]:
        try:
            return [s for s in compressible(self._directory) if s.name not in self._failed]
        except OSError:
            return []

    def _run(self) -> None:
        with suppress(OSError, AttributeError):  # this thread alone, where the system can
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)
        while True:
            with self._lock:
                waiting = [] if self._is_stopped else self._waiting()
                if not waiting:
                    self._thread = None
                    return
            segment = waiting[0]
            try:
                compress_segment(segment, self._disk, lambda: self._is_stopped)
            except OSError:  # it stays plain: no room, or an ill disk; writing says what matters
                self._failed.add(segment.name)
