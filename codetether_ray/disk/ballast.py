"""A few megabytes held back on a disk that fills up, to record why a run had to stop.

Only while room is short: a disk with plenty needs none, and none is taken from it.
"""

import errno
import os
import shutil
from contextlib import suppress
from pathlib import Path

BALLAST_BYTES = 4 * 1024 * 1024
SCARCE_BYTES = 2 * 1024**3
"""With less room than this a ballast is held."""

_SHARE = 16
"""At most this part of what is free goes into it."""


class Ballast:
    """One file; several processes may share it."""

    def __init__(self, path: Path, size: int = BALLAST_BYTES) -> None:
        self._path, self._size = path, size

    def fill(self) -> None:
        """Hold the ballast if room is scarce and none is held. It blocks; it never fails."""
        with suppress(OSError):
            free = shutil.disk_usage(self._path.parent).free
            if free < SCARCE_BYTES and not self._path.exists():
                self._take(min(self._size, free // _SHARE))

    def release(self) -> bool:
        """Give its room back; False if none was held."""
        try:
            self._path.unlink()
        except OSError:
            return False
        return True

    def _take(self, size: int) -> None:
        if size <= 0:
            return
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        descriptor = os.open(self._path, flags, 0o600)
        try:
            os.write(descriptor, bytes(size))  # what is written is there, on any file system
            os.fsync(descriptor)
        except OSError:
            self._path.unlink(missing_ok=True)
            raise
        finally:
            os.close(descriptor)


def is_full(error: OSError) -> bool:
    """Whether an error says that there is no room."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT)
