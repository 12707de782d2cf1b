"""Replicas on one store in memory, one hub, one clock that stands still, and agents on a stage."""

import asyncio
import itertools
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from dataclasses import replace

from a2a.server.context import ServerCallContext
from a2a.types import (
    AgentCard,
    Artifact,
    Message,
    Part,
    Role,
    SendMessageConfiguration,
    SendMessageRequest,
    StreamResponse,
    Task,
    TaskArtifactUpdateEvent,
    TaskPushNotificationConfig,
    TaskState,
    TaskStatus,
    TaskStatusUpdateEvent,
)

from codetether_ray.a2a.agents import Order, Update
from codetether_ray.a2a.handler import TaskHandler
from codetether_ray.a2a.limits import Limits, Timing
from codetether_ray.a2a.states import RESTING
from codetether_ray.a2a.users import CallingUser
from codetether_ray.core.principals import Principal
from codetether_ray.local.task_channel import LocalTaskChannel, TaskHub
from codetether_ray.ports.tasks import PushRecord, TaskPage, TaskQuery, TaskRecord
from codetether_ray.testing.clock import FakeClock

ANN = Principal(user_id="ann", roles=("agent",), tenant_id="acme")
BOB = Principal(user_id="bob")
WORKING = TaskState.TASK_STATE_WORKING
COMPLETED = TaskState.TASK_STATE_COMPLETED
CANCELED = TaskState.TASK_STATE_CANCELED
FAILED = TaskState.TASK_STATE_FAILED
SUBMITTED = TaskState.TASK_STATE_SUBMITTED
INPUT_REQUIRED = TaskState.TASK_STATE_INPUT_REQUIRED
_NUMBERS = itertools.count(100)


class MemoryTasks:
    """The store port in a dictionary; saves can be held up, and can fail."""

    def __init__(self) -> None:
        self.records: dict[str, TaskRecord] = {}
        self.kept: dict[tuple[str, str], PushRecord] = {}
        self.saves: list[tuple[TaskRecord, ...]] = []
        self.is_open = asyncio.Event()
        self.is_open.set()
        self.failures = 0

    async def save(self, records: Sequence[TaskRecord]) -> tuple[str, ...]:
        await asyncio.sleep(0)
        await self.is_open.wait()
        if self.failures:
            self.failures -= 1
            raise OSError("no space left")
        self.saves.append(tuple(records))
        refused = []
        for record in records:
            stored = self.records.get(record.id)
            if stored == record:
                continue
            if stored is not None and (
                stored.owner != record.owner
                or stored.version >= record.version
                or (stored.holder != record.holder and stored.held_until > record.updated_at)
            ):
                refused.append(record.id)
            else:
                self.records[record.id] = record
        return tuple(refused)

    async def get(self, task_id: str, owner: str | None) -> TaskRecord | None:
        record = self.records.get(task_id)
        return record if record is not None and owner in (None, record.owner) else None

    async def list(self, query: TaskQuery) -> TaskPage:
        found = [record for record in self.records.values() if record.owner == query.owner]
        return TaskPage(tasks=tuple(found), total=len(found))

    async def renew(self, holder: str, task_ids: Sequence[str], until: float) -> tuple[str, ...]:
        lost = []
        for task_id in task_ids:
            record = self.records.get(task_id)
            if record is None or record.holder != holder:
                lost.append(task_id)
            else:
                self.records[task_id] = replace(record, held_until=until)
        return tuple(lost)

    async def adopt(
        self, holder: str, now: float, until: float, limit: int
    ) -> tuple[TaskRecord, ...]:
        left = [r for r in self.records.values() if r.order and r.held_until <= now][:limit]
        taken = [replace(record, holder=holder, held_until=until) for record in left]
        self.records |= {record.id: record for record in taken}
        return tuple(taken)

    async def save_push(self, record: PushRecord) -> None:
        self.kept[record.task_id, record.id] = record

    async def pushes(self, task_id: str, owner: str | None) -> tuple[PushRecord, ...]:
        found = [r for key, r in sorted(self.kept.items()) if key[0] == task_id]
        return tuple(r for r in found if owner in (None, r.owner))

    async def delete_push(self, task_id: str, push_id: str, owner: str) -> bool:
        record = self.kept.get((task_id, push_id))
        if record is None or record.owner != owner:
            return False
        del self.kept[task_id, push_id]
        return True

    async def close(self) -> None:
        pass


class Stage:
    """What agents do, wherever they are: they survive the replica that had them do it."""

    def __init__(self) -> None:
        self.orders: list[Order] = []
        self.canceled: list[str] = []
        self.closed: list[str] = []
        self.is_obedient = True
        self._lines: dict[str, asyncio.Queue[Update | Exception | None]] = {}

    def tell(self, task_id: str, *updates: Update | Exception | None) -> None:
        """Have the task's agent tell these; an exception is raised, None ends it."""
        for update in updates:
            self._line(task_id).put_nowait(update)

    def _line(self, task_id: str) -> "asyncio.Queue[Update | Exception | None]":
        return self._lines.setdefault(task_id, asyncio.Queue())

    async def work(self, order: Order) -> AsyncGenerator[Update]:
        """`TaskAgents.work`."""
        self.orders.append(order)
        try:
            while True:
                update = await self._line(order.task.id).get()
                if update is None:
                    return
                if isinstance(update, Exception):
                    raise update
                yield update
                if isinstance(update, Message) or _rests(update):
                    return
        finally:
            self.closed.append(order.task.id)

    async def cancel(self, task: Task) -> None:
        """`TaskAgents.cancel`."""
        self.canceled.append(task.id)
        if self.is_obedient:
            self.tell(task.id, status(CANCELED))

    async def close(self) -> None:
        """`TaskAgents.close`."""

    @property
    def last(self) -> str:
        """The id of the task that was ordered last."""
        return self.orders[-1].task.id


def _rests(update: Update) -> bool:
    return isinstance(update, TaskStatusUpdateEvent) and update.status.state in RESTING


class Receivers:
    """A sender that notes what it sends; refusing or slow where it is told to be."""

    def __init__(self) -> None:
        self.got: list[tuple[str, StreamResponse]] = []
        self.is_open = asyncio.Event()
        self.is_open.set()

    async def check(self, config: TaskPushNotificationConfig) -> None:
        pass

    async def send(self, config: TaskPushNotificationConfig, event: StreamResponse) -> bool:
        await self.is_open.wait()
        self.got.append((config.id, event))
        return True

    async def close(self) -> None:
        pass


class World:
    """Replicas come and go; store, hub, clock and stage stay."""

    def __init__(self, *, limits: Limits | None = None, card: AgentCard | None = None) -> None:
        self.clock = FakeClock()
        self.store = MemoryTasks()
        self.hub = TaskHub()
        self.stage = Stage()
        self.receivers = Receivers()
        self.limits = limits or Limits()
        self.timing = Timing()
        self.card = card or AgentCard()
        self.handlers: list[TaskHandler] = []
        self.known_dead: set[str] = set()
        self.may_tell = asyncio.Event()
        self.may_tell.set()

    async def replica(self, name: str = "r1") -> TaskHandler:
        """One more replica, tending."""
        handler = TaskHandler(
            self.store,
            LocalTaskChannel(self.hub),
            self.stage,
            self.clock,
            holder=name,
            card=lambda: self.card,
            pushes=self.receivers,
            limits=self.limits,
            timing=self.timing,
            is_gone=self._is_gone,
        )
        self.handlers.append(handler)
        await handler.start()
        await self.settle()
        return handler

    async def _is_gone(self, holder: str) -> bool:
        await self.may_tell.wait()
        return holder in self.known_dead

    async def settle(self, seconds: float = 0.0) -> None:
        """Let everything happen that can, and time go by."""
        for _ in range(5):
            await self.clock.advance(0.0)
        if seconds:
            await self.clock.advance(seconds)
            await self.settle()

    async def kill(self, handler: TaskHandler) -> None:
        """End a replica as SIGKILL does: nothing more is saved, told or given back."""
        saver = handler._means.saver
        saving = [task for task in (saver._saving, *saver._troubled.values()) if task is not None]
        for task in saving:
            task.cancel()
        await asyncio.gather(*saving, return_exceptions=True)
        await handler._means.stop()
        handler._means.works.clear()
        self.handlers.remove(handler)

    async def close(self) -> None:
        """End all replicas, whatever a test that failed has left."""
        self.store.is_open.set()
        self.receivers.is_open.set()
        closing = [asyncio.create_task(handler.close()) for handler in self.handlers]
        while not all(task.done() for task in closing):
            await self.clock.advance(1.0)
        await asyncio.gather(*closing)


class Reader:
    """Reads a stream by the side, and keeps what it was told."""

    def __init__(self, stream: AsyncIterator[object]) -> None:
        self.told: list[object] = []
        self.error: BaseException | None = None
        self._task = asyncio.create_task(self._read(stream))

    async def _read(self, stream: AsyncIterator[object]) -> None:
        try:
            async for update in stream:
                self.told.append(update)
        except Exception as error:  # noqa: BLE001  # the test looks at it
            self.error = error

    @property
    def is_done(self) -> bool:
        """Whether the stream has ended."""
        return self._task.done()

    async def stop(self) -> None:
        """Go away, as a client does whose connection breaks."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    @property
    def kinds(self) -> list[str]:
        """What was told, in short."""
        return [kind(update) for update in self.told]

    @property
    def text(self) -> str:
        """What a client that follows the protocol has of artifact `a`."""
        text = ""
        for update in self.told:
            if isinstance(update, Task):
                text = text_of(update)
            elif isinstance(update, TaskArtifactUpdateEvent):
                said = "".join(part.text for part in update.artifact.parts)
                text = text + said if update.append else said
        return text


def kind(update: object) -> str:
    """An update in a word or two."""
    if isinstance(update, TaskStatusUpdateEvent):
        return TaskState.Name(update.status.state).removeprefix("TASK_STATE_").lower()
    if isinstance(update, TaskArtifactUpdateEvent):
        said = "".join(part.text for part in update.artifact.parts)
        return f"{'+' if update.append else '='}{said}"
    return type(update).__name__


def text_of(task: Task) -> str:
    """The text of a task's artifacts."""
    return "".join(part.text for artifact in task.artifacts for part in artifact.parts)


def context(principal: Principal = ANN) -> ServerCallContext:
    """A request of somebody."""
    return ServerCallContext(user=CallingUser(principal))


def request(
    text: str = "hello",
    *,
    message_id: str = "",
    task_id: str = "",
    context_id: str = "",
    configuration: SendMessageConfiguration | None = None,
) -> SendMessageRequest:
    """A message to send; another one each time, where it is not named."""
    message = Message(
        message_id=message_id or f"m{next(_NUMBERS)}",
        task_id=task_id,
        context_id=context_id,
        role=Role.ROLE_USER,
        parts=[Part(text=text)],
    )
    return SendMessageRequest(message=message, configuration=configuration)


def at_once() -> SendMessageConfiguration:
    """Don't wait for the rest."""
    return SendMessageConfiguration(return_immediately=True)


def status(state: int, text: str = "") -> TaskStatusUpdateEvent:
    """A status that an agent tells."""
    update = TaskStatusUpdateEvent(status=TaskStatus(state=state))
    if text:
        update.status.message.CopyFrom(
            Message(message_id=f"says-{text}", role=Role.ROLE_AGENT, parts=[Part(text=text)])
        )
    return update


def delta(
    text: str, *, append: bool = True, name: str = "a", last: bool = False
) -> TaskArtifactUpdateEvent:
    """A piece of an artifact."""
    artifact = Artifact(artifact_id=name, parts=[Part(text=text)])
    return TaskArtifactUpdateEvent(artifact=artifact, append=append, last_chunk=last)


async def running(
    world: World, handler: TaskHandler, start: Callable[[], SendMessageRequest] = request
) -> str:
    """Begin a task that its agent works on; its id."""
    asking = start()
    asking.configuration.return_immediately = True
    sent = asyncio.create_task(handler.on_message_send(asking, context()))
    await world.settle()
    world.stage.tell(world.stage.last, status(WORKING))
    await world.settle()
    task = await sent
    assert isinstance(task, Task)
    return task.id
