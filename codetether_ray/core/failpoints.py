"""Named places where a test may end or record the process; nothing happens unless one is armed.

A boundary of the durable protocol calls `hit("journal.flushed")`. `CODETETHER_FAILPOINT=NAME:N`
ends the process by SIGKILL at the N-th time (from 1) that it comes by; `CODETETHER_FAILPOINT_LOG`
names a file to which each name is appended. The program's entry points call `arm`.
"""

import os
import signal
from collections import Counter
from collections.abc import Mapping

_seen: Counter[str] = Counter()
_target: tuple[str, int] | None = None
_log: int | None = None
_is_armed = False


def arm(environ: Mapping[str, str]) -> None:
    """Do what the environment asks for; nothing, as a rule."""
    global _target, _log, _is_armed
    wanted = environ.get("CODETETHER_FAILPOINT", "")
    if wanted:
        name, _, number = wanted.rpartition(":")
        _target = (name, int(number))
    path = environ.get("CODETETHER_FAILPOINT_LOG", "")
    if path:
        _log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    _is_armed = _target is not None or _log is not None


def hit(name: str) -> None:
    """The process comes by the place `name`."""
    if not _is_armed:
        return
    _seen[name] += 1
    if _log is not None:
        os.write(_log, f"{name}\n".encode())
    if _target == (name, _seen[name]):
        os.kill(os.getpid(), signal.SIGKILL)
