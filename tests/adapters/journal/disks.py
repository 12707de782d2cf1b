"""Disks that fail on purpose, and one that does not flush (for long loops)."""

import errno
import threading
from pathlib import Path

from codetether_ray.disk.files import AppendFile, RealDisk


class Wrapped:
    """A file whose every call goes through its disk first."""

    def __init__(self, file: AppendFile, disk: "ScriptedDisk", path: Path) -> None:
        self._file, self._disk, self._path = file, disk, path

    def write(self, data: bytes) -> int:
        return self._file.write(data[: self._disk.room(self._path, len(data))])

    def sync(self) -> None:
        self._disk.did("sync", self._path)
        self._file.sync()

    def truncate(self, length: int) -> None:
        self._disk.did("truncate", self._path)
        self._file.truncate(length)

    def close(self) -> None:
        self._file.close()


class ScriptedDisk(RealDisk):
    """Notes what was done; fails at the calls in `failures` (operation -> errno)."""

    def __init__(self) -> None:
        self.log: list[tuple[str, str]] = []
        self.failures: dict[str, int] = {}
        self.bytes_left: int | None = None
        self.longest_write: int | None = None
        self.gate = threading.Event()
        self.gate.set()

    def room(self, path: Path, wanted: int) -> int:
        self.did("write", path)
        if self.longest_write is not None:
            wanted = min(wanted, self.longest_write)
        if self.bytes_left is not None:
            if self.bytes_left == 0:
                raise OSError(errno.ENOSPC, "No space left on device")
            wanted = min(wanted, self.bytes_left)
            self.bytes_left -= wanted
        return wanted

    def did(self, operation: str, path: Path) -> None:
        self.log.append((operation, path.name))
        if operation == "sync":
            self.gate.wait(10)
        if operation in self.failures:
            raise OSError(self.failures[operation], "scripted")

    def create(self, path: Path) -> AppendFile:
        self.did("create", path)
        return Wrapped(super().create(path), self, path)

    def open(self, path: Path) -> AppendFile:
        return Wrapped(super().open(path), self, path)

    def rename(self, old: Path, new: Path) -> None:
        self.did("rename", new)
        super().rename(old, new)

    def sync_directory(self, path: Path) -> None:
        self.did("sync_directory", path)
        super().sync_directory(path)


class _Unflushed:
    def __init__(self, file: AppendFile) -> None:
        self._file = file
        self.write = file.write
        self.truncate = file.truncate
        self.close = file.close

    def sync(self) -> None:
        """Trust the page cache."""


class QuickDisk(RealDisk):
    """Skips every flush."""

    def create(self, path: Path) -> AppendFile:
        return _Unflushed(super().create(path))

    def open(self, path: Path) -> AppendFile:
        return _Unflushed(super().open(path))

    def sync_directory(self, path: Path) -> None:
        """Trust the page cache."""
