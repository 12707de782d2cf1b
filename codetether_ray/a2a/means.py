"""What the works of one holder are done with."""

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

from a2a.types import Message, StreamResponse, Task, TaskArtifactUpdateEvent

from codetether_ray.a2a.agents import TaskAgents
from codetether_ray.a2a.deliveries import Deliveries
from codetether_ray.a2a.limits import Limits, Timing
from codetether_ray.a2a.saving import Saver
from codetether_ray.a2a.work import Told, Work
from codetether_ray.ports.clock import Clock
from codetether_ray.ports.task_channel import Lost, Signal, TaskChannel, TaskEvent
from codetether_ray.ports.tasks import TaskStore

T = TypeVar("T")
Events = AsyncIterator[TaskEvent | Lost]
_log = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class Watch:
    """Somebody watches a task here."""

    task_id: str
    holder: str = ""
    """Who held it when it was read; empty: nobody."""


async def never(_: str) -> bool:
    """Of no holder is it known that it has died: its leases run out."""
    return False


@dataclass(kw_only=True)
class Means:
    """Shared by the parts of one handler."""

    store: TaskStore
    channel: TaskChannel
    agents: TaskAgents
    clock: Clock
    holder: str
    limits: Limits
    timing: Timing
    saver: Saver
    deliveries: Deliveries | None
    works: dict[str, Work] = field(default_factory=dict)
    """What is held here, by the task's id."""
    pushing: set[str] = field(default_factory=set)
    """Tasks that have ended and are held until their receivers know it."""
    watches: set[Watch] = field(default_factory=set)
    is_gone: Callable[[str], Awaitable[bool]] = never
    """Whether a holder is known to have died; one that may live is not gone."""
    is_closing: bool = False
    _running: set[asyncio.Task[Any]] = field(default_factory=set)

    def go(self, coroutine: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Have something done that nobody may interrupt by going away; `stop` ends it."""
        task = asyncio.create_task(coroutine)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return task

    async def stop(self) -> None:
        """End what `go` began."""
        running = list(self._running)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    @asynccontextmanager
    async def listen(self, task_id: str) -> AsyncGenerator[tuple[Events, Watch]]:
        """A task's events, see `TaskChannel.listen`; somebody watches it until the end."""
        watch = Watch(task_id)
        self.watches.add(watch)
        try:
            async with self.channel.listen(task_id) as events:
                yield events, watch
        finally:
            self.watches.discard(watch)

    async def publish(self, work: Work, update: Told, *, is_last: bool = False) -> None:
        """Tell the other replicas. They read the store where the channel fails."""
        event = TaskEvent(
            task_id=work.id,
            version=work.version,
            payload=response(update).SerializeToString(),
            is_last=is_last,
        )
        try:
            await self.channel.publish(event)
        except Exception as error:  # noqa: BLE001  # the work goes on without listeners
            _log.warning("an event of task %s was not published: %s", work.id, error)

    async def signal(self, task_id: str, word: Signal) -> None:
        """Tell whoever holds the task, if the channel can."""
        try:
            await self.channel.signal(task_id, word)
        except Exception as error:  # noqa: BLE001  # who waits for an effect reads the store
            _log.warning("the holder of task %s was not told to %s: %s", task_id, word, error)


def response(update: Told | Message) -> StreamResponse:
    """An update as it travels."""
    if isinstance(update, Task):
        return StreamResponse(task=update)
    if isinstance(update, Message):
        return StreamResponse(message=update)
    if isinstance(update, TaskArtifactUpdateEvent):
        return StreamResponse(artifact_update=update)
    return StreamResponse(status_update=update)


def update_of(event: StreamResponse) -> Told:
    """What travelled."""
    kind = event.WhichOneof("payload")
    if kind == "task":
        return event.task
    return event.artifact_update if kind == "artifact_update" else event.status_update
