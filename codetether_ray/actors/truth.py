"""What a driver elsewhere does with its run's files: asked of the head's node daemon."""

from pathlib import Path
from typing import Any

import ray
from ray.exceptions import GetTimeoutError, RayError, RayTaskError

from codetether_ray.actors import processes
from codetether_ray.actors.calls import reason, translated
from codetether_ray.actors.dossier import Dossier, Job
from codetether_ray.actors.node import NodeHome, RayNode
from codetether_ray.actors.processes import Process
from codetether_ray.core.errors import ClusterError

_PATIENCE_S = 30.0


class FarDossier:
    """A run's `Dossier` on the head, with the same verbs. They block for some milliseconds."""

    def __init__(self, node: RayNode, data_dir: Path, run_id: str) -> None:
        self.folder = Dossier.of(data_dir, run_id).folder
        self._node = node
        self._run_id = run_id

    def open(self, job: Job) -> None:
        """See `Dossier.open`."""
        self._do("open_job", job)

    def job(self) -> Job:
        """See `Dossier.job`."""
        job: Job = self._do("read_job")
        return job

    def cancel(self) -> bool:
        """See `Dossier.cancel`."""
        return bool(self._do("cancel_job"))

    def remove(self, job: Job) -> None:
        """See `Dossier.remove`."""
        self._do("remove_job", job)

    def kill(self, process: Process) -> None:
        """See `Dossier.kill`."""
        self._do("kill_process", process)

    def _do(self, name: str, *arguments: Any) -> Any:
        return ask_now(self._node, f"{__name__}:{name}", self._run_id, *arguments)


def ask_now(node: RayNode, function: str, *arguments: Any, patience_s: float = _PATIENCE_S) -> Any:
    """`RayNode.call` where there is no event loop, or none that minds; it blocks.

    Raises:
        ClusterError: the node does not answer.
        CodetetherError: what the function raised.
    """
    try:
        return ray.get(node.actor.call.remote(function, arguments), timeout=patience_s)
    except GetTimeoutError as error:
        raise ClusterError(f"node {node.id[:12]} does not answer in {patience_s:.0f} s") from error
    except RayTaskError as error:
        raise translated(error, f"node {node.id[:12]}") from error
    except RayError as error:
        raise ClusterError(f"node {node.id[:12]} does not answer: {reason(error)}") from error


def open_job(home: NodeHome, run_id: str, job: Job) -> None:
    """Write down a new job."""
    Dossier.of(home.data_dir, run_id).open(job)


def read_job(home: NodeHome, run_id: str) -> Job:
    """What was written down."""
    return Dossier.of(home.data_dir, run_id).job()


def cancel_job(home: NodeHome, run_id: str) -> bool:
    """Ask for the run's end."""
    return Dossier.of(home.data_dir, run_id).cancel()


def remove_job(home: NodeHome, run_id: str, job: Job) -> None:
    """The job has ended."""
    Dossier.of(home.data_dir, run_id).remove(job)


def kill_process(_: NodeHome, __: str, process: Process) -> None:
    """End a process of the run that hangs."""
    processes.end_all((process,), patience_s=0)
