"""Opens a run's segments and blobs wherever they are: here, compressed, or in the archive."""

import io
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, cast

from codetether_ray.core.errors import JournalError
from codetether_ray.journal.blobs import BLOBS, load_blob
from codetether_ray.journal.members import MemberStream
from codetether_ray.journal.segments import AWAY, Segment, list_segments

Fetch = Callable[[str, str, Path], bool]
"""Fetches a file of a run, by its name in the run's directory (`….jsonl`, `….jsonl.gz`,
`blobs/<sha256>`), from the archive to a path; False where the archive does not hold it."""

_MAGIC = b"\x1f\x8b"  # RFC 1952


class RunFiles:
    """The files of one run. What is fetched lives as long as it is open."""

    def __init__(self, directory: Path, fetch: Fetch | None = None) -> None:
        self.directory = directory
        self._fetch = fetch

    def segments(self) -> tuple[Segment, ...]:
        """The segments there are now, by start."""
        return list_segments(self.directory)

    def open(self, segment: Segment, off: int | None = None) -> tuple[Segment, BinaryIO]:
        """A segment's bytes from `off` of the stream on (its start, unless given).

        The segment is returned as it is now: meanwhile it may have been sealed or compressed.

        Raises:
            OSError: it cannot be read.
            MemberError: its compressed form is damaged.
            JournalError: it is in the archive and cannot be fetched.
        """
        try:
            return segment, self._open(segment, off)
        except FileNotFoundError:
            again = next((s for s in self.segments() if s.start == segment.start), None)
            if again is None or again.path == segment.path:
                raise
            return again, self._open(again, off)

    def blob(self, digest: str) -> bytes:
        """The bytes of a blob, checked.

        Raises:
            BlobError: it is missing or damaged, here and in the archive.
        """
        return load_blob(self.directory, digest, self._fetch_blob)

    def _open(self, segment: Segment, off: int | None) -> BinaryIO:
        off = segment.start if off is None else off
        if segment.form == "away":
            return self._open_fetched(segment, off)
        if segment.form == "gzip":
            return _open_gzip(segment.path, segment, off)
        return _open_plain(segment.path, segment, off)

    def _open_fetched(self, segment: Segment, off: int) -> BinaryIO:
        name = segment.path.name.removesuffix(AWAY)
        with tempfile.TemporaryDirectory(prefix="codetether-segment-") as folder:
            target = Path(folder) / name  # an open file stays readable when its name is gone
            if self._fetch is None or not self._fetch(self.directory.name, name, target):
                raise JournalError(
                    f"segment {name} of run {self.directory.name} is in the archive and cannot be "
                    "fetched; look at `codetether archive status`, then `codetether archive pull`"
                )
            with target.open("rb") as file:
                is_gzip = file.read(2) == _MAGIC
            return (_open_gzip if is_gzip else _open_plain)(target, segment, off)

    def _fetch_blob(self, digest: str) -> bytes | None:
        if self._fetch is None:
            return None
        with tempfile.TemporaryDirectory(prefix="codetether-blob-") as folder:
            target = Path(folder) / digest
            if not self._fetch(self.directory.name, f"{BLOBS}/{digest}", target):
                return None
            return target.read_bytes()


def _open_plain(path: Path, segment: Segment, off: int) -> BinaryIO:
    file = path.open("rb")
    file.seek(off - segment.start)
    return file


def _open_gzip(path: Path, segment: Segment, off: int) -> BinaryIO:
    assert segment.end is not None, "an open segment is not compressed"
    stream = MemberStream(path, segment.start, segment.end, off)
    return cast("BinaryIO", io.BufferedReader(stream, 64 * 1024))
