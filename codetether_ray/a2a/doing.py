"""Has one order done: takes the agent's updates, and tells of them when they may be told."""

import logging
import uuid

from a2a.types import (
    Message,
    Role,
    TaskArtifactUpdateEvent,
    TaskState,
    TaskStatusUpdateEvent,
)
from a2a.utils.errors import A2AError

from codetether_ray.a2a.agents import Update
from codetether_ray.a2a.means import Means, response
from codetether_ray.a2a.states import TERMINAL
from codetether_ray.a2a.work import Told, Work
from codetether_ray.core.errors import CodetetherError

_log = logging.getLogger(__name__)


async def do(work: Work, means: Means) -> None:
    """Do an order to its rest, whatever the agent does."""
    try:
        await _listen(work, means)
        if not (work.is_over or work.draft.is_resting):
            await _fail(work, means, "the agent ended without saying how its work stands")
    except A2AError as error:
        await _refuse(work, means, error)
    except CodetetherError as error:
        await _fail(work, means, str(error))
    except Exception:  # noqa: BLE001  # an agent's fault ends its task, with a name to look for
        fault = uuid.uuid4().hex[:12]
        _log.exception("task %s failed, fault %s", work.id, fault)
        await _fail(work, means, f"the agent failed; the server's log has it as {fault}")


async def _listen(work: Work, means: Means) -> None:
    updates = means.agents.work(work.order)
    try:
        async for update in updates:
            if work.is_over:
                _log.warning("task %s rests, and its agent told more", work.id)
                continue
            await _take(work, means, update)
    finally:
        close = getattr(updates, "aclose", None)
        if close is not None:
            await close()


async def _take(work: Work, means: Means, update: Update) -> None:
    if isinstance(update, Message):
        if work.is_idle and not work.is_announced:
            await _reply(work, means, update)
            return
        update = _closing(work, update)
    work.take(update)
    await tell(work, means, update)


async def tell(work: Work, means: Means, update: Told) -> None:
    """Tell of an update that the work has taken."""
    if work.draft.is_resting:
        await conclude(work, means)
        return
    work.ring()
    await means.publish(work, update)
    push(work, means, update)


async def conclude(work: Work, means: Means) -> None:
    """The task rests: save it, then tell everybody."""
    update = work.last_update()
    if not await means.saver.save(work):
        return
    if means.works.get(work.id) is work:
        del means.works[work.id]
    work.end()
    await means.publish(work, update, is_last=True)
    if work.configs and means.deliveries is not None:
        push(work, means, update)
        if work.draft.state in TERMINAL:  # one that waits has a next message, and keeps no order
            means.go(release(work, means))


async def release(work: Work, means: Means) -> None:
    """Let go of a task whose end is being pushed, once it has been."""
    deliveries = means.deliveries
    if deliveries is None:
        return
    means.pushing.add(work.id)
    try:
        await deliveries.done(work.id)
        work.configs.clear()
        work.version += 1
        record = work.record(means.holder, means.clock.now(), 0.0)
        await means.store.save([record])
    except Exception as error:  # noqa: BLE001  # its lease runs out, and it is pushed once more
        _log.warning("task %s was pushed, and this was not noted: %s", work.id, error)
    finally:
        means.pushing.discard(work.id)


def push(work: Work, means: Means, update: Told) -> None:
    """Tell the receivers: of every status, and of every artifact when it is whole."""
    if not work.configs or means.deliveries is None:
        return
    if isinstance(update, TaskArtifactUpdateEvent):
        if not update.last_chunk:
            return
        update = _whole(work, update)
    event = response(update)
    for config in work.configs.values():
        means.deliveries.tell(config, event)


def _whole(work: Work, update: TaskArtifactUpdateEvent) -> TaskArtifactUpdateEvent:
    name = update.artifact.artifact_id
    whole = next(a for a in work.draft.task.artifacts if a.artifact_id == name)
    return TaskArtifactUpdateEvent(
        task_id=work.id, context_id=work.draft.context_id, artifact=whole, last_chunk=True
    )


async def _reply(work: Work, means: Means, message: Message) -> None:
    """The agent answers without a task: there is none, and nothing to keep."""
    message.role = message.role or Role.ROLE_AGENT
    message.message_id = message.message_id or uuid.uuid4().hex
    message.context_id = work.draft.context_id
    message.task_id = ""
    work.reply = message
    means.works.pop(work.id, None)
    work.end()
    for name in work.configs:
        await means.store.delete_push(work.id, name, work.owner)


def _closing(work: Work, message: Message) -> TaskStatusUpdateEvent:
    """A message in place of a status, where the task is known already: it completes the task."""
    update = work.draft.status(TaskState.TASK_STATE_COMPLETED)
    update.status.message.CopyFrom(message)
    return update


async def _refuse(work: Work, means: Means, error: A2AError) -> None:
    """What the agent refuses is said to who asked, if nobody knows of the task yet."""
    if work.is_idle and not work.is_announced:
        work.error = error
        means.works.pop(work.id, None)
        work.end()
        return
    await _fail(work, means, error.message)
    try:
        await means.agents.cancel(work.draft.snapshot())
    except Exception:  # noqa: BLE001  # its task has failed already
        _log.exception("the agent of task %s could not be stopped", work.id)


async def _fail(work: Work, means: Means, text: str) -> None:
    if work.is_over:
        _log.warning("task %s rests, and its agent failed: %s", work.id, text)
        return
    update = work.draft.status(TaskState.TASK_STATE_FAILED, text)
    work.take(update)
    await tell(work, means, update)
