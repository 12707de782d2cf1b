"""A disk that knows what a power cut may leave of it.

`ModelDisk` is a `Disk` over a real directory. The directory is the page cache: what every process
of this boot sees, and what recovery reads. Beside it the model keeps what is on the device: each
file's flushed bytes and each directory's flushed names, and what happened since, in order.

`crash` gives the tree that the next boot finds: all that was flushed, and of the rest whatever its
`Luck` keeps: any subset of the writes of each file, each whole, torn at any byte or as zeros, and
any subset of the changes of names (a rename is one change). A flush that failed has forgotten its
bytes: a later one does not bring them to the device (Linux does that). What is done behind the
model's back (`os.open`, `unlink`) is noticed as an unflushed change when the directory is next
looked at.
"""

import errno
import os
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

from codetether_ray.disk.files import RealDisk

Operation = Literal[
    "create", "open", "write", "sync", "truncate", "write_at", "rename", "sync_directory"
]


class Luck(Protocol):
    """What a power cut keeps."""

    def keeps_name(self) -> bool:
        """Whether one unflushed change of a name is on the device."""
        ...

    def of_write(self, length: int) -> tuple[int, int]:
        """How many bytes of an unflushed write are there, and how many zeros follow them."""
        ...


class Nothing:
    """The worst luck: only what was flushed is there."""

    def keeps_name(self) -> bool:
        return False

    def of_write(self, length: int) -> tuple[int, int]:
        return 0, 0


class Everything:
    """The best luck: the cache was written back just in time."""

    def keeps_name(self) -> bool:
        return True

    def of_write(self, length: int) -> tuple[int, int]:
        return length, 0


@dataclass(slots=True)
class _Write:
    """Bytes put at `offset`, or (None) a cut at it."""

    offset: int
    data: bytes | None
    state: Literal["pending", "forgotten", "flushed"] = "pending"


@dataclass(slots=True, eq=False)
class _Node:
    """A file or directory, by whatever names it has."""

    inode: int
    is_directory: bool
    base: bytes = b""
    writes: list[_Write] = field(default_factory=list)
    is_foreign: bool = False
    """Written behind the model's back: all of its bytes are unflushed."""


@dataclass(frozen=True, slots=True)
class _Change:
    """A change of a directory's names: `node` is now `new` (and no longer `old`)."""

    old: str
    new: str
    node: _Node


@dataclass(slots=True)
class _Directory:
    """Names on the device, the changes since, and the names now."""

    flushed: dict[str, _Node] = field(default_factory=dict)
    changes: list[_Change] = field(default_factory=list)
    now: dict[str, _Node] = field(default_factory=dict)


class ModelDisk(RealDisk):
    """See the module. All that is under `root` when it is made counts as flushed."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.log: list[tuple[Operation, str]] = []
        self.before: Callable[[Operation, Path], None] = lambda operation, path: None
        """Called before each operation; it may raise `OSError` in its place."""
        self.after_flush: Callable[[], None] = lambda: None
        """Called when a flush has succeeded."""
        self.longest_write: int | None = None
        self.bytes_left: int | None = None
        self.counts: Counter[str] = Counter()
        self._failures: list[tuple[Operation, int]] = []
        self._directories: dict[_Node, _Directory] = {}
        self._lock = threading.RLock()
        self._root = self._boot(root)

    # -- what a test does to it -------------------------------------------------------------------

    def fail_next(self, operation: Operation, number: int = errno.EIO) -> None:
        """Let the next such operation fail; a flush that fails forgets what it had to flush."""
        self._failures.append((operation, number))

    def heal(self) -> None:
        """No more faults."""
        self._failures.clear()
        self.longest_write = self.bytes_left = None

    def crash(self, into: Path, luck: Luck) -> None:
        """Write into the empty directory `into` what the next boot finds."""
        with self._lock:
            self._leave(self._root, self.root, into, luck)

    # -- the port ---------------------------------------------------------------------------------

    def create(self, path: Path) -> "_ModelFile":
        with self._lock:
            self._did("create", path)
            names = self._look(path.parent)
            file = super().create(path)
            node = _Node(path.stat().st_ino, is_directory=False)
            self._change(names, _Change("", path.name, node))
            return _ModelFile(self, node, path, file)

    def open(self, path: Path) -> "_ModelFile":
        with self._lock:
            self._did("open", path)
            file = super().open(path)
            return _ModelFile(self, self._node(path), path, file)

    def write_at(self, path: Path, offset: int, data: bytes) -> None:
        with self._lock:
            self._did("write_at", path)
            if not path.exists():
                self.create(path).close()
            super().write_at(path, offset, data)
            self._node(path).writes.append(_Write(offset, data))

    def rename(self, old: Path, new: Path) -> None:
        with self._lock:
            self._did("rename", new)
            node, names = self._node(old), self._look(old.parent)
            super().rename(old, new)
            self._change(names, _Change(old.name, new.name, node))

    def sync_directory(self, path: Path) -> None:
        with self._lock:
            self._did("sync_directory", path)
            names = self._look(path)
            names.flushed = dict(names.now)
            names.changes.clear()
        self.after_flush()

    # -- its own ----------------------------------------------------------------------------------

    def _did(self, operation: Operation, path: Path) -> None:
        self.before(operation, path)
        self.log.append((operation, path.name))
        self.counts[operation] += 1
        for failure in self._failures:
            if failure[0] == operation:
                self._failures.remove(failure)
                if operation == "sync":
                    self._forget(path)
                raise OSError(failure[1], os.strerror(failure[1]))

    def _forget(self, path: Path) -> None:
        for write in self._node(path).writes:
            if write.state == "pending":
                write.state = "forgotten"

    def _boot(self, path: Path) -> _Node:
        node = _Node(path.stat().st_ino, path.is_dir())
        if not node.is_directory:
            node.base = path.read_bytes()
            return node
        names = self._directories[node] = _Directory()
        for child in sorted(path.iterdir()):
            names.flushed[child.name] = names.now[child.name] = self._boot(child)
        return node

    def _look(self, path: Path) -> _Directory:
        """A directory's names, with what was done behind the model's back."""
        node = self._root if path == self.root else self._node(path)
        names = self._directories.setdefault(node, _Directory())
        there = {child.name: child.stat(follow_symlinks=False) for child in sorted(path.iterdir())}
        for name, known in list(names.now.items()):
            if name not in there or there[name].st_ino != known.inode:
                self._change(names, _Change(name, "", known))
        for name, stat in there.items():
            if name not in names.now:
                is_directory = (path / name).is_dir()
                new = _Node(stat.st_ino, is_directory, is_foreign=not is_directory)
                self._change(names, _Change("", name, new))
        return names

    @staticmethod
    def _change(names: _Directory, change: _Change) -> None:
        names.changes.append(change)
        _apply(names.now, change)

    def _node(self, path: Path) -> _Node:
        return self._look(path.parent).now[path.name]

    def flush(self, node: _Node, path: Path) -> None:
        """All that was written to a file, and not forgotten, is on the device."""
        with self._lock:
            if node.is_foreign:
                node.is_foreign, node.base = False, path.read_bytes()
            for write in node.writes:
                if write.state == "pending":
                    write.state = "flushed"
            if all(write.state == "flushed" for write in node.writes):
                node.base = _played(node.base, node.writes)
                node.writes.clear()
        self.after_flush()

    def room(self, wanted: int) -> int:
        """How many of `wanted` bytes the next write takes."""
        if self.longest_write is not None:
            wanted = min(wanted, self.longest_write)
        if self.bytes_left is not None:
            if self.bytes_left == 0:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            wanted = min(wanted, self.bytes_left)
            self.bytes_left -= wanted
        return wanted

    def _leave(self, node: _Node, path: Path, into: Path, luck: Luck) -> None:
        names = self._look(path)
        left = dict(names.flushed)
        for change in names.changes:
            if luck.keeps_name():
                _apply(left, change)
        here = {id(child): path / name for name, child in names.now.items()}
        for name, child in left.items():
            where = here.get(id(child), path)
            if child.is_directory:
                (into / name).mkdir()
                self._leave(child, where, into / name, luck)
            else:
                (into / name).write_bytes(_content(child, where, luck))


class _ModelFile:
    """An open file of a `ModelDisk`."""

    def __init__(self, disk: ModelDisk, node: _Node, path: Path, file: object) -> None:
        self._disk, self._node, self._path = disk, node, path
        self._file = file

    def write(self, data: bytes) -> int:
        with self._disk._lock:
            self._disk._did("write", self._path)
            taken = self._disk.room(len(data))
            size = self._size()
            self._file.write(data[:taken])  # type: ignore[attr-defined]
            self._node.writes.append(_Write(size, data[:taken]))
            return taken

    def sync(self) -> None:
        self._disk._did("sync", self._path)
        self._disk.flush(self._node, self._path)

    def truncate(self, length: int) -> None:
        with self._disk._lock:
            self._disk._did("truncate", self._path)
            self._file.truncate(length)  # type: ignore[attr-defined]
            self._node.writes.append(_Write(length, None))

    def close(self) -> None:
        self._file.close()  # type: ignore[attr-defined]

    def _size(self) -> int:
        return os.fstat(self._file._fd).st_size  # type: ignore[attr-defined]


def _apply(names: dict[str, _Node], change: _Change) -> None:
    if change.old and names.get(change.old) is change.node:
        del names[change.old]
    if change.new:
        names[change.new] = change.node


def _content(node: _Node, path: Path, luck: Luck) -> bytes:
    """A file as the next boot finds it."""
    writes = node.writes
    if node.is_foreign and path.is_file():
        return path.read_bytes() if luck.keeps_name() else b""
    kept: list[_Write] = []
    for write in writes:
        if write.state == "flushed":
            kept.append(write)
        elif write.data is None:
            if luck.keeps_name():
                kept.append(write)
        else:
            whole, zeros = luck.of_write(len(write.data))
            if whole or zeros:
                kept.append(_Write(write.offset, write.data[:whole] + b"\0" * zeros))
    return _played(node.base, kept)


def _played(base: bytes, writes: list[_Write]) -> bytes:
    data = bytearray(base)
    for write in writes:
        if write.data is None:
            del data[write.offset :]
            data.extend(b"\0" * (write.offset - len(data)))
            continue
        data.extend(b"\0" * (write.offset - len(data)))
        data[write.offset : write.offset + len(write.data)] = write.data
    return bytes(data)
