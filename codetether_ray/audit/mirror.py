"""A second file that gets every line as well: where the first disk is full, one of two is enough.

Many processes append to it, each its own chain, so nothing is registered, cut back or signed here.
A chain that failed is left, and another begun on a line of its own.
"""

import os
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from codetether_ray.audit import members
from codetether_ray.audit.chain import Chunk
from codetether_ray.audit.lines import Head, after, frame
from codetether_ray.audit.places import new_chain, node_name
from codetether_ray.core.errors import AuditError
from codetether_ray.disk.files import AppendFile, Disk, write_all


class MirrorSink:
    """Appends one process's chain to a file that others append to as well."""

    def __init__(self, path: Path, disk: Disk, clock: Callable[[], float] = time.time) -> None:
        """Append to `path`, which the first commit makes."""
        self._path = path
        self._disk = disk
        self._clock = clock
        self._file: AppendFile | None = None
        self._inode = 0
        self._chain = ""
        self._head = Head()
        self._has_failed = False
        self.trouble = ""
        """Why a line is not here."""

    def commit(self, chunks: Sequence[Chunk]) -> None:
        """Make the lines of chunks durable, in order.

        Raises:
            AuditError: they may not be.
        """
        lines = [line for chunk in chunks for line in chunk.lines]
        is_closing = any(chunk.is_closing for chunk in chunks)
        try:
            if lines:
                self._append(lines)
        except OSError as error:
            self._has_failed = True
            self._leave()
            self.trouble = f"{self._path} cannot be written: {error.strerror or error}"
            raise AuditError(self.trouble) from error
        if is_closing:
            self._leave()

    def mark(self) -> None:
        """Nothing is signed here."""

    def _append(self, lines: list[str]) -> None:
        if self._file is None or self._is_gone():  # a rotated file is left where it went
            self._leave()
            lines = [self._begin(), *lines]
        head, out = self._head, [b"\n"] if self._has_failed else []
        for line in lines:
            data = frame(self._chain, head, line)
            out.append(data)
            head = after(head, data)
        assert self._file is not None, "it was begun"
        write_all(self._file, b"".join(out))
        self._file.sync()
        self._head, self._has_failed = head, False

    def _begin(self) -> str:
        if not self._disk.exists(self._path):
            with suppress(FileExistsError):  # another process was faster
                self._disk.create(self._path).close()
            self._disk.sync_directory(self._path.parent)
        self._file = self._disk.open(self._path)
        self._inode = self._path.stat().st_ino
        now = self._clock()
        self._chain, self._head = new_chain(now), Head()
        words = {"node": node_name(), "pid": os.getpid(), "second": True}
        return members.own(f"own_{self._chain}", now, members.OPENED, words)

    def _is_gone(self) -> bool:
        try:
            return self._path.stat().st_ino != self._inode
        except OSError:
            return True

    def _leave(self) -> None:
        if self._file is not None:
            with suppress(OSError):
                self._file.close()
            self._file = None
