"""Tool processes that outlived their agent, found by the marks in their environment and ended.

As a rule there are none: a command's parent (`reaper.py`) ends it when the agent dies. A stopped
agent holds that parent's socket open, and somebody may have killed the parent itself.
"""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

RUN, AGENT = "CODETETHER_RUN", "CODETETHER_AGENT"
"""Variables of every tool process: whose it is."""

_GRACE_S, _PATIENCE_S, _PAUSE_S = 0.5, 5.0, 0.01
_ENDED = frozenset("ZX")


@dataclass(frozen=True, slots=True)
class _Process:
    """A process by its id and the moment it started (in ticks since boot): ids are used again."""

    pid: int
    started: str


def marks(run_id: str, agent: str) -> dict[str, str]:
    """The variables that an agent's tool processes carry."""
    return {RUN: run_id, AGENT: agent}


def end_leftovers(run_id: str, agent: str = "") -> int:
    """End every process on this host that carries the marks of a run (or of one of its agents).

    Only this user's, never this process or what it descends from. SIGTERM, half a second later
    SIGKILL; each time the process is looked at again. Blocks until they are gone, 5.5 s at most;
    returns how many there were.
    """
    if not os.path.isdir("/proc/self"):  # noqa: PTH112 - a system without it has no reaper either
        return 0
    wanted = [f"{RUN}={run_id}".encode()] + ([f"{AGENT}={agent}".encode()] if agent else [])
    spared = set(_ancestors())
    first = _found(wanted, spared)
    living, began, number = first, time.monotonic(), signal.SIGTERM
    seen = set(first)
    while living and time.monotonic() - began < _GRACE_S + _PATIENCE_S:
        for process in living:
            _send(process, wanted, number)
        time.sleep(_PAUSE_S)
        if time.monotonic() - began >= _GRACE_S:
            number = signal.SIGKILL
        living = _found(wanted, spared)
        seen |= set(living)
    return len(seen)


def _found(wanted: list[bytes], spared: set[int]) -> list[_Process]:
    return [p for p in _own_processes() if p.pid not in spared and _carries(p.pid, wanted)]


def _own_processes() -> Iterator[_Process]:
    """This user's live processes."""
    user = os.getuid()
    with os.scandir("/proc") as entries:
        for entry in entries:
            if not entry.name.isdigit():
                continue
            with suppress(OSError):
                if entry.stat().st_uid == user and (started := _start(int(entry.name))):
                    yield _Process(int(entry.name), started)


def _start(pid: int) -> str:
    """When a process started; empty if it is gone."""
    fields = _stat(pid)
    return "" if len(fields) < 20 or fields[0] in _ENDED else fields[19]


def _stat(pid: int) -> list[str]:
    """What follows the name in `/proc/PID/stat`: state, parent, …; the 20th is the start."""
    with suppress(OSError), open(f"/proc/{pid}/stat", "rb") as file:  # noqa: PTH123 - many of them
        return file.read().rpartition(b")")[2].decode().split()
    return []


def _carries(pid: int, wanted: list[bytes]) -> bool:
    with suppress(OSError), open(f"/proc/{pid}/environ", "rb") as file:  # noqa: PTH123
        variables = file.read().split(b"\0")
        return all(word in variables for word in wanted)
    return False


def _ancestors() -> Iterator[int]:
    pid = os.getpid()
    while pid > 1:
        yield pid
        fields = _stat(pid)
        pid = int(fields[1]) if len(fields) > 1 else 0


def _send(process: _Process, wanted: list[bytes], number: signal.Signals) -> None:
    """Signal it, if it still is the one that was found; a stopped one goes on, to end."""
    if _start(process.pid) != process.started or not _carries(process.pid, wanted):
        return
    with suppress(OSError):
        os.kill(process.pid, number)
        os.kill(process.pid, signal.SIGCONT)
