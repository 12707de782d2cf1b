"""Compressed segments: gzip members of whole lines, so that any part can be read alone.

`zcat` reads the file as it is. Which offset of the stream begins in which member is noted beside
it (`….gz.index`): derived, checked when read, and made anew from the file where it is wrong.
"""

import gzip
import io
import json
import zlib
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

MEMBER_BYTES = 1024 * 1024
"""A member ends with the line that reaches this length."""

_LEVEL = 6
_READ_BYTES = 256 * 1024
_GZIP = 31  # zlib's word for: a gzip header and trailer, whose checksum is checked


class MemberError(ValueError):
    """A compressed segment is damaged at `off` of the stream."""

    def __init__(self, off: int, detail: str) -> None:
        super().__init__(off, detail)
        self.off, self.detail = off, detail

    def __str__(self) -> str:
        return self.detail


@dataclass(frozen=True, slots=True)
class Table:
    """Where members begin: offsets of the stream, and of the file; both end with the end."""

    offs: tuple[int, ...]
    ats: tuple[int, ...]

    def to_line(self) -> bytes:
        """Its text, with a checksum."""
        text = json.dumps({"v": 1, "offs": self.offs, "ats": self.ats}, separators=(",", ":"))
        return f"{zlib.crc32(text.encode()):08x} {text}\n".encode()


def index_path(path: Path) -> Path:
    """Where the table of the compressed segment `path` is kept."""
    return path.with_name(f"{path.name}.index")


def compress_lines(source: Iterable[bytes], start: int) -> Iterator[tuple[int, bytes]]:
    """The members of `source`'s lines: each one's end in the stream, and its bytes."""
    off, waiting, length = start, list[bytes](), 0
    for line in source:
        waiting.append(line)
        length += len(line)
        if length >= MEMBER_BYTES:
            off += length
            yield off, gzip.compress(b"".join(waiting), _LEVEL, mtime=0)
            waiting, length = [], 0
    if waiting:
        yield off + length, gzip.compress(b"".join(waiting), _LEVEL, mtime=0)


def load_table(path: Path, start: int, end: int) -> Table:
    """The table of a compressed segment: what is noted, or derived where that is wrong.

    Raises:
        MemberError: the file is damaged.
        OSError: it cannot be read.
    """
    size = path.stat().st_size
    with suppress(OSError, ValueError, KeyError, TypeError):
        noted = _parse(index_path(path).read_bytes())
        if (noted.offs[0], noted.offs[-1], noted.ats[-1]) == (start, end, size):
            return noted
    table = derive_table(path, start)
    with suppress(OSError):
        index_path(path).write_bytes(table.to_line())
    return table


def _parse(line: bytes) -> Table:
    checksum, _, text = line.rstrip(b"\n").partition(b" ")
    if checksum != b"%08x" % zlib.crc32(text):
        raise ValueError("its checksum is wrong")
    data = json.loads(text)
    return Table(tuple(map(int, data["offs"])), tuple(map(int, data["ats"])))


def derive_table(path: Path, start: int) -> Table:
    """Read the whole file and note where its members begin.

    Raises:
        MemberError: it is damaged.
    """
    offs, ats = [start], [0]
    with path.open("rb") as file:
        rest = file.read(_READ_BYTES)
        while rest:
            off, used, rest = _skip_member(file, rest, offs[-1])
            offs.append(off)
            ats.append(ats[-1] + used)
    return Table(tuple(offs), tuple(ats))


def _skip_member(file: BinaryIO, data: bytes, off: int) -> tuple[int, int, bytes]:
    """Where the member that begins with `data` ends, its length in the file, what follows."""
    inflate, used, at = zlib.decompressobj(_GZIP), 0, off
    while True:
        try:
            at += len(inflate.decompress(data))
        except zlib.error as error:
            raise MemberError(off, f"a compressed part is damaged ({error})") from error
        used += len(data) - len(inflate.unused_data)
        if inflate.eof:
            return at, used, inflate.unused_data or file.read(_READ_BYTES)
        data = file.read(_READ_BYTES)
        if not data:
            raise MemberError(off, "a compressed part ends too early")


class MemberStream(io.RawIOBase):
    """The lines of a compressed segment from an offset on, one member in memory at a time."""

    def __init__(self, path: Path, start: int, end: int, off: int) -> None:
        """Begin at `off` of the stream.

        Raises:
            MemberError: the file is damaged.
            OSError: it cannot be read.
        """
        super().__init__()
        self._path, self._start = path, start
        self._table = load_table(path, start, end)
        self._file = path.open("rb")
        self._next = max(0, bisect_right(self._table.offs, off) - 1)
        self._data = memoryview(b"")
        if self._next < len(self._table.offs) - 1:
            begin = self._table.offs[self._next]
            self._fill()
            self._data = self._data[off - begin :]

    def readable(self) -> bool:
        """It is there to be read."""
        return True

    def readinto(self, buffer: "memoryview[int]") -> int:  # type: ignore[override]
        """The next bytes; 0 at the end.

        Raises:
            MemberError: a member is damaged.
        """
        if not self._data and self._next < len(self._table.offs) - 1:
            self._fill()
        taken = min(len(buffer), len(self._data))
        buffer[:taken] = self._data[:taken]
        self._data = self._data[taken:]
        return taken

    def close(self) -> None:
        """Let go of the file."""
        if not self.closed:
            self._file.close()
        super().close()

    def _fill(self) -> None:
        try:
            data = self._member(self._next)
        except MemberError:  # the file's fault, or the table's
            self._table = derive_table(self._path, self._start)
            data = self._member(self._next)
        self._data = memoryview(data)
        self._next += 1

    def _member(self, number: int) -> bytes:
        offs, ats = self._table.offs, self._table.ats
        self._file.seek(ats[number])
        wanted = offs[number + 1] - offs[number]
        inflate = zlib.decompressobj(_GZIP)
        try:
            data = inflate.decompress(self._file.read(ats[number + 1] - ats[number]), wanted + 1)
        except zlib.error as error:
            detail = f"a compressed part is damaged ({error})"
            raise MemberError(offs[number], detail) from error
        if len(data) != wanted or not inflate.eof:
            raise MemberError(offs[number], "a compressed part has not its length")
        return data
