"""Which process drives a run, so that another can ask it to stop."""

import contextlib
import json
import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from codetether_ray.actors.dossier import Dossier
from codetether_ray.actors.head import find_head
from codetether_ray.core.errors import CodetetherError, ConfigError, UnknownRunError
from codetether_ray.core.ids import is_run_id
from codetether_ray.journal.listing import find_run
from codetether_ray.journal.lock import live_holder
from codetether_ray.journal.segments import run_directory


@dataclass(frozen=True, slots=True, kw_only=True)
class Driver:
    """A process that drives a run. `mark` tells it from a later process of the same pid."""

    pid: int
    host: str
    mark: str

    @property
    def is_alive(self) -> bool:
        """Whether that very process still runs, on this machine."""
        return self.host == socket.gethostname() and _mark(self.pid) == self.mark


@dataclass(frozen=True, slots=True, kw_only=True)
class Unattended:
    """A run that goes on by itself on a head: its driver is gone, its supervisor is not."""

    data_dir: Path
    run_id: str

    @property
    def pid(self) -> int | None:
        """The supervisor's; None while Ray starts it again."""
        holder = live_holder(run_directory(self.data_dir, self.run_id))
        return holder.pid if holder else None

    @property
    def is_alive(self) -> bool:
        """Whether a process still writes the run, or Ray is about to start one that will."""
        if not Dossier.of(self.data_dir, self.run_id).is_open:
            return False
        return self.pid is not None or (find_head(self.data_dir) is not None and self._is_cut)

    @property
    def _is_cut(self) -> bool:
        try:
            return find_run(self.data_dir, self.run_id).state == "interrupted"
        except UnknownRunError:
            return False


@contextlib.contextmanager
def writing(data_dir: Path) -> Iterator[None]:
    """Where files are first made in `data_dir`.

    Raises:
        ConfigError: it cannot be written.
    """
    try:
        yield
    except OSError as error:
        why = error.strerror or str(error)
        raise ConfigError(
            f"{data_dir}, where runs and keys are kept, cannot be written ({why}); "
            "CODETETHER_DATA_DIR=DIR names another place"
        ) from error


@contextlib.contextmanager
def driving(data_dir: Path, run_id: str) -> Iterator[None]:
    """Say, while the context lasts, that this process drives `run_id`.

    Where another one does already, its note stays: the journal will refuse this process.

    Raises:
        ConfigError: `data_dir` cannot be written.
    """
    path = _path(data_dir, run_id)
    with writing(data_dir):
        path.parent.mkdir(parents=True, exist_ok=True)
    mine = Driver(pid=os.getpid(), host=socket.gethostname(), mark=_mark(os.getpid()))
    other = find(data_dir, run_id)
    if other is not None and other != mine and other.is_alive:
        yield
        return
    wish = _wish(data_dir, run_id)
    with writing(data_dir):
        wish.unlink(missing_ok=True)
        path.write_text(json.dumps(asdict(mine)), encoding="utf-8")
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        wish.unlink(missing_ok=True)


def find(data_dir: Path, run_id: str) -> Driver | None:
    """Who drives a run now; None if nobody does.

    Raises:
        UnknownRunError: `run_id` has not the form of one.
    """
    if not is_run_id(run_id):
        raise UnknownRunError(run_id)
    try:
        found = Driver(**json.loads(_path(data_dir, run_id).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
    return found if found.is_alive or found.host != socket.gethostname() else None


def find_unattended(data_dir: Path, run_id: str) -> Unattended | None:
    """A run that is under way without a driver; None if it is not under way."""
    found = Unattended(data_dir=data_dir, run_id=run_id)
    return found if found.is_alive else None


def stop(driver: Driver | Unattended) -> None:
    """Ask for the clean end of a run, as Ctrl-C would.

    Raises:
        CodetetherError: it is on another machine, or is not ours.
    """
    if isinstance(driver, Unattended):
        Dossier.of(driver.data_dir, driver.run_id).cancel()
        return
    if driver.host != socket.gethostname():
        raise CodetetherError(f"the run is driven by process {driver.pid} on {driver.host}")
    try:
        os.kill(driver.pid, signal.SIGINT)
    except ProcessLookupError:
        return
    except PermissionError as error:
        raise CodetetherError(f"process {driver.pid} belongs to another user") from error


def ask_to_stop(data_dir: Path, run_id: str) -> None:
    """Leave word which run a signal to its driver means: one process may drive several."""
    with contextlib.suppress(OSError):
        _wish(data_dir, run_id).touch()


def is_asked_to_stop(data_dir: Path, run_id: str) -> bool:
    """Whether such word was left since this process drives the run."""
    return bool(run_id) and _wish(data_dir, run_id).exists()


def _wish(data_dir: Path, run_id: str) -> Path:
    return data_dir / "drivers" / f"{run_id}.stop"


def _path(data_dir: Path, run_id: str) -> Path:
    return data_dir / "drivers" / f"{run_id}.json"


def _mark(pid: int) -> str:
    """When a process started, in the system's own words; empty if there is none."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
        return stat.rpartition(")")[2].split()[19]  # field 22: start time in clock ticks
    except OSError:
        pass
    if Path("/proc/self").exists():
        return ""
    done = subprocess.run(
        ["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return done.stdout.strip()
