"""Which process a pid is: its start time tells it from a later one of the same number."""

import os
import signal
import time
from pathlib import Path

_PAUSE_S = 0.02


def started_at(pid: int) -> str:
    """When a process started, in words to compare; empty if there is no such process."""
    if Path("/proc/self/stat").exists():
        return _ticks(pid)
    import psutil  # type: ignore[import-untyped] # noqa: PLC0415 - not needed on Linux

    try:
        return f"{psutil.Process(pid).create_time():.2f}"
    except psutil.Error:
        return ""


def end_process(pid: int, started: str, within_s: float = 5.0) -> bool:
    """End the process `pid` that started at `started`; True once it is gone.

    Another process that got the number since, and this one, are let be.
    """
    if pid == os.getpid() or not started:
        return False
    deadline = time.monotonic() + within_s
    if started_at(pid) == started:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            return True
        except PermissionError:
            return False
    while started_at(pid) == started:
        if time.monotonic() > deadline:
            return False
        time.sleep(_PAUSE_S)
    return True


def _ticks(pid: int) -> str:
    """Field 22 of /proc/PID/stat; a process that was killed and not yet waited for is gone."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""
    words = text.rpartition(")")[2].split()
    return "" if len(words) < 20 or words[0] in ("Z", "X") else words[19]
