"""The platform of the workers in one actor on the head: every replica asks it.

Its state is in SQLite on the head's disk; an actor that is started again goes on with it.
"""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ray

from codetether_ray import __version__
from codetether_ray.actors.calls import ask
from codetether_ray.actors.cluster import NAMESPACE
from codetether_ray.actors.node import head_node
from codetether_ray.actors.nodes import on_node
from codetether_ray.core.codec import JsonObject
from codetether_ray.core.errors import ClusterError
from codetether_ray.core.principals import Principal
from codetether_ray.core.work import (
    Changes,
    Ended,
    Heard,
    Held,
    Output,
    Worker,
    WorkStatus,
    WorkTask,
    WorkWish,
)
from codetether_ray.local.clock import SystemClock
from codetether_ray.stores.work import SqliteWork
from codetether_ray.worker.platform import LEASE_S, WorkPlatform

_CALLS_AT_ONCE = 10_000
"""Each worker's stream has one long poll parked here."""
_WHOM = "the store of the workers' tasks"


class WorkActor:
    """The class of the actor; `RayPlatform` is its client."""

    def __init__(self, path: str, lease_s: float) -> None:
        """Open the store at `path` on this node."""
        self._platform = WorkPlatform(SqliteWork(Path(path)), SystemClock(), lease_s=lease_s)

    async def call(self, verb: str, arguments: tuple[Any, ...], more: dict[str, Any]) -> Any:
        """What the platform's method of that name gives."""
        return await getattr(self._platform, verb)(*arguments, **more)


class RayPlatform:
    """See `ports.work.Platform`, whose verbs these are."""

    def __init__(self, actor: Any) -> None:
        self._actor = actor

    @classmethod
    async def on_head(cls, path: Path, *, lease_s: float = LEASE_S) -> "RayPlatform":
        """The cluster's own, made if it is not there.

        Raises:
            ClusterError: there is no head that is alive.
        """
        return cls(await asyncio.to_thread(_found, path, lease_s))

    async def create(self, asker: Principal, wish: WorkWish) -> WorkTask:
        """See `Platform.create`."""
        task: WorkTask = await self._ask("create", asker, wish)
        return task

    async def task(self, asker: Principal, task_id: str, *, sees_all: bool = False) -> WorkTask:
        """See `Platform.task`."""
        task: WorkTask = await self._ask("task", asker, task_id, sees_all=sees_all)
        return task

    async def tasks(
        self,
        asker: Principal,
        *,
        status: WorkStatus | None = None,
        limit: int = 100,
        before: str | None = None,
        sees_all: bool = False,
    ) -> tuple[WorkTask, ...]:
        """See `Platform.tasks`."""
        more = {"status": status, "limit": limit, "before": before, "sees_all": sees_all}
        tasks: tuple[WorkTask, ...] = await self._ask("tasks", asker, **more)
        return tasks

    async def cancel(
        self,
        asker: Principal,
        task_id: str,
        *,
        source: str = "",
        event: str = "",
        sees_all: bool = False,
    ) -> WorkTask:
        """See `Platform.cancel`."""
        more = {"source": source, "event": event, "sees_all": sees_all}
        task: WorkTask = await self._ask("cancel", asker, task_id, **more)
        return task

    async def outputs(
        self,
        asker: Principal,
        task_id: str,
        *,
        after: int = 0,
        wait_s: float = 0.0,
        sees_all: bool = False,
    ) -> tuple[tuple[Output, ...], bool]:
        """See `Platform.outputs`."""
        more = {"after": after, "wait_s": wait_s, "sees_all": sees_all}
        found, is_all = await self._ask("outputs", asker, task_id, **more)
        return found, is_all

    async def register(self, asker: Principal, worker: Worker) -> Worker:
        """See `Platform.register`."""
        known: Worker = await self._ask("register", asker, worker)
        return known

    async def workers(self, asker: Principal, *, sees_all: bool = False) -> tuple[Worker, ...]:
        """See `Platform.workers`."""
        found: tuple[Worker, ...] = await self._ask("workers", asker, sees_all=sees_all)
        return found

    async def pending(self, asker: Principal, worker_id: str = "") -> tuple[WorkTask, ...]:
        """See `Platform.pending`."""
        found: tuple[WorkTask, ...] = await self._ask("pending", asker, worker_id)
        return found

    async def claim(self, asker: Principal, worker_id: str, task_id: str) -> WorkTask:
        """See `Platform.claim`."""
        task: WorkTask = await self._ask("claim", asker, worker_id, task_id)
        return task

    async def output(
        self,
        asker: Principal,
        worker_id: str,
        task_id: str,
        texts: Sequence[str],
        *,
        first: int | None = None,
        lease: int | None = None,
    ) -> int:
        """See `Platform.output`."""
        more = {"first": first, "lease": lease}
        return int(await self._ask("output", asker, worker_id, task_id, list(texts), **more))

    async def release(
        self,
        asker: Principal,
        worker_id: str,
        task_id: str,
        ended: Ended,
        *,
        lease: int | None = None,
    ) -> WorkTask:
        """See `Platform.release`."""
        task: WorkTask = await self._ask("release", asker, worker_id, task_id, ended, lease=lease)
        return task

    async def heartbeat(
        self,
        asker: Principal,
        worker_id: str,
        *,
        status: str = "idle",
        active: int = 0,
        held: Sequence[Held] | None = None,
        cognition: JsonObject | None = None,
    ) -> Heard:
        """See `Platform.heartbeat`."""
        more = {"status": status, "active": active, "held": held, "cognition": cognition}
        heard: Heard = await self._ask("heartbeat", asker, worker_id, **more)
        return heard

    async def changes(
        self, asker: Principal, worker_id: str, *, after: int | None = None, wait_s: float = 0.0
    ) -> Changes:
        """See `Platform.changes`."""
        found: Changes = await self._ask("changes", asker, worker_id, after=after, wait_s=wait_s)
        return found

    async def is_ready(self) -> bool:
        """See `Platform.is_ready`."""
        try:
            return bool(await self._ask("is_ready"))
        except ClusterError:
            return False

    async def close(self) -> None:
        """The actor is the cluster's: it stays."""

    async def _ask(self, verb: str, *arguments: Any, **more: Any) -> Any:
        return await ask(self._actor.call.remote(verb, arguments, more), _WHOM)


def _found(path: Path, lease_s: float) -> Any:
    return (
        ray.remote(WorkActor)
        .options(
            name=f"work {__version__}",
            namespace=NAMESPACE,
            lifetime="detached",
            get_if_exists=True,
            num_cpus=0,
            max_restarts=-1,
            max_task_retries=0,
            max_concurrency=_CALLS_AT_ONCE,
            scheduling_strategy=on_node(head_node()),
        )
        .remote(str(path), lease_s)
    )
