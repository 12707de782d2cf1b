"""Which processes came from which, by /proc (Linux; elsewhere nothing is found)."""

import os
import signal
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")


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


def descendants(pid: int) -> tuple[Process, ...]:
    """All that `pid` started, and what those started."""
    children: dict[int, list[Process]] = {}
    for path in _PROC.glob("[0-9]*"):
        stat = _stat(int(path.name))
        if stat is not None:
            children.setdefault(int(stat[1]), []).append(Process(int(path.name), stat[19]))
    found: list[Process] = []
    todo = [pid]
    while todo:
        below = children.get(todo.pop(), [])
        found += below
        todo += [p.pid for p in below]
    return tuple(found)


def end_all(processes: tuple[Process, ...], *, patience_s: float) -> None:
    """Wait for processes to end; kill those that have not after `patience_s`."""
    deadline = time.monotonic() + patience_s
    while any(p.is_alive for p in processes) and time.monotonic() < deadline:
        time.sleep(0.02)
    for process in processes:
        if process.is_alive:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(process.pid, signal.SIGKILL)


def _stat(pid: int) -> list[str] | None:
    """Fields of /proc/PID/stat from the third (state) on; None if there is no such process."""
    try:
        text = (_PROC / str(pid) / "stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return None
    return text.rpartition(")")[2].split()
