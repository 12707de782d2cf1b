"""Which processes came from which, by /proc (Linux; elsewhere nothing is found)."""

import os
import signal
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")
_FORK_SERVER = "ray::fork_serve\n"
"""Of `forkserver.server`, as the kernel cuts it."""


@dataclass(frozen=True, slots=True)
class Process:
    """A process, told from a later one of the same pid by its start (clock ticks since boot)."""

    pid: int
    started: str

    @property
    def is_alive(self) -> bool:
        """Whether that very process runs (a zombie does not)."""
        stat = _stat(self.pid)
        return stat is not None and stat[19] == self.started and stat[0] not in "ZX"


def find(pid: int) -> Process | None:
    """The process that has this pid now."""
    stat = _stat(pid)
    return None if stat is None else Process(pid, stat[19])


def parents() -> dict[int, int]:
    """The parent of each process there is; a fork server's is the raylet whose workers it makes."""
    found: dict[int, int] = {}
    for path in _PROC.glob("[0-9]*"):
        pid = int(path.name)
        stat = _stat(pid)
        if stat is not None:
            found[pid] = _served_by(pid) or int(stat[1])
    return found


def descendants(pid: int) -> tuple[Process, ...]:
    """All that `pid` started, and what those started."""
    children: dict[int, list[int]] = {}
    for child, parent in parents().items():
        children.setdefault(parent, []).append(child)
    found: list[int] = []
    todo = [pid]
    while todo:
        below = children.get(todo.pop(), [])
        found += below
        todo += below
    return tuple(process for below in found if (process := find(below)) is not None)


def end_all(processes: tuple[Process, ...], *, patience_s: float) -> None:
    """Wait for processes to end; kill those that have not after `patience_s`."""
    deadline = time.monotonic() + patience_s
    while any(p.is_alive for p in processes) and time.monotonic() < deadline:
        time.sleep(0.02)
    for process in processes:
        if process.is_alive:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(process.pid, signal.SIGKILL)


def _served_by(server: int) -> int:
    """The raylet of a fork server, whose own parent (a launcher) has ended; 0 for others."""
    try:
        if (_PROC / str(server) / "comm").read_text() != _FORK_SERVER:
            return 0
        environ = (_PROC / str(server) / "environ").read_bytes()
    except OSError:
        return 0
    _, _, rest = environ.partition(b"RAY_RAYLET_PID=")
    return int(rest.partition(b"\0")[0] or 0)


def _stat(pid: int) -> list[str] | None:
    """Fields of /proc/PID/stat from the third (state) on; None if there is no such process."""
    try:
        text = (_PROC / str(pid) / "stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return None
    return text.rpartition(")")[2].split()
