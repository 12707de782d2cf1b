"""Finds a marked secret in files, in the spellings in which one slips out.

Looked for, in text and binary files alike: the bytes themselves, JSON, URL and shell escapes,
base64 (at each of its three alignments, both alphabets), hexadecimal, UTF-16, and all of these
inside gzip files.
"""

import base64
import gzip
import json
import os
import stat
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, cast
from urllib.parse import quote

_CHUNK = 1 << 20
_GZIP = b"\x1f\x8b"


def find_leaks(marker: str, roots: Iterable[Path]) -> list[Path]:
    """Every regular file under `roots` that holds `marker` in some spelling, sorted.

    File names count too. Links are not followed; files that vanish meanwhile are left out.

    Raises:
        ValueError: the marker is too short to be told from chance.
        PermissionError: a file cannot be read, so that nothing can be promised.
    """
    if len(marker) < 8:
        raise ValueError("a marker needs 8 characters or more")
    needles = _spellings(marker)
    return sorted({path for root in roots for path in _files(root) if _holds(path, needles)})


def _spellings(marker: str) -> frozenset[bytes]:
    plain = marker.encode()
    found = {
        plain,
        json.dumps(marker)[1:-1].encode(),
        json.dumps(json.dumps(marker)[1:-1])[1:-1].encode(),
        quote(marker, safe="").encode(),
        marker.encode("unicode_escape"),
        plain.hex().encode(),
        plain.hex().upper().encode(),
        marker.encode("utf-16-le"),
        marker.encode("utf-16-be"),
    }
    for shift in range(3):
        inner = _base64_inside(plain, shift)
        found |= {inner, inner.replace(b"+", b"-").replace(b"/", b"_")}
    return frozenset(found)


def _base64_inside(data: bytes, shift: int) -> bytes:
    """The base64 characters that depend on `data` alone when `shift` bytes stand before it."""
    encoded = base64.b64encode(b"\0" * shift + data)
    first = -(-shift * 8 // 6)  # characters that hold a bit of what stands before
    return encoded[first : (shift + len(data)) * 8 // 6]


def _files(root: Path) -> Iterator[Path]:
    if root.is_file():
        yield root
    for folder, _, names in os.walk(root, onerror=_raise):
        yield from (Path(folder, name) for name in names)


def _raise(error: OSError) -> None:
    if not isinstance(error, (FileNotFoundError, NotADirectoryError)):
        raise error


def _holds(path: Path, needles: frozenset[bytes]) -> bool:
    if any(needle in os.fsencode(path) for needle in needles):
        return True
    try:
        if not stat.S_ISREG(path.lstat().st_mode):
            return False
        with path.open("rb") as file:
            is_gzip = file.read(2) == _GZIP
            file.seek(0)
            if _search(file, needles):
                return True
            file.seek(0)
            return is_gzip and _search_gzip(file, needles)
    except FileNotFoundError:
        return False


def _search_gzip(file: BinaryIO, needles: frozenset[bytes]) -> bool:
    try:
        with gzip.open(file) as unpacked:
            return _search(cast("BinaryIO", unpacked), needles)
    except (gzip.BadGzipFile, EOFError, zlib.error):
        return False  # only its first bytes looked like one


def _search(file: BinaryIO, needles: frozenset[bytes]) -> bool:
    """Look through the file in pieces that overlap by the longest needle."""
    overlap = max(map(len, needles)) - 1
    held = b""
    while piece := file.read(_CHUNK):
        held += piece
        if any(needle in held for needle in needles):
            return True
        held = held[-overlap:]
    return False
