"""The files by which a run's supervisor goes on when its process is replaced.

In `<data>/supervisors/<run>/`: `job`, what it was told to do; `processes`, its own and those it
started, so that what is left of them can be ended; `cancel`, once somebody wants it to stop.
They are for processes that die, not for machines: nothing is flushed, the journal is the truth.
"""

import contextlib
import pickle
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from codetether_ray.actors import processes
from codetether_ray.actors.processes import Process
from codetether_ray.core.errors import ClusterError

LEASE_S = 30.0
_JOB, _PROCESSES, _CANCEL = "job", "processes", "cancel"
_END_PATIENCE_S = 10.0
"""How long the system may take to end a process that was killed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What a supervisor is to do: the run function that `module:function` names, on plain options.

    Pickled in the user's own directory, readable by nobody else. No secret is in it.
    """

    function: str
    options: Any
    environ: Mapping[str, str] = field(default_factory=dict)
    """Variables of the driver that the supervisor shall see."""
    lease_s: float = LEASE_S
    """How long a process may give no sign of life before it is replaced."""
    since: int = 0
    """How many records the run had before."""
    lasts: bool = False
    """Whether the supervisor outlives its driver, and ends itself."""
    is_far: bool = False
    """Whether its driver has other files than its supervisor, and nothing of its environment
    counts there."""
    brings_keys: bool = False
    """Whether its driver is asked for providers' keys."""
    token: str = ""
    """Tells this job from another one of the same run."""


class Dossier:
    """The files of one run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @classmethod
    def of(cls, data_dir: Path, run_id: str) -> "Dossier":
        """Where the files of a run are, or would be."""
        return cls(data_dir / "supervisors" / run_id)

    def open(self, job: Job) -> None:
        """Write down a new job.

        Raises:
            ClusterError: the files cannot be written.
        """
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._path(_CANCEL).unlink(missing_ok=True)
            fresh = self._path(f"{_JOB}.new")
            fresh.touch(mode=0o600)
            fresh.write_bytes(pickle.dumps(job))
            fresh.replace(self._path(_JOB))
        except OSError as error:
            raise ClusterError(f"{self.folder} cannot be written: {error.strerror}") from error

    def job(self) -> Job:
        """What was written down.

        Raises:
            ClusterError: nothing was, or it cannot be read.
        """
        try:
            job: Job = pickle.loads(self._path(_JOB).read_bytes())
        except (OSError, pickle.UnpicklingError, EOFError) as error:
            raise ClusterError(f"the job in {self.folder} cannot be read: {error}") from error
        return job

    def note(self, process: Process) -> None:
        """Remember a process of this run."""
        with contextlib.suppress(OSError), self._path(_PROCESSES).open("a") as file:
            file.write(f"{process.pid} {process.started}\n")

    def end_processes(self) -> int:
        """End what still runs of what was noted; how many there were. It blocks.

        For who comes after a supervisor that died: nothing of the run may go on beside it.
        """
        left = [process for process in self._processes() if process.is_alive]
        deadline = time.monotonic() + _END_PATIENCE_S
        processes.end_all(tuple(left), patience_s=0)
        while any(process.is_alive for process in left) and time.monotonic() < deadline:
            processes.end_all(tuple(left), patience_s=0.05)
        self._path(_PROCESSES).unlink(missing_ok=True)
        return len(left)

    def cancel(self) -> bool:
        """Ask for the run's end, now or after a restart; False if there is no such run."""
        try:
            self._path(_CANCEL).touch()
        except OSError:
            return False
        return True

    def kill(self, process: Process) -> None:
        """End a process that hangs, even one that is stopped."""
        processes.end_all((process,), patience_s=0)

    @property
    def is_open(self) -> bool:
        """Whether there is a job that has not come to its end."""
        return self._path(_JOB).exists()

    @property
    def is_cancelled(self) -> bool:
        """Whether somebody wants the run to end."""
        return self._path(_CANCEL).exists()

    def remove(self, job: Job) -> None:
        """The job has ended, and its result was told; the files of a later one stay."""
        with contextlib.suppress(ClusterError):
            if self.job().token == job.token:
                shutil.rmtree(self.folder, ignore_errors=True)

    def _processes(self) -> list[Process]:
        try:
            lines = self._path(_PROCESSES).read_text().splitlines()
        except OSError:
            return []
        pairs = [line.split() for line in lines]
        return [Process(int(pair[0]), pair[1]) for pair in pairs if len(pair) == 2]

    def _path(self, name: str) -> Path:
        return self.folder / name
