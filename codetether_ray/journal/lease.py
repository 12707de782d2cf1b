"""The lease on a run: a sign of life that its writer's process gives every two seconds.

It comes from a thread of its own, so that a busy event loop cannot starve it. A lease is about
liveness only; what keeps an old writer from being believed is the generation.
"""

import os
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

LEASE = "lease"
STALE_S = 15.0
"""A writer that was silent for longer has stopped or hangs."""

LEASE_VARIABLE = "CODETETHER_LEASE_S"
"""Also how long other processes of a run may be silent."""
_RENEWALS = 7.5
"""How often a lease is renewed before it would be stale."""


def stale_after_s(environ: Mapping[str, str] = os.environ) -> float:
    """How long a writer may be silent; `CODETETHER_LEASE_S` sets it."""
    try:
        return max(float(environ.get(LEASE_VARIABLE, "")), 0.1)
    except ValueError:
        return STALE_S


class Lease:
    """Renewed from its making until `release`."""

    def __init__(
        self, directory: Path, stale_s: float, on_renewal: Callable[[], None] | None = None
    ) -> None:
        """Renew once, then from a thread, which calls `on_renewal` after each time.

        Raises:
            OSError: the file cannot be made.
        """
        self._path = directory / LEASE
        self._on_renewal = on_renewal
        self._every_s = stale_s / _RENEWALS
        os.close(os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
        os.utime(self._path)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="lease", daemon=True)
        self._thread.start()

    def release(self) -> None:
        """Renew no more. Idempotent."""
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ended.wait(self._every_s):
            with suppress(OSError):  # the run was removed, or the disk is ill: writing says so
                os.utime(self._path)
            if self._on_renewal is not None:
                with suppress(OSError):
                    self._on_renewal()


def lease_age_s(directory: Path) -> float | None:
    """Seconds since the writer's last sign of life; None if there never was one."""
    try:
        return max(0.0, time.time() - (directory / LEASE).stat().st_mtime)
    except OSError:
        return None


def is_silent(directory: Path, stale_s: float) -> bool:
    """Whether the writer gives no sign of life any more.

    A lease that looks old is watched for a while before it is believed: after a sleep of the
    machine, or when its clock was set, every lease looks old for a moment.
    """
    age = lease_age_s(directory)
    if age is None or age <= stale_s:
        return False
    seen = _renewed_at(directory)
    time.sleep(stale_s / _RENEWALS * 1.5)
    return _renewed_at(directory) == seen


def _renewed_at(directory: Path) -> int:
    try:
        return (directory / LEASE).stat().st_mtime_ns
    except OSError:
        return 0
