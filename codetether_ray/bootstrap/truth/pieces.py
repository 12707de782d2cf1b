"""Files of a data directory in pieces, for a mirror of some of them elsewhere. Called on the head.

Only what runs and the audit log consist of is given out, and no private key of the latter.
"""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from codetether_ray.bootstrap.truth.identity import Home
from codetether_ray.core.errors import UsageError

LISTING, PIECE = f"{__name__}:listing", f"{__name__}:piece"
PIECE_BYTES = 4 * 1024 * 1024
_BLOCK = 1024 * 1024
_ROOMS = ("events", "audit")


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A file, by its path below the data directory, and its size in bytes."""

    path: str
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """Bytes of a file from where it was asked for; `fits`: what is in front of them is known."""

    fits: bool
    data: bytes = b""
    is_last: bool = True


def listing(home: Home, room: str) -> list[Held]:
    """The files below `events/RUN` or `audit`; none where there is no such directory."""
    root = _checked(home.data_dir, room)
    found = []
    for folder, _, names in os.walk(root):
        for name in names:
            path = Path(folder, name)
            if not path.is_file() or path.is_symlink() or _is_private(path):
                continue
            below = path.relative_to(home.data_dir).as_posix()
            found.append(Held(path=below, size=path.stat().st_size))
    return found


def piece(home: Home, name: str, start: int, known_from: int, known: str) -> Piece:
    """A file's bytes from `start`, if those from `known_from` to there have the SHA-256 `known`.

    A file that is gone does not fit.
    """
    path = _checked(home.data_dir, name)
    if _is_private(path):
        raise UsageError(f"{name} is nobody else's")
    try:
        with path.open("rb") as file:
            file.seek(known_from)
            if known and _sha256(file, start - known_from) != known:
                return Piece(fits=False)
            data = file.read(PIECE_BYTES)
            return Piece(fits=True, data=data, is_last=len(data) < PIECE_BYTES)
    except FileNotFoundError:
        return Piece(fits=False)


def digest(path: Path, start: int) -> str:
    """SHA-256 of a file's bytes from `start` to its end."""
    with path.open("rb") as file:
        file.seek(start)
        return _sha256(file, path.stat().st_size - start)


def _sha256(file: BinaryIO, size: int) -> str:
    """Of the next `size` bytes; of fewer, where there are fewer."""
    found = hashlib.sha256()
    while size > 0 and (data := file.read(min(size, _BLOCK))):
        found.update(data)
        size -= len(data)
    return found.hexdigest()


def _is_private(path: Path) -> bool:
    return path.parent.name == "keys" and path.suffix != ".pub"


def _checked(data_dir: Path, name: str) -> Path:
    """A path in one of the rooms.

    Raises:
        UsageError: it is another one.
    """
    parts = PurePosixPath(name).parts
    if not parts or parts[0] not in _ROOMS or ".." in parts or name.startswith("/"):
        raise UsageError(f"{name!r} is no file of a run or of the audit log")
    return data_dir.joinpath(*parts)
