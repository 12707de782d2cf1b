"""The store of tasks across processes: one actor on the head has the file, replicas batch calls.

It is started anew where it dies or freezes; what was under way is asked for again, and a save may
be repeated.
"""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar, cast

import ray
from ray.exceptions import RayActorError, RayError, RayTaskError

from codetether_ray import __version__
from codetether_ray.actors.calls import reason, translated
from codetether_ray.actors.classes import made_remote
from codetether_ray.actors.cluster import NAMESPACE
from codetether_ray.actors.node import head_node
from codetether_ray.actors.nodes import on_node
from codetether_ray.actors.outbox import Outbox
from codetether_ray.actors.pulse import keep_alive, plain
from codetether_ray.core.errors import ClusterError, CodetetherError, TaskStoreError
from codetether_ray.local.tasks import LocalTasks, open_local_tasks
from codetether_ray.ports.tasks import KEEP_DAYS, PushRecord, TaskPage, TaskQuery, TaskRecord
from codetether_ray.stores.task_rules import Row, to_record, to_row
from codetether_ray.stores.task_writer import Saves

T = TypeVar("T")
Asked = tuple[str, str | None]
"""Whose task is read: its id, and its owner (None: anybody)."""

TASKS, BOARD = "tasks", "task board"
"""What the names of the actors begin with."""
_KINDS = (f"{TASKS} ", f"{BOARD} ")
_CALLS_AT_ONCE = 1_000
_LEASE_S = 15.0
"""An actor that gives no sign of life for so long is started anew."""
_PATIENCE_S = 60.0
"""For one that is gone altogether, and is made again."""
_PAUSE_S = 0.2
_ROW_BYTES = 200
"""What a record costs beside its payload and order."""
_READ_BYTES = 2_000
"""What a read task is taken for: so many ride one call."""


class TaskKeeper:
    """The class of the actor; `RayTasks` is its client."""

    def __init__(self, data_dir: str, keep_days: float) -> None:
        """Nothing is opened yet: a file that is in use must not make an end of the actor."""
        self._data_dir, self._keep_days = Path(data_dir), keep_days
        self._opening: asyncio.Task[LocalTasks] | None = None

    def __repr__(self) -> str:
        return f"Tasks({self._data_dir})"

    async def save(self, saves: list[Saves]) -> list[tuple[str, ...] | Exception]:
        """Several `save`s at once: refused ids, or an error, for each."""
        store = await self._store()
        answers = await asyncio.gather(*map(store.save_rows, saves), return_exceptions=True)
        return cast("list[tuple[str, ...] | Exception]", answers)

    async def read(self, asked: list[Asked]) -> list[Row | None]:
        """Several `get`s at once."""
        store = await self._store()
        found = [await store.get(task_id, owner) for task_id, owner in asked]
        return [None if record is None else to_row(record) for record in found]

    async def do(self, verb: str, *arguments: Any) -> Any:
        """Any other verb of the store."""
        return await getattr(await self._store(), verb)(*arguments)

    async def _store(self) -> LocalTasks:
        """The store; opened again where that failed."""
        if self._opening is None or (self._opening.done() and self._opening.exception()):
            self._opening = asyncio.create_task(open_local_tasks(self._data_dir, self._keep_days))
        return await asyncio.shield(self._opening)


class RayTasks:
    """The store port on the actor. One per process and event loop."""

    def __init__(self, find: Callable[[], Any]) -> None:
        """`find` gives the actor, and makes it where there is none; it blocks."""
        self._find = find
        self._actor: Any = None
        self._outbox: Outbox[Saves, tuple[str, ...]] = Outbox(self._send)
        self._reads: Outbox[Asked, Row | None] = Outbox(self._read)
        self._keeping: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Find the actor, and look after it from now on.

        Raises:
            TaskStoreError: it cannot be made.
        """
        try:
            self._actor = await asyncio.to_thread(self._find)
        except (RayError, ClusterError, ValueError) as error:
            raise _away(error) from error
        self._keeping = asyncio.create_task(self._keep(), name="keeping the store of tasks")

    async def save(self, records: Sequence[TaskRecord]) -> tuple[str, ...]:
        """See `TaskStore.save`. Saves that wait for the one before ride one call."""
        if not records:
            return ()
        await self._outbox.room()
        rows = [to_row(record) for record in records]
        size = sum(_ROW_BYTES + len(record.payload) + len(record.order) for record in records)
        return await self._outbox.post(rows, size)

    async def get(self, task_id: str, owner: str | None) -> TaskRecord | None:
        """See `TaskStore.get`. Reads that wait for the one before ride one call."""
        row = await self._reads.post((task_id, owner), _READ_BYTES)
        return None if row is None else to_record(row)

    async def list(self, query: TaskQuery) -> TaskPage:
        """See `TaskStore.list`."""
        return cast("TaskPage", await self._do("list", query))

    async def renew(self, holder: str, task_ids: Sequence[str], until: float) -> tuple[str, ...]:
        """See `TaskStore.renew`."""
        return cast("tuple[str, ...]", await self._do("renew", holder, tuple(task_ids), until))

    async def adopt(
        self, holder: str, now: float, until: float, limit: int
    ) -> tuple[TaskRecord, ...]:
        """See `TaskStore.adopt`. Where the answer was lost with the actor, what was taken is
        adopted again once this lease has run out."""
        return cast("tuple[TaskRecord, ...]", await self._do("adopt", holder, now, until, limit))

    async def save_push(self, record: PushRecord) -> None:
        """See `TaskStore.save_push`."""
        await self._do("save_push", record)

    async def pushes(self, task_id: str, owner: str | None) -> tuple[PushRecord, ...]:
        """See `TaskStore.pushes`."""
        return cast("tuple[PushRecord, ...]", await self._do("pushes", task_id, owner))

    async def delete_push(self, task_id: str, push_id: str, owner: str) -> bool:
        """See `TaskStore.delete_push`."""
        return bool(await self._do("delete_push", task_id, push_id, owner))

    async def prune(self, before: float, limit: int) -> int:
        """See `LocalTasks.prune`; the actor does it by itself."""
        return int(await self._do("prune", before, limit))

    async def close(self) -> None:
        """See `TaskStore.close`: what was posted is answered; the actor lives on."""
        if self._keeping is not None:
            self._keeping.cancel()
            await asyncio.gather(self._keeping, return_exceptions=True)
        await self._outbox.flush()
        await self._reads.flush()

    async def _read(self, asked: Sequence[Asked]) -> Sequence[Row | None]:
        rows: Sequence[Row | None] = await self._asked(lambda: self._actor.read.remote(asked))
        return rows

    async def _send(self, saves: Sequence[Saves]) -> Sequence[tuple[str, ...] | Exception]:
        answers: Sequence[tuple[str, ...] | Exception] = await self._asked(
            lambda: self._actor.save.remote(saves)
        )
        return answers

    async def _do(self, verb: str, *arguments: Any) -> Any:
        return await self._asked(lambda: self._actor.do.remote(verb, *arguments))

    async def _asked(self, call: Callable[[], Awaitable[T]]) -> T:
        """The actor's answer; of the next one, where this one is gone for good."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _PATIENCE_S
        while True:
            try:
                return cast("T", await plain(call()))
            except RayTaskError as error:
                raise _worded(translated(error, "the store of tasks")) from error
            except (RayActorError, ClusterError) as error:
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
            await keep_alive(self._actor, _LEASE_S)


def _worded(error: CodetetherError) -> CodetetherError:
    return TaskStoreError(str(error)) if isinstance(error, ClusterError) else error


def _away(error: BaseException) -> TaskStoreError:
    return TaskStoreError(f"the store of tasks on the head cannot be reached: {reason(error)}")


def on_head(cls: type, kind: str, data_dir: str, *arguments: Any) -> Any:
    """The actor of a class on the head that all ingresses of a data directory share.

    `kind` is one of `TASKS` and `BOARD`. It outlives who made it, one for each version of this
    program. Blocks.
    """
    place = hashlib.sha256(data_dir.encode()).hexdigest()[:8]
    return (
        made_remote(cls)
        .options(
            name=f"{kind} {place} {__version__}",
            namespace=NAMESPACE,
            lifetime="detached",
            get_if_exists=True,
            num_cpus=0,
            max_restarts=-1,
            max_task_retries=-1,
            max_concurrency=_CALLS_AT_ONCE,
            scheduling_strategy=on_node(head_node()),
        )
        .remote(*arguments)
    )


def end_all() -> None:
    """End the actors of `on_head`, of any data directory and version. Blocks.

    No replica may be there any more: one that is would make them anew.
    """
    for found in ray.util.list_named_actors(all_namespaces=True):
        if found["namespace"] == NAMESPACE and found["name"].startswith(_KINDS):
            with suppress(ValueError, RayError):  # it has just ended
                ray.kill(ray.get_actor(found["name"], namespace=NAMESPACE))


async def start_tasks(data_dir: str, keep_days: float = KEEP_DAYS) -> RayTasks:
    """The store of a data directory of the head, whose actor is made where there is none.

    Raises:
        TaskStoreError: it cannot be made.
    """
    store = RayTasks(lambda: on_head(TaskKeeper, TASKS, data_dir, data_dir, keep_days))
    await store.open()
    return store
