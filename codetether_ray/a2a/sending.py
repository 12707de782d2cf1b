"""What becomes of a message: a new task, or the next turn of one that waits."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass

from a2a.types import (
    AgentCard,
    InternalError,
    Message,
    PushNotificationNotSupportedError,
    SendMessageRequest,
    Task,
    TaskNotFoundError,
    TaskPushNotificationConfig,
    TaskState,
    UnsupportedOperationError,
)

from codetether_ray.a2a.agents import Order
from codetether_ray.a2a.configs import Configs
from codetether_ray.a2a.holder import Holder
from codetether_ray.a2a.means import Means
from codetether_ray.a2a.repeats import has_gone_on, new_context_id, new_task_ids
from codetether_ray.a2a.rules import (
    check_follow_up,
    check_modes,
    check_request,
    is_repeated,
    shorten,
)
from codetether_ray.a2a.states import RESTING
from codetether_ray.a2a.watching import watch
from codetether_ray.a2a.work import Told, Work
from codetether_ray.core.principals import Principal


@dataclass(frozen=True, slots=True)
class _Repeated:
    """The message is known: what it began is told, and not done again."""

    task: Task
    owner: str


class Sending:
    """Sends messages, with and without a stream."""

    def __init__(
        self, means: Means, holder: Holder, configs: Configs, card: Callable[[], AgentCard]
    ) -> None:
        self._means = means
        self._holder = holder
        self._configs = configs
        self._card = card

    async def send(self, params: SendMessageRequest, principal: Principal) -> Task | Message:
        """The task as it rests, or as it begins; or the message that answers."""
        begun = await self._begin(params, principal)
        configuration = params.configuration
        length = configuration.history_length if configuration.HasField("history_length") else None
        if isinstance(begun, Work):
            if configuration.return_immediately:
                await begun.until_begun()
                if not begun.is_over:
                    await self._means.saver.save(begun)
            else:
                await begun.until_over()
            begun = await self._kept(begun)
        if isinstance(begun, Work):
            answer = await self._answer(begun)
        elif configuration.return_immediately:
            answer = begun.task
        else:
            answer = await self._rested(begun.task, begun.owner)
        return shorten(answer, length) if isinstance(answer, Task) else answer

    async def stream(
        self, params: SendMessageRequest, principal: Principal
    ) -> AsyncGenerator[Told | Message]:
        """The task, then its updates; or the message that answers."""
        begun = await self._begin(params, principal)
        configuration = params.configuration
        length = configuration.history_length if configuration.HasField("history_length") else None
        if isinstance(begun, Work):
            await begun.until_begun()
            if begun.error is not None:
                raise begun.error
            if begun.reply is not None:
                yield begun.reply
                return
            if begun.saved < begun.first:
                self._means.saver.want(begun)
                await begun.until_saved(begun.first)
            begun = await self._kept(begun)
        async with aclosing(self._told_of(begun, length)) as updates:
            async for update in updates:
                yield update

    async def _told_of(self, begun: Work | _Repeated, length: int | None) -> AsyncGenerator[Told]:
        """The task, then its updates up to its rest."""
        if isinstance(begun, Work):
            first = Task()
            first.CopyFrom(begun.initial)
            yield shorten(first, length)
            following = self.told(begun, begun.first)
        elif begun.task.status.state in RESTING:
            yield shorten(begun.task, length)
            return
        else:
            following = watch(begun.task.id, begun.owner, self._means)
        async with aclosing(following) as updates:
            async for update in updates:
                yield update

    async def told(self, work: Work, seen: int) -> AsyncGenerator[Told]:
        """A work's updates after a version, up to its rest, wherever it is done then."""
        async with aclosing(work.updates(seen)) as updates:
            async for update in updates:
                yield update
        if work.is_lost and not self._means.is_closing:
            async with aclosing(watch(work.id, work.owner, self._means)) as updates:
                async for update in updates:
                    yield update

    async def _begin(self, params: SendMessageRequest, principal: Principal) -> Work | _Repeated:
        check_request(params)
        message = params.message
        modes = tuple(params.configuration.accepted_output_modes)
        check_modes(message, modes, self._card())
        config = self._config(params)
        if message.task_id:
            return await self._continue(message, modes, config, principal)
        task_id, known = await self._known(message, principal.owner)
        if known is not None:
            if config is not None:
                await self._configs.keep(config, task_id, principal.owner)
                await self._holder.pushes_changed(task_id)
            return known
        task = Task(id=task_id, context_id=message.context_id or new_context_id(task_id))
        task.status.state = TaskState.TASK_STATE_SUBMITTED
        self._stamp(task)
        _hear(task, message)
        if config is not None:
            config = await self._configs.keep(config, task.id, principal.owner)
        order = Order(task=task, message=message, principal=principal, output_modes=modes)
        here = self._means.works.get(task_id)  # the same message came twice at once
        return here if here is not None else self._holder.begin(order, config)

    async def _known(self, message: Message, owner: str) -> tuple[str, Work | _Repeated | None]:
        """The id of a message's task, and what the same message has begun already, if it has,
        here or at another replica."""
        for task_id in new_task_ids(message, owner):
            here = self._means.works.get(task_id)
            if here is not None and not has_gone_on(here.initial, message):
                return task_id, here
            record = await self._means.store.get(task_id, owner) if here is None else None
            if record is None and here is None:
                return task_id, None
            if record is not None:
                task = Task.FromString(record.payload)
                if not has_gone_on(task, message):
                    return task_id, _Repeated(task, owner)
        raise AssertionError  # ids don't end

    async def _kept(self, work: Work) -> Work | _Repeated:
        """The work, if it can be told of; what another replica has made of the same message where
        that was quicker to keep it.

        Raises:
            InternalError: neither is.
        """
        is_told = work.error is not None or work.reply is not None or work.saved >= work.first
        if is_told:
            return work
        record = None
        if not self._means.is_closing:
            record = await self._means.store.get(work.id, work.owner)
        if record is None:
            raise InternalError("the server stops, or cannot keep tasks now; send again later")
        return _Repeated(Task.FromString(record.payload), work.owner)

    async def _continue(
        self,
        message: Message,
        modes: tuple[str, ...],
        config: TaskPushNotificationConfig | None,
        principal: Principal,
    ) -> Work | _Repeated:
        owner = principal.owner
        record = await self._means.store.get(message.task_id, owner)
        if record is None:
            raise TaskNotFoundError(f"there is no task {message.task_id}")
        task = Task.FromString(record.payload)
        if is_repeated(message, task):
            return _Repeated(task, owner)
        check_follow_up(message, task)
        message.context_id = task.context_id
        if config is not None:
            await self._configs.keep(config, task.id, owner)
        order = Order(task=task, message=message, principal=principal, output_modes=modes)
        claim = self._means.go(self._holder.go_on(record, order, message))
        work = await asyncio.shield(claim)  # a client that goes away now has sent it all the same
        if work is None:
            raise UnsupportedOperationError(
                f"task {task.id} has got another message meanwhile; read it and send again"
            )
        return work

    def _config(self, params: SendMessageRequest) -> TaskPushNotificationConfig | None:
        configuration = params.configuration
        if not configuration.HasField("task_push_notification_config"):
            return None
        if self._means.deliveries is None:
            raise PushNotificationNotSupportedError("this agent sends no push notifications")
        return configuration.task_push_notification_config

    def _stamp(self, task: Task) -> None:
        milliseconds = round(self._means.clock.now() * 1000)
        task.status.timestamp.seconds = milliseconds // 1000
        task.status.timestamp.nanos = milliseconds % 1000 * 1_000_000

    async def _answer(self, work: Work) -> Task | Message:
        if work.error is not None:
            raise work.error
        if work.reply is not None:
            return work.reply
        if work.draft.is_resting:
            await work.until_saved(work.version)
        is_ours = work.draft.is_resting or not work.is_lost
        if is_ours and work.saved >= work.first and work.tellable == work.version:
            return work.draft.snapshot()
        if self._means.is_closing:
            raise InternalError("the server stops, or cannot keep tasks now; send again later")
        return await self._rested(work.initial, work.owner)

    async def _rested(self, task: Task, owner: str) -> Task:
        """The task when it rests, wherever it is worked on."""
        if task.status.state in RESTING:
            return task
        async with aclosing(watch(task.id, owner, self._means)) as updates:
            async for _ in updates:
                pass
        record = await self._means.store.get(task.id, owner)
        if record is None:
            raise TaskNotFoundError(f"there is no task {task.id}")
        rested: Task = Task.FromString(record.payload)
        return rested


def _hear(task: Task, message: Message) -> None:
    message.task_id = task.id
    message.context_id = task.context_id
    task.history.append(message)
