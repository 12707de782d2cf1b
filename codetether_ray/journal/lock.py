"""The lock on a run: one writer per run on this machine, and who it is.

The kernel lets go of the lock when its holder dies; the file says who held it last. A holder that
lives and gives no sign of life (it was stopped, it hangs) is ended by the next taker.
"""

import fcntl
import json
import os
import socket
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from codetether_ray.core.errors import RunBusyError
from codetether_ray.journal.lease import Lease, is_silent, stale_after_s
from codetether_ray.journal.process import end_process, started_at

LOCK = "lock"
_TRIES = 5  # a lister that looks at the lock holds it for some microseconds
_PAUSE_S = 0.02
_RELEASE_S = 5.0
"""How long the kernel may take to give up the lock of a process that was ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """A process that writes, or wrote, a run. `since` is in seconds since the epoch."""

    pid: int
    host: str
    since: float
    started: str = ""
    """When the process started: tells it from a later one of the same number."""

    def __str__(self) -> str:
        since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(self.since))
        return f"process {self.pid} on {self.host} since {since}"


OnStale = Callable[[str, Holder], None]
"""Called with a run and the silent holder that it was taken from, which was ended just now: says
so, and ends the processes that it left behind. No record was read yet."""


class RunLock:
    """Holds a run's directory, and its lease, until `release`."""

    def __init__(
        self,
        run_id: str,
        directory: Path,
        *,
        on_stale: OnStale | None = None,
        stale_s: float | None = None,
        on_renewal: Callable[[], None] | None = None,
    ) -> None:
        """Take the lock, and write down who we are. It blocks for seconds at a stale holder.

        `on_renewal` is called in the lease's thread each time that was renewed.

        Raises:
            RunBusyError: another writer holds it.
        """
        self._run_id, self._directory = run_id, directory
        self._on_stale = on_stale
        self._stale_s = stale_after_s() if stale_s is None else stale_s
        self._fd = os.open(directory / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._lease: Lease | None = None
        self.taken_from: Holder | None = None
        """The silent holder that was ended."""
        try:
            if not _take(self._fd):
                self._take_over()
            # The lease first: whoever reads our name finds it fresh.
            self._lease = Lease(directory, self._stale_s, on_renewal)
            self.holder = this_process()
            words = json.dumps(asdict(self.holder)).encode()
            os.pwrite(self._fd, words, 0)
            os.ftruncate(self._fd, len(words))
        except BaseException:
            self.release()
            raise

    def release(self) -> None:
        """Let go; a second call does nothing."""
        if self._lease is not None:
            self._lease.release()
            self._lease = None
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _take_over(self) -> None:
        """Take the lock from a holder that is silent, or that died and left a child with it."""
        holder = read_holder(self._directory)  # before the lease is looked at: see `__init__`
        if holder is None or not self._is_gone(holder):
            raise self._busy(holder)
        if not end_process(holder.pid, holder.started):
            raise self._busy(holder)
        if self._on_stale is not None:
            self._on_stale(self._run_id, holder)
        self.taken_from = holder
        deadline = time.monotonic() + _RELEASE_S
        while not _take(self._fd):
            if time.monotonic() > deadline:
                raise self._busy(read_holder(self._directory))

    def _is_gone(self, holder: Holder) -> bool:
        """Whether the holder is of this machine, and silent."""
        is_ours = holder.host == socket.gethostname() and holder.pid != os.getpid()
        return is_ours and bool(holder.started) and is_silent(self._directory, self._stale_s)

    def _busy(self, holder: Holder | None) -> RunBusyError:
        return RunBusyError(self._run_id, str(holder or "another process"), self._stale_s)


def this_process() -> Holder:
    """This process as a holder, from now on."""
    pid = os.getpid()
    return Holder(pid=pid, host=socket.gethostname(), since=time.time(), started=started_at(pid))


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
        return Holder(
            pid=int(data["pid"]),
            host=str(data["host"]),
            since=float(data["since"]),
            started=str(data.get("started", "")),
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def live_holder(directory: Path) -> Holder | None:
    """Who writes the run now; None if nobody does. A stopped writer counts: it holds the run."""
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
