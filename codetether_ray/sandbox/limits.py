"""A real limit for the memory that all commands of one agent take together.

A control group where this machine lets us make one (v2 or v1): the kernel holds it. Elsewhere the
commands' processes are looked at several times a second, and ended when they have too much.
"""

import hashlib
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

_CGROUP = Path("/sys/fs/cgroup")
_PROC = Path("/proc")
_PREFIX = "codetether-"
_PAGE = os.sysconf("SC_PAGE_SIZE")


class MemoryLimit(Protocol):
    """The limit of one agent's commands, as long as any of them runs."""

    @property
    def scope(self) -> str:
        """The control group that each command is to enter; empty for none."""
        ...

    def exceeded(self, reapers: tuple[int, ...]) -> int | None:
        """How much they took, where that was too much; None otherwise.

        `reapers` are the parents of the commands that run now.
        """
        ...

    def close(self) -> None:
        """No command runs any more."""
        ...


def open_limit(name: str, limit_bytes: int, root: Path = _CGROUP) -> MemoryLimit:
    """The best limit that this machine has; `name` is told from all others on it."""
    return open_group(name, limit_bytes, root) or WatchedLimit(limit_bytes)


@dataclass(frozen=True, slots=True)
class _Words:
    """What files of a version of control groups are called."""

    limits: tuple[str, ...]
    peak: str
    kills: str
    whole: str = ""
    """A file whose `1` has the kernel end all of a group."""


_V2 = _Words(("memory.max",), "memory.peak", "memory.events", "memory.oom.group")
_V1 = _Words(("memory.limit_in_bytes",), "memory.max_usage_in_bytes", "memory.oom_control")


class GroupLimit:
    """A control group of our own. The kernel ends what takes more, and counts it."""

    def __init__(self, path: Path, words: _Words) -> None:
        self._path = path
        self._words = words
        self._kills = self._killed()

    @property
    def scope(self) -> str:
        """The group's directory."""
        return str(self._path)

    def exceeded(self, reapers: tuple[int, ...]) -> int | None:
        """The most they ever took, if the kernel ended some since it was asked last."""
        kills = self._killed()
        if kills <= self._kills:
            return None
        self._kills = kills
        return _number(self._path / self._words.peak)

    def close(self) -> None:
        """Remove the group; one that is not empty yet is removed by a later agent."""
        with suppress(OSError):
            self._path.rmdir()

    def _killed(self) -> int:
        with suppress(OSError, ValueError):
            for line in (self._path / self._words.kills).read_text().splitlines():
                name, _, count = line.partition(" ")
                if name == "oom_kill":
                    return int(count)
        return 0


class WatchedLimit:
    """Looks at what the commands' processes hold for themselves: memory that is not a file's."""

    scope = ""

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes

    def exceeded(self, reapers: tuple[int, ...]) -> int | None:
        """What they have now, if that is too much."""
        taken = sum(private_bytes(pid) for reaper in reapers for pid in descendants(reaper))
        return taken if taken > self._limit_bytes else None

    def close(self) -> None:
        """Nothing is kept."""


def open_group(name: str, limit_bytes: int, root: Path = _CGROUP) -> GroupLimit | None:
    """A control group with that limit; None where none can be made."""
    short = hashlib.sha256(name.encode()).hexdigest()[:16]
    for parent, words in _parents(root):
        path = parent / f"{_PREFIX}{os.getpid()}-{short}"
        try:
            _sweep(parent)
            path.mkdir(exist_ok=True)
            for file in words.limits:
                (path / file).write_text(str(limit_bytes))
        except OSError:
            with suppress(OSError):
                path.rmdir()
            continue
        with suppress(OSError):  # an old kernel lacks it
            if words.whole:
                (path / words.whole).write_text("1")
        return GroupLimit(path, words)
    return None


def descendants(pid: int, proc: Path = _PROC) -> Iterator[int]:
    """What a process started, and what that started."""
    ahead = [pid]
    while ahead:
        parent = ahead.pop()
        with suppress(OSError):
            for thread in (proc / str(parent) / "task").iterdir():
                children = [int(word) for word in (thread / "children").read_text().split()]
                yield from children
                ahead += children


def private_bytes(pid: int, proc: Path = _PROC) -> int:
    """What a process holds in memory, files and what it shares with others left out."""
    with suppress(OSError, ValueError, IndexError):
        fields = (proc / str(pid) / "statm").read_text().split()
        return (int(fields[1]) - int(fields[2])) * _PAGE
    return 0


def _parents(root: Path) -> Iterator[tuple[Path, _Words]]:
    """Where a group might be made: below this process's own, beside it, at the top."""
    own = _own_groups()
    if (root / "cgroup.controllers").exists():
        below = root / own.get("", "/").lstrip("/")
        for parent in dict.fromkeys((below, below.parent)):
            with suppress(OSError):
                if "memory" in (parent / "cgroup.subtree_control").read_text().split():
                    yield parent, _V2
        return
    memory = root / "memory"
    below = memory / own.get("memory", "/").lstrip("/")
    for parent in dict.fromkeys((below, memory)):
        if (parent / "memory.limit_in_bytes").exists():
            yield parent, _V1


def _own_groups() -> dict[str, str]:
    """This process's control group for each controller; v2's is that of the empty name."""
    found: dict[str, str] = {}
    with suppress(OSError):
        for line in (_PROC / "self" / "cgroup").read_text().splitlines():
            _, names, path = line.split(":", 2)
            found.update(dict.fromkeys(names.split(","), path))
    return found


def _sweep(parent: Path) -> None:
    """Remove groups whose agent's process is gone."""
    for path in parent.glob(f"{_PREFIX}*"):
        pid = path.name.removeprefix(_PREFIX).partition("-")[0]
        if pid.isdigit() and not (_PROC / pid).exists():
            with suppress(OSError):
                path.rmdir()


def _number(path: Path) -> int:
    with suppress(OSError, ValueError):
        return int(path.read_text())
    return 0
