"""The Ray head that this user's codetether started for all its commands, if there is one."""

import contextlib
import fcntl
import json
import os
import platform
import signal
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from codetether_ray import __version__
from codetether_ray.actors import processes

_METRICS = "prom_metrics_service_discovery.json"
"""The file that Ray keeps, in its directory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """A running head: where, which versions, which process, whose."""

    address: str
    ray: str
    python: str
    pid: int
    """Of the process that ends it when it is asked to."""
    started: str
    uid: int
    token: str = ""
    """Path of the file with its token."""
    package: str = ""
    """Version of this program that started it; empty where that is not known."""

    @property
    def runs(self) -> str:
        """Its versions, for people."""
        package = f" and codetether-ray {self.package}" if self.package else ""
        return f"Ray {self.ray} on Python {self.python}{package}"

    @property
    def is_mine_and_alive(self) -> bool:
        """Whether that very process still runs and both it and the file are this user's."""
        return self.uid == os.getuid() and processes.Process(self.pid, self.started).is_alive

    @property
    def fits(self) -> bool:
        """Whether this process can join it: same Ray, same Python, same program."""
        package = self.package or __version__
        return (self.ray, self.python, package) == (*versions(), __version__)


def versions() -> tuple[str, str]:
    """Ray's and Python's, as they must agree between a head and who joins it."""
    import importlib.metadata  # noqa: PLC0415 - only where a head is looked for

    return importlib.metadata.version("ray"), platform.python_version()


def state_path(data_dir: Path) -> Path:
    """The file that tells other commands of a head."""
    return data_dir / "ray" / "head.json"


def find_head(data_dir: Path) -> Head | None:
    """The head that runs now; None if there is none, or the file is not this user's own."""
    path = state_path(data_dir)
    try:
        if path.is_symlink() or path.stat().st_uid != os.getuid():
            return None
        head = Head(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
    return head if head.is_mine_and_alive else None


def metrics_path(data_dir: Path) -> Path:
    """Where a Prometheus finds the addresses of a head's nodes, whatever Ray's directory is."""
    return data_dir / "ray" / "prometheus.json"


@contextlib.contextmanager
def claim(data_dir: Path) -> Iterator[bool]:
    """Be the one process that may hold a head of this user; False where another one is."""
    path = state_path(data_dir).with_suffix(".lock")
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True


def announce_head(data_dir: Path, *, address: str, token: Path) -> Head:
    """Tell this user's other commands that this process holds a head at `address`."""
    ray, python = versions()
    me = processes.find(os.getpid())
    head = Head(
        address=address,
        ray=ray,
        python=python,
        pid=os.getpid(),
        started=me.started if me else "",
        uid=os.getuid(),
        token=str(token),
        package=__version__,
    )
    path = state_path(data_dir)
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_suffix(f".{os.getpid()}")
    fresh.touch(mode=0o600)
    fresh.write_text(json.dumps(asdict(head)), encoding="utf-8")
    fresh.replace(path)
    _link(metrics_path(data_dir), token.parent / _METRICS)
    return head


def withdraw_head(data_dir: Path) -> None:
    """Take this process's announcement back."""
    head = find_head(data_dir)
    if head is not None and head.pid == os.getpid():
        state_path(data_dir).unlink(missing_ok=True)
        metrics_path(data_dir).unlink(missing_ok=True)


def _link(path: Path, target: Path) -> None:
    path.unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # on a disk without links there is no such file
        path.symlink_to(target)


def stop_head(head: Head) -> None:
    """Ask the process that holds a head to end it."""
    if head.is_mine_and_alive:
        with contextlib.suppress(ProcessLookupError):
            os.kill(head.pid, signal.SIGTERM)
