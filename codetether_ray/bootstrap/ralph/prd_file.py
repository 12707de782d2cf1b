"""The file of a PRD: held by one process at a time, and saved so that it is never half written.

The file is the state that people see, so a save replaces it at once (a new file, flushed, renamed
over it), keeps its permissions and follows a symlink to where it leads. What somebody else wrote
into it meanwhile is kept: the change is made on what is there now.
"""

import os
import secrets
import stat
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Self

from codetether_ray.bootstrap.ralph.prd_lock import PrdLock
from codetether_ray.core.errors import PrdError, PrdFileError, PrdGoneError
from codetether_ray.disk.files import RealDisk
from codetether_ray.ralph.prd import Prd
from codetether_ray.ralph.prd_text import MOST_BYTES, PrdText, read_prd, too_large

_TRIES = 5
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def read_prd_file(path: Path) -> PrdText:
    """The PRD in a file; nothing is locked.

    Raises:
        PrdFileError: it cannot be read.
        PrdError: it holds no PRD that can be worked on.
    """
    return _told(path, partial(read_prd, _read(path, path)))


class PrdFile:
    """A PRD's file, this process's alone until `close`."""

    def __init__(self, path: Path, data_dir: Path, *, holder: str = "") -> None:
        """Take the PRD's lock and read it; `holder` is told to others who want it (a run's id).

        Raises:
            PrdBusyError: another process works on it.
            PrdFileError: it cannot be read, or the lock not be made.
            PrdError: it holds no PRD that can be worked on.
        """
        self.path = path
        self._real = Path(os.path.realpath(path))
        self._lock = PrdLock(self._real, path, data_dir, holder)
        try:
            _sweep(self._real)
            self._text = _told(path, partial(read_prd, _read(self._real, path)))
        except BaseException:
            self.close()
            raise

    @property
    def text(self) -> PrdText:
        """The PRD as it was read, or saved, last."""
        return self._text

    @property
    def prd(self) -> Prd:
        """The value of `text`."""
        return self._text.prd

    def save(self, change: Callable[[PrdText], PrdText]) -> PrdText:
        """Make a change on what the file holds now, and save it; what it holds then.

        Nothing is written where nothing changes. It blocks.

        Raises:
            PrdGoneError: it is gone.
            PrdFileError: it cannot be written; it is as it was.
            PrdError: what somebody wrote into it meanwhile is no PRD, or lacks what is changed.
        """
        for _ in range(_TRIES):
            if not self._real.exists():
                raise PrdGoneError(str(self.path))
            there = _read(self._real, self.path)
            now = self._text if there == self._text.bytes else self._reread(there)
            new = _told(self.path, partial(change, now))
            if new.bytes == there or _replaced(self._real, self.path, there, new.bytes):
                self._text = new
                return new
        raise PrdFileError(str(self.path), "others keep changing it, so it could not be saved")

    def close(self) -> None:
        """Let others work on it; a second call does nothing."""
        self._lock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _reread(self, data: bytes) -> PrdText:
        try:
            return read_prd(data)
        except PrdError as error:
            where = f"{self.path} was changed while it was being worked on"
            raise PrdError(error.problems, where) from None


def _told(path: Path, read: Callable[[], PrdText]) -> PrdText:
    """What `read` gives; a problem of the PRD is told with its file."""
    try:
        return read()
    except PrdError as error:
        raise PrdError(error.problems, error.source or str(path)) from None


def _read(real: Path, path: Path) -> bytes:
    """What a file holds; `path` is its name to people."""
    try:
        file = os.open(real, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        hint = "there is no such file; `codetether ralph create-prd -o FILE` makes one"
        raise PrdFileError(str(path), hint) from None
    except OSError as error:
        raise PrdFileError(str(path), f"it cannot be read: {error.strerror}") from error
    try:
        status = os.fstat(file)
        if not stat.S_ISREG(status.st_mode):
            raise PrdFileError(str(path), "it is not a regular file")
        if status.st_size > MOST_BYTES:
            raise PrdError((too_large(status.st_size),), str(path))
        with os.fdopen(file, "rb", closefd=False) as stream:
            return stream.read(MOST_BYTES + 1)
    finally:
        os.close(file)


def _replaced(real: Path, path: Path, there: bytes, data: bytes) -> bool:
    """Put `data` in the place of `there`; False where that is not what the file holds any more."""
    draft = real.with_name(f"{_draft_of(real)}{secrets.token_hex(4)}")
    try:
        _write_like(real, draft, data)
        if _read(real, path) != there:
            return False
        draft.replace(real)
        RealDisk().sync_directory(real.parent)
    except OSError as error:
        raise PrdFileError(str(path), f"it cannot be written: {error.strerror}") from error
    finally:
        with suppress(OSError):
            draft.unlink(missing_ok=True)
    return True


def _draft_of(real: Path) -> str:
    """How the names of drafts of a file begin."""
    return f".{real.name[:100]}.unfinished-"


def _sweep(real: Path) -> None:
    """Remove what savers left that were killed; who holds the lock is the only one who saves."""
    with suppress(OSError):
        for path in real.parent.iterdir():
            if path.name.startswith(_draft_of(real)):
                path.unlink()


def _write_like(model: Path, draft: Path, data: bytes) -> None:
    """Write a new file with the owner and the permissions of another, and flush it."""
    status = model.stat()
    with os.fdopen(os.open(draft, _NEW_FILE, 0o600), "wb") as stream:
        stream.write(data)
        with suppress(PermissionError):
            os.fchown(stream.fileno(), status.st_uid, status.st_gid)
        os.fchmod(stream.fileno(), stat.S_IMODE(status.st_mode))
        stream.flush()
        os.fsync(stream.fileno())
