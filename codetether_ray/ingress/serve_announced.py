"""What serves in the foreground, on a Ray of its own, as other commands of this user find it.

Such a Ray is announced nowhere. A file of the data directory names the ingress, and is locked as
long as the process lives that holds it: what a killed one has left says nothing.
"""

import asyncio
import fcntl
import json
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from codetether_ray.core.errors import ClusterError, ServesHereError
from codetether_ray.ingress.cards import grpc_address, public_url
from codetether_ray.ingress.options import IngressOptions

_FILE = "serve.lock"
_MOST_BYTES = 10_000
_ENDING_S, _POLL_S = 60.0, 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Announced:
    """An ingress that another process holds."""

    pid: int
    url: str = ""
    """Empty while it starts."""
    grpc: str = ""
    since: str = ""

    @property
    def is_well(self) -> bool:
        """Whether it has begun to answer."""
        return bool(self.url)

    @property
    def where(self) -> str:
        """Where it answers, for people."""
        return f"{self.url} and {self.grpc} (gRPC)" if self.url else "an address still to come"


class Announcement:
    """The file while this process has it."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def tell(self, options: IngressOptions, since: str) -> None:
        """Say what serves."""
        where = {"url": public_url(options), "grpc": grpc_address(options)}
        self.write({"pid": os.getpid(), "since": since, **where})

    def write(self, told: dict[str, Any]) -> None:
        """Say so much of an `Announced`."""
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, json.dumps(told).encode(), 0)


@contextmanager
def announced(data_dir: Path) -> Iterator[Announcement]:
    """Have the file, until the end.

    Raises:
        ServesHereError: another process has it.
    """
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
    descriptor = os.open(data_dir / _FILE, flags, 0o600)
    try:
        while not _locks(descriptor):
            demand_none(data_dir)
        made = Announcement(descriptor)
        made.write({"pid": os.getpid()})
        yield made
        os.ftruncate(descriptor, 0)
    finally:
        os.close(descriptor)


def find_announced(data_dir: Path) -> Announced | None:
    """What another process holds; None where none does."""
    try:
        descriptor = os.open(data_dir / _FILE, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        if _locks(descriptor):
            return None
        return Announced(**json.loads(os.pread(descriptor, _MOST_BYTES, 0)))
    except (OSError, ValueError, TypeError):  # it is being written
        return Announced(pid=0)
    finally:
        os.close(descriptor)


def demand_none(data_dir: Path) -> None:
    """Return if no process holds one.

    Raises:
        ServesHereError: one does; the sentence says where, and how it is ended.
    """
    found = find_announced(data_dir)
    if found is not None:
        raise ServesHereError(found.where, found.pid)


async def end_announced(data_dir: Path) -> Announced | None:
    """End what another process holds, as Ctrl-C there would; None where none does.

    Raises:
        ClusterError: it still ends after a minute.
    """
    found = find_announced(data_dir)
    if found is None or not found.pid:
        return None
    os.kill(found.pid, signal.SIGTERM)  # it has the lock: the number is its own
    deadline = time.monotonic() + _ENDING_S
    while find_announced(data_dir) is not None:
        if time.monotonic() > deadline:
            raise ClusterError(f"process {found.pid} still ends after {_ENDING_S:.0f} s")
        await asyncio.sleep(_POLL_S)
    return found


def _locks(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
