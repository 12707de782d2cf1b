"""Whether a directory's disk does what the journal relies on: flush, rename, locks, one creator."""

import errno
import fcntl
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES)
"""A disk that takes nothing now says nothing about how it would."""


def disk_troubles(directory: Path) -> tuple[str, ...]:
    """What does not work there, in words; nothing where all does. Takes no room that it keeps.

    Raises:
        OSError: nothing can be made there at all.
    """
    with tempfile.TemporaryDirectory(dir=directory, prefix=".disk-") as name:
        place = Path(name)
        looks: tuple[tuple[str, Callable[[Path], bool]], ...] = (
            ("a flushed file is not read back whole", _flush),
            ("a rename does not replace", _rename),
            ("a file can be created twice", _exclusive),
            ("a lock does not keep a second one out", _lock),
            ("appends of two writers overwrite each other", _append),
        )
        return tuple(words for words, look in looks if not _holds(look, place))


def _holds(look: Callable[[Path], bool], place: Path) -> bool:
    try:
        return look(place)
    except OSError as error:
        if error.errno in _NO_ROOM:
            raise
        return False


def _flush(place: Path) -> bool:
    with (place / "flush").open("wb") as file:
        file.write(b"x" * 512)
        file.flush()
        os.fsync(file.fileno())
    folder = os.open(place, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
    return (place / "flush").read_bytes() == b"x" * 512


def _rename(place: Path) -> bool:
    (place / "old").write_bytes(b"old")
    (place / "new").write_bytes(b"new")
    (place / "new").replace(place / "old")
    return (place / "old").read_bytes() == b"new" and not (place / "new").exists()


def _exclusive(place: Path) -> bool:
    path = place / "one"
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except FileExistsError:
        return True
    return False


def _lock(place: Path) -> bool:
    with (place / "lock").open("w") as first, (place / "lock").open("w") as second:
        fcntl.flock(first, fcntl.LOCK_EX | fcntl.LOCK_NB)
        try:
            fcntl.flock(second, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def _append(place: Path) -> bool:
    with (place / "log").open("ab", 0) as first, (place / "log").open("ab", 0) as second:
        for file in (first, second, first):
            file.write(b"x")
    return (place / "log").stat().st_size == 3
