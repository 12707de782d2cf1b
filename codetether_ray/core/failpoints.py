"""Named places where a test may end or record the process; nothing happens unless one is armed.

A boundary of the durable protocol calls `hit("journal.flushed")`. `CODETETHER_FAILPOINT=NAME:N`
ends the process by SIGKILL at the N-th time (from 1) that it comes by; `KIND/NAME:N` does so only
in processes of that kind (`cli`, `supervisor`, `agent`). With `CODETETHER_FAILPOINT_ONCE=FILE`
the first process that gets there makes the file, and no other one is ended.
`CODETETHER_FAILPOINT_LOG` names a file to which each name is appended. The program's entry points
call `arm`.
"""

import os
import signal
from collections import Counter
from collections.abc import Mapping

_seen: Counter[str] = Counter()
_target: tuple[str, int] | None = None
_once = ""
_log: int | None = None
_is_armed = False


def arm(environ: Mapping[str, str], kind: str = "cli") -> None:
    """Do what the environment asks of a process of this kind; nothing, as a rule."""
    global _target, _once, _log, _is_armed
    wanted = environ.get("CODETETHER_FAILPOINT", "")
    path = environ.get("CODETETHER_FAILPOINT_LOG", "")
    if not (wanted or path):
        return
    place, _, number = wanted.rpartition(":")
    only, _, name = place.rpartition("/")
    if only in ("", kind) and name:
        _target = (name, int(number))
    _once = environ.get("CODETETHER_FAILPOINT_ONCE", "")
    if path and _log is None:
        _log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    _is_armed = _target is not None or _log is not None


def disarm() -> None:
    """Forget what was asked for, and how often places were passed: another life begins."""
    global _target, _once, _log, _is_armed
    if _log is not None:
        os.close(_log)
    _target, _once, _log, _is_armed = None, "", None, False
    _seen.clear()


def hit(name: str) -> None:
    """The process comes by the place `name`."""
    if not _is_armed:
        return
    _seen[name] += 1
    if _log is not None:
        os.write(_log, f"{name}\n".encode())
    if _target == (name, _seen[name]) and _is_first():
        os.kill(os.getpid(), signal.SIGKILL)


def _is_first() -> bool:
    """Whether no process was ended here before, where only one may be."""
    if not _once:
        return True
    try:
        os.close(os.open(_once, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    except FileExistsError:
        return False
    return True
