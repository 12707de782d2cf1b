"""Opens the platform of the workers: in this process, or in an actor on the head."""

from pathlib import Path

from codetether_ray.bootstrap.truth.reach import Reach
from codetether_ray.ingress.options import IngressOptions
from codetether_ray.ports.work import Platform

FILE = "work.db"
"""In the truth's data directory."""


async def open_platform(options: IngressOptions, reach: Reach) -> Platform:
    """The tasks that workers claim; whoever opens it awaits its `close`.

    Raises:
        WorkStoreError: its file cannot be opened.
        ClusterError: the head does not answer.
    """
    path = Path(options.data_dir or reach.truth.data_dir) / FILE
    if reach.cluster is not None:
        from codetether_ray.actors.work import RayPlatform

        return await RayPlatform.on_head(path)
    return open_here(path)


def open_here(path: Path, *, lease_s: float | None = None) -> Platform:
    """The platform of one process.

    Raises:
        WorkStoreError: its file cannot be opened.
    """
    from codetether_ray.local.clock import SystemClock
    from codetether_ray.stores.work import SqliteWork
    from codetether_ray.worker.platform import LEASE_S, WorkPlatform

    return WorkPlatform(SqliteWork(path), SystemClock(), lease_s=lease_s or LEASE_S)
