"""The seam between the journal and the file system, so that tests can put a bad disk behind it.

Only what the writer needs: every call blocks and raises `OSError`.
"""

import fcntl
import os
import sys
import weakref
from pathlib import Path
from typing import Protocol


class AppendFile(Protocol):
    """An open file that grows at its end."""

    def write(self, data: bytes) -> int:
        """Append; return how many bytes were taken (fewer than given is a short write)."""
        ...

    def sync(self) -> None:
        """Return once everything written is on the device."""
        ...

    def truncate(self, length: int) -> None:
        """Cut the file to `length` bytes."""
        ...

    def close(self) -> None:
        """Close the descriptor."""
        ...


class Disk(Protocol):
    """Creates, replaces and names files."""

    def create(self, path: Path) -> AppendFile:
        """A new file; `FileExistsError` if the name is taken."""
        ...

    def open(self, path: Path) -> AppendFile:
        """An existing file, to append to."""
        ...

    def write_at(self, path: Path, offset: int, data: bytes) -> None:
        """Write in place, without a flush (the durable mark); the file is made if needed."""
        ...

    def rename(self, old: Path, new: Path) -> None:
        """Give a file another name in the same directory."""
        ...

    def sync_directory(self, path: Path) -> None:
        """Make the names in a directory durable."""
        ...

    def exists(self, path: Path) -> bool:
        """Whether the name is there now."""
        ...


class _File:
    """An `AppendFile` on a descriptor."""

    def __init__(self, descriptor: int) -> None:
        self._fd = descriptor

    def write(self, data: bytes) -> int:
        return os.write(self._fd, data)

    def sync(self) -> None:
        _flush(self._fd)

    def truncate(self, length: int) -> None:
        os.ftruncate(self._fd, length)

    def close(self) -> None:
        os.close(self._fd)


def _flush(descriptor: int) -> None:
    """Return once a file's bytes are on the device; macOS's own fsync stops at its cache."""
    if sys.platform == "darwin":
        fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)
    else:
        os.fdatasync(descriptor)


_APPEND = os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC


class RealDisk:
    """The operating system's file system."""

    def create(self, path: Path) -> AppendFile:
        """Create with O_EXCL, readable by this user alone."""
        return _File(os.open(path, _APPEND | os.O_CREAT | os.O_EXCL, 0o600))

    def open(self, path: Path) -> AppendFile:
        """Open to append."""
        return _File(os.open(path, _APPEND))

    def write_at(self, path: Path, offset: int, data: bytes) -> None:
        """Write in place through a descriptor that stays open as long as this disk is used.

        One call: each one gives the interpreter away, and a busy loop is slow to give it back.
        """
        held: dict[Path, int] = self.__dict__.setdefault("_held", {})
        descriptor = held.get(path)
        if descriptor is None:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
            held[path] = descriptor
            weakref.finalize(self, os.close, descriptor)
        os.pwrite(descriptor, data, offset)

    def rename(self, old: Path, new: Path) -> None:
        """`rename(2)`."""
        old.rename(new)

    def sync_directory(self, path: Path) -> None:
        """Open the directory and flush it."""
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            if sys.platform == "darwin":
                fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)
            else:
                os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def exists(self, path: Path) -> bool:
        """One `stat`."""
        return path.exists()


def write_all(file: AppendFile, data: bytes) -> None:
    """Append all of `data`.

    Raises:
        OSError: a write took nothing, or failed; part of `data` may be in the file.
    """
    view = memoryview(data)
    while view:
        taken = file.write(bytes(view) if len(view) != len(data) else data)
        if taken <= 0:
            raise OSError("the disk took no bytes")
        view = view[taken:]
