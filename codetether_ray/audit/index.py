"""A node's index: every chain is registered in it before its first line.

The index is a chain itself. Writers take turns by a lock; a last line that a dying writer left
torn was never acted upon, and is cut off by the next.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from codetether_ray.audit import members
from codetether_ray.audit.lines import Head, after, frame, line_hash, parse
from codetether_ray.audit.places import INDEX, SUFFIX
from codetether_ray.disk.files import Disk, write_all

NAME = "index"
"""What the index calls itself in its lines."""
_LOCK = "index.lock"
_TAIL = 65_536  # bytes; a line is some 400


@dataclass(frozen=True, slots=True)
class Registered:
    """A chain's place in the index, and what was there before it."""

    index: Head
    """The index with this chain's line."""
    predecessor: dict[str, Any] | None
    """The chain registered before: its name with its count and head then, or that it is missing;
    None for a node's first."""


def register(directory: Path, chain: str, now: float, disk: Disk) -> Registered:
    """Add `chain` to the index of a node's directory; durable on return. It blocks.

    Raises:
        OSError: the index could not be written.
    """
    path = directory / INDEX
    with _turn(directory):
        if not disk.exists(path):
            disk.create(path).close()
            disk.sync_directory(directory)
        _cut_torn(path)
        last = last_line(path)
        head = Head() if last is None else Head(_number(path, last) + 1, line_hash(last))
        words = members.own(chain, now, "chain.registered", {"chain": chain, "pid": os.getpid()})
        line = frame(NAME, head, words)
        before = path.stat().st_size
        file = disk.open(path)
        try:
            try:
                write_all(file, line)
                file.sync()
            except OSError:
                file.truncate(before)
                raise
        finally:
            file.close()
        return Registered(after(head, line), _predecessor(directory, last, chain, disk))


def _flushed_last_line(path: Path, disk: Disk) -> bytes | None:
    """The last line, once it is on the device and still the chain's.

    A writer whose write or flush fails cuts its file back: what was seen meanwhile is not named.
    """
    while True:
        found, end = _tail(path)
        if found is None:
            return None
        file = disk.open(path)
        try:
            file.sync()
        finally:
            file.close()
        if path.stat().st_size >= end:
            return found


def last_line(path: Path) -> bytes | None:
    """The last line that ends (without its newline); None if there is none."""
    return _tail(path)[0]


def _tail(path: Path) -> tuple[bytes | None, int]:
    """The last line that ends, and the offset behind it."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        span = _TAIL
        while True:
            start = max(size - span, 0)
            file.seek(start)
            lines = file.read(size - start).split(b"\n")
            if start == 0 or len(lines) > 2:
                break
            span *= 4
    whole = lines[:-1]
    return (whole[-1] if whole else None), size - len(lines[-1])


def _number(path: Path, line: bytes) -> int:
    """A line's number; counted where the line does not tell."""
    data = parse(line)
    return int(data["n"]) if data else path.read_bytes().count(b"\n") - 1


def _predecessor(
    directory: Path, last: bytes | None, chain: str, disk: Disk
) -> dict[str, Any] | None:
    """What is said of the chain registered before. What is named is flushed first.

    Its writer may not have come to that, and after a power failure the chain would look cut.
    """
    if last is None:
        others = [p for p in directory.glob(f"*{SUFFIX}") if p.name not in (INDEX, chain + SUFFIX)]
        return {"missing": "the index"} if others else None
    data = parse(last)
    name = str(data["id"]) if data and "id" in data else ""
    if not name:
        return {"missing": "its line in the index"}
    try:
        found = _flushed_last_line(directory / f"{name}{SUFFIX}", disk)
    except OSError:
        return {"chain": name, "missing": "its file"}
    if found is None:
        return {"chain": name, "count": 0, "head": Head().hash}
    number = parse(found)
    if number is None:
        return {"chain": name, "missing": "its last line"}
    return {"chain": name, "count": int(number["n"]) + 1, "head": line_hash(found)}


@contextmanager
def _turn(directory: Path) -> Iterator[None]:
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
    descriptor = os.open(directory / _LOCK, flags, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _cut_torn(path: Path) -> None:
    with path.open("r+b") as file:
        size = file.seek(0, os.SEEK_END)
        if size == 0:
            return
        file.seek(max(size - _TAIL, 0))
        tail = file.read()
        if not tail.endswith(b"\n"):
            file.truncate(size - len(tail) + tail.rfind(b"\n") + 1)
