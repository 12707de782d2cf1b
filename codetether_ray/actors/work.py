"""The platform of the workers in one actor on the head: every replica asks it.

Its state is in SQLite on the head's disk; an actor that is started again goes on with it.
"""

import asyncio
import secrets
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ray.exceptions import RayActorError, RayError, RayTaskError

from codetether_ray.actors.calls import reason, translated
from codetether_ray.actors.pulse import keep_alive, plain
from codetether_ray.actors.tasks import on_head
from codetether_ray.core.codec import JsonObject
from codetether_ray.core.errors import ClusterError, WorkStoreError
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

_WHOM = "the store of the workers' tasks"
_SILENT_S = 15.0
"""An actor that gives no sign of life for so long is started anew."""
_PATIENCE_S = 30.0
"""For one that is gone, and is made again; workers ask again by themselves."""
_PAUSE_S = 0.2


class WorkActor:
    """The class of the actor; `RayPlatform` is its client."""

    def __init__(self, path: str, lease_s: float) -> None:
        """Nothing is opened yet: a file that is in use must not make an end of the actor."""
        self._path, self._lease_s = Path(path), lease_s
        self._platform: WorkPlatform | None = None

    def __repr__(self) -> str:
        return f"Work({self._path})"

    async def call(self, verb: str, arguments: tuple[Any, ...], more: dict[str, Any]) -> Any:
        """What the platform's method of that name gives."""
        if self._platform is None:
            store = SqliteWork(self._path)
            self._platform = WorkPlatform(store, SystemClock(), lease_s=self._lease_s)
        return await getattr(self._platform, verb)(*arguments, **more)


class RayPlatform:
    """See `ports.work.Platform`, whose verbs these are. One per process and event loop.

    Where the actor dies or freezes it is started anew, and what was under way is asked for again:
    each verb may be repeated, but for output without a number.
    """

    def __init__(self, path: Path, lease_s: float) -> None:
        self._path, self._lease_s = path, lease_s
        self._actor: Any = None
        self._keeping: asyncio.Task[None] | None = None

    @classmethod
    async def on_head(cls, path: Path, *, lease_s: float = LEASE_S) -> "RayPlatform":
        """The cluster's own for that file on the head, made if it is not there.

        Raises:
            WorkStoreError: it cannot be made.
        """
        made = cls(path, lease_s)
        try:
            made._actor = await asyncio.to_thread(made._find)
        except (RayError, ClusterError, ValueError) as error:
            raise _away(error) from error
        made._keeping = asyncio.create_task(made._keep(), name="keeping the store of work")
        return made

    async def create(self, asker: Principal, wish: WorkWish) -> WorkTask:
        """See `Platform.create`."""
        named = wish if wish.id else replace(wish, id=f"task_{secrets.token_hex(10)}")
        task: WorkTask = await self._ask("create", asker, named)
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
        except WorkStoreError:
            return False

    async def close(self) -> None:
        """The actor is the cluster's: it stays."""
        if self._keeping is not None:
            self._keeping.cancel()
            await asyncio.gather(self._keeping, return_exceptions=True)

    async def _ask(self, verb: str, *arguments: Any, **more: Any) -> Any:
        """The actor's answer; of the next one, where this one is gone for good."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _PATIENCE_S
        while True:
            try:
                return await plain(self._actor.call.remote(verb, arguments, more))
            except RayTaskError as error:
                found = translated(error, _WHOM)
                raise _away(found) if isinstance(found, ClusterError) else found from error
            except RayActorError as error:
                if loop.time() > deadline:
                    raise _away(error) from error
            except RayError as error:
                raise _away(error) from error
            await self._find_again()

    async def _find_again(self) -> None:
        await asyncio.sleep(_PAUSE_S)
        try:
            self._actor = await asyncio.to_thread(self._find)
        except (RayError, ClusterError, ValueError):  # the call to an actor that is gone tells why
            return

    async def _keep(self) -> None:
        while True:
            await keep_alive(self._actor, _SILENT_S)

    def _find(self) -> Any:
        return on_head(WorkActor, "work", str(self._path), str(self._path), self._lease_s)


def _away(error: BaseException) -> WorkStoreError:
    return WorkStoreError(f"{_WHOM} on the head cannot be reached: {reason(error)}")
