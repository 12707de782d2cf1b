"""The A2A protocol's operations, for every version and transport: one handler."""

from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import aclosing, contextmanager

from a2a.server.context import ServerCallContext
from a2a.server.events.event_queue import Event
from a2a.server.request_handlers.request_handler import RequestHandler
from a2a.types import (
    AgentCard,
    CancelTaskRequest,
    DeleteTaskPushNotificationConfigRequest,
    ExtendedAgentCardNotConfiguredError,
    GetExtendedAgentCardRequest,
    GetTaskPushNotificationConfigRequest,
    GetTaskRequest,
    InvalidParamsError,
    InvalidRequestError,
    ListTaskPushNotificationConfigsRequest,
    ListTaskPushNotificationConfigsResponse,
    ListTasksRequest,
    ListTasksResponse,
    Message,
    SendMessageRequest,
    SubscribeToTaskRequest,
    Task,
    TaskNotFoundError,
    TaskPushNotificationConfig,
    UnsupportedOperationError,
)
from a2a.utils.task import validate_history_length

from codetether_ray.a2a.agents import TaskAgents
from codetether_ray.a2a.cancelling import Cancelling
from codetether_ray.a2a.configs import Configs
from codetether_ray.a2a.deliveries import Deliveries
from codetether_ray.a2a.holder import Holder
from codetether_ray.a2a.limits import Limits, Timing
from codetether_ray.a2a.listing import list_tasks
from codetether_ray.a2a.means import Means, never
from codetether_ray.a2a.pushing import PushSender
from codetether_ray.a2a.rules import shorten
from codetether_ray.a2a.saving import Saver
from codetether_ray.a2a.sending import Sending
from codetether_ray.a2a.states import NAMES, TERMINAL
from codetether_ray.a2a.users import principal_of
from codetether_ray.a2a.watching import watch
from codetether_ray.a2a.work import Told, Work
from codetether_ray.core.principals import Principal
from codetether_ray.ports.clock import Clock
from codetether_ray.ports.task_channel import TaskChannel
from codetether_ray.ports.tasks import TaskStore


class TaskHandler(RequestHandler):
    """Answers all operations; `start` begins to tend what is held here, `close` lets go of it.

    The context's user must be a `users.CallingUser`. Store, channel and agents are the opener's
    to close, after the handler.
    """

    def __init__(
        self,
        store: TaskStore,
        channel: TaskChannel,
        agents: TaskAgents,
        clock: Clock,
        *,
        holder: str,
        card: Callable[[], AgentCard],
        extended_card: Callable[[Principal], AgentCard] | None = None,
        pushes: PushSender | None = None,
        limits: Limits | None = None,
        timing: Timing | None = None,
        is_gone: Callable[[str], Awaitable[bool]] = never,
    ) -> None:
        """`is_gone` says whether a holder is known to have died."""
        timing = timing or Timing()
        self._means = Means(
            store=store,
            channel=channel,
            agents=agents,
            clock=clock,
            holder=holder,
            limits=limits or Limits(),
            timing=timing,
            saver=Saver(store, clock, timing, holder),
            deliveries=None if pushes is None else Deliveries(pushes),
            is_gone=is_gone,
        )
        self._pushes = pushes
        self._holder = Holder(self._means)
        self._configs = Configs(self._means, pushes, self._holder.pushes_changed)
        self._sending = Sending(self._means, self._holder, self._configs, card)
        self._cancelling = Cancelling(self._means, self._holder)
        self._extended_card = extended_card
        self._streams: Counter[str] = Counter()

    async def start(self) -> None:
        """Attend to signals, renew leases, take over what others left."""
        await self._means.channel.attend(self._holder.on_signal)
        self._means.go(self._holder.tend())

    async def close(self) -> None:
        """Stop tending; the work that goes on here is left to be taken up."""
        self._means.is_closing = True
        try:
            await self._holder.close()
        finally:
            await self._means.stop()
            if self._means.deliveries is not None:
                await self._means.deliveries.close()
            if self._pushes is not None:
                await self._pushes.close()

    async def on_message_send(
        self, params: SendMessageRequest, context: ServerCallContext
    ) -> Task | Message:
        """Do what a message asks, and answer when the task rests; or at once, if asked to."""
        return await self._sending.send(params, principal_of(context))

    async def on_message_send_stream(
        self, params: SendMessageRequest, context: ServerCallContext
    ) -> AsyncGenerator[Event]:
        """Do what a message asks; the task (or the message that answers), then its updates."""
        principal = principal_of(context)
        with self._stream(principal.owner):
            async with aclosing(self._sending.stream(params, principal)) as updates:
                async for update in updates:
                    yield update

    async def on_get_task(self, params: GetTaskRequest, context: ServerCallContext) -> Task:
        """A task as it is now.

        Raises:
            TaskNotFoundError: there is none, or it is another owner's.
        """
        validate_history_length(params)
        task = await self._read(params.id, principal_of(context).owner)
        return shorten(task, params.history_length if params.HasField("history_length") else None)

    async def on_list_tasks(
        self, params: ListTasksRequest, context: ServerCallContext
    ) -> ListTasksResponse:
        """A page of the caller's tasks."""
        return await list_tasks(params, principal_of(context).owner, self._means.store)

    async def on_cancel_task(self, params: CancelTaskRequest, context: ServerCallContext) -> Task:
        """Stop a task's agent, wherever it runs."""
        _check_given(params.id)
        return await self._cancelling.cancel(params.id, principal_of(context).owner)

    async def on_subscribe_to_task(
        self, params: SubscribeToTaskRequest, context: ServerCallContext
    ) -> AsyncGenerator[Event]:
        """The task as it is, then every update, up to its rest.

        Raises:
            TaskNotFoundError: there is none, or it is another owner's.
            UnsupportedOperationError: the task has ended.
        """
        owner = principal_of(context).owner
        with self._stream(owner):
            async with aclosing(self._follow(params.id, owner)) as updates:
                async for update in updates:
                    yield update

    async def on_create_task_push_notification_config(
        self, params: TaskPushNotificationConfig, context: ServerCallContext
    ) -> TaskPushNotificationConfig:
        """Keep a push configuration."""
        return await self._configs.create(params, principal_of(context).owner)

    async def on_get_task_push_notification_config(
        self, params: GetTaskPushNotificationConfigRequest, context: ServerCallContext
    ) -> TaskPushNotificationConfig:
        """One push configuration."""
        return await self._configs.get(params, principal_of(context).owner)

    async def on_list_task_push_notification_configs(
        self, params: ListTaskPushNotificationConfigsRequest, context: ServerCallContext
    ) -> ListTaskPushNotificationConfigsResponse:
        """A task's push configurations."""
        return await self._configs.page(params, principal_of(context).owner)

    async def on_delete_task_push_notification_config(
        self, params: DeleteTaskPushNotificationConfigRequest, context: ServerCallContext
    ) -> None:
        """Remove a push configuration."""
        await self._configs.delete(params, principal_of(context).owner)

    async def on_get_extended_agent_card(
        self, params: GetExtendedAgentCardRequest, context: ServerCallContext
    ) -> AgentCard:
        """The card for those who are let in.

        Raises:
            ExtendedAgentCardNotConfiguredError: there is none.
        """
        principal = principal_of(context)
        if self._extended_card is None:
            raise ExtendedAgentCardNotConfiguredError("this agent has no extended card")
        return self._extended_card(principal)

    @contextmanager
    def _stream(self, owner: str) -> Iterator[None]:
        most = self._means.limits.streams
        if self._streams[owner] >= most:
            raise InvalidRequestError(f"{most} streams are open already; close some first")
        self._streams[owner] += 1
        try:
            yield
        finally:
            self._streams[owner] -= 1
            if not self._streams[owner]:
                del self._streams[owner]

    async def _read(self, task_id: str, owner: str) -> Task:
        _check_given(task_id)
        work = self._held(task_id, owner)
        if work is not None and (not work.draft.is_resting or await work.until_saved(work.version)):
            return work.draft.snapshot()
        record = await self._means.store.get(task_id, owner)
        if record is None:
            raise TaskNotFoundError(f"there is no task {task_id}")
        task: Task = Task.FromString(record.payload)
        return task

    def _held(self, task_id: str, owner: str) -> Work | None:
        work = self._means.works.get(task_id)
        if work is None or work.owner != owner or work.saved < work.first:
            return None
        return work

    async def _follow(self, task_id: str, owner: str) -> AsyncGenerator[Told]:
        _check_given(task_id)
        work = self._held(task_id, owner)
        if work is None or work.draft.is_resting:
            task = await self._read(task_id, owner)
            if task.status.state in TERMINAL:
                raise UnsupportedOperationError(
                    f"task {task_id} has ended ({NAMES[task.status.state]}); read it with GetTask"
                )
            watched = watch(task_id, owner, self._means, is_patient=True)
            async with aclosing(watched) as updates:
                async for update in updates:
                    yield update
            return
        version, task = work.version, work.draft.snapshot()
        yield task
        async with aclosing(self._sending.told(work, version)) as updates:
            async for update in updates:
                yield update


def _check_given(task_id: str) -> None:
    if not task_id:
        raise InvalidParamsError("the task's id is missing")
