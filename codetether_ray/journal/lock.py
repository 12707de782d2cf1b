"""The lock on a run: one writer per run on this machine, and who it is.

The kernel lets go of the lock when its holder dies; the file says who held it last.
"""

import fcntl
import json
import os
import socket
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from codetether_ray.core.errors import RunBusyError

LOCK = "lock"
_TRIES = 5  # a lister that looks at the lock holds it for some microseconds
_PAUSE_S = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """A process that writes, or wrote, a run. `since` is in seconds since the epoch."""

    pid: int
    host: str
    since: float

    def __str__(self) -> str:
        started = time.strftime("%H:%M:%S", time.localtime(self.since))
        return f"process {self.pid} on {self.host} since {started}"


class RunLock:
    """Holds a run's directory until `release`."""

    def __init__(self, run_id: str, directory: Path) -> None:
        """Take the lock, and write down who we are.

        Raises:
            RunBusyError: another writer holds it.
        """
        path = directory / LOCK
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            if not _take(self._fd):
                raise RunBusyError(run_id, str(read_holder(directory) or "another process"))
            self.holder = Holder(pid=os.getpid(), host=socket.gethostname(), since=time.time())
            words = json.dumps(asdict(self.holder)).encode()
            os.pwrite(self._fd, words, 0)
            os.ftruncate(self._fd, len(words))
        except BaseException:
            os.close(self._fd)
            raise

    def release(self) -> None:
        """Let go; a second call does nothing."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def _take(descriptor: int) -> bool:
    for attempt in range(_TRIES):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(_PAUSE_S if attempt < _TRIES - 1 else 0)
        else:
            return True
    return False


def read_holder(directory: Path) -> Holder | None:
    """Who took the lock last; None if nobody did."""
    try:
        data = json.loads((directory / LOCK).read_bytes())
        return Holder(pid=int(data["pid"]), host=str(data["host"]), since=float(data["since"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def live_holder(directory: Path) -> Holder | None:
    """Who writes the run now; None if nobody does."""
    holder = read_holder(directory)
    if holder is None or (holder.host == socket.gethostname() and not _is_alive(holder.pid)):
        return None
    descriptor = os.open(directory / LOCK, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return holder
    finally:
        os.close(descriptor)
    return None


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
