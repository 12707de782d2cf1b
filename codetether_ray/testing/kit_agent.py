"""An agent that behaves as the public A2A compatibility kits ask of what they test.

The kits say by the beginning of a message's id what shall happen (scenarios of kit 1.0), or want a
task that goes on for a while (kit 0.3, which cancels and subscribes to what it has just begun).
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Protocol

from a2a.types import (
    Artifact,
    Message,
    Part,
    Role,
    Task,
    TaskArtifactUpdateEvent,
    TaskState,
    TaskStatus,
    TaskStatusUpdateEvent,
)
from google.protobuf.struct_pb2 import Struct, Value

Update = Task | TaskStatusUpdateEvent | TaskArtifactUpdateEvent | Message
_WORKING, _DONE = TaskState.TASK_STATE_WORKING, TaskState.TASK_STATE_COMPLETED
_ASKING, _CANCELED = TaskState.TASK_STATE_INPUT_REQUIRED, TaskState.TASK_STATE_CANCELED
_FILE = Part(raw=b"tck", media_type="text/plain", filename="output.txt")
_URL = Part(url="https://example.com/output.txt", media_type="text/plain", filename="output.txt")
_LONG_S = 4.0
"""Twice the kit's patience with a stream."""


class _Order(Protocol):
    @property
    def task(self) -> Task: ...
    @property
    def message(self) -> Message: ...


def _data() -> Part:
    fields = Struct()
    fields.update({"key": "value", "count": 42})
    return Part(data=Value(struct_value=fields))


_SCENES: tuple[tuple[str, tuple[Any, ...]], ...] = (
    (
        "tck-stream-artifact-chunked",
        (_WORKING, [Part(text="chunk-1 ")], [Part(text="chunk-2")], _DONE),
    ),
    ("tck-stream-artifact-text", (_WORKING, [Part(text="Streamed text content")], _DONE)),
    ("tck-stream-artifact-file", (_WORKING, [_FILE], _DONE)),
    ("tck-stream-ordering-001", (_WORKING, [Part(text="Ordered output")], _DONE)),
    ("tck-stream-001", (_WORKING, [Part(text="Stream hello from TCK")], _DONE)),
    ("tck-stream-002", (_DONE,)),
    ("tck-stream-003", (_WORKING, [Part(text="Stream task lifecycle")], _DONE)),
    ("test-resubscribe-message-id", (_WORKING, _LONG_S, _DONE)),
    ("tck-artifact-file-url", ([_URL], _DONE)),
    ("tck-artifact-text", ([Part(text="Generated text content")], _DONE)),
    ("tck-artifact-file", ([_FILE], _DONE)),
    ("tck-artifact-data", ([_data()], _DONE)),
    ("tck-message-response", ("Direct message response",)),
    ("tck-input-required", (_ASKING,)),
    ("tck-reject-task", (TaskState.TASK_STATE_REJECTED,)),
    ("tck-complete-task", (("Hello from TCK", _DONE),)),
)
_OTHER = (("Hello from TCK", _DONE),)
_SLOW = (_WORKING, 0.05, _ASKING)
"""Without a scene, for kit 0.3: begun, and waiting for more until it is cancelled."""


def open_agents(options: Any, reach: Any) -> "KitAgents":
    """Agents for kit 1.0; neither argument matters."""
    return KitAgents()


def open_old_agents(options: Any, reach: Any) -> "KitAgents":
    """Agents for kit 0.3."""
    return KitAgents(_SLOW)


class KitAgents:
    """Plays the scene that a message's id names; `other` where it names none."""

    def __init__(self, other: tuple[Any, ...] = _OTHER) -> None:
        self._other = other
        self._cancelled: dict[str, asyncio.Event] = {}

    async def work(self, order: _Order) -> AsyncIterator[Update]:
        """The scene's updates."""
        task, id_ = order.task, order.message.message_id
        scene = next((acts for name, acts in _SCENES if id_.startswith(name)), self._other)
        stop = self._cancelled.setdefault(task.id, asyncio.Event())
        try:
            for number, act in enumerate(scene):
                if isinstance(act, float):
                    if await _stopped_within(stop, act):
                        yield _status(task, _CANCELED)
                        return
                else:
                    yield _update(task, act, number, is_last=_is_last(scene, number))
        finally:
            self._cancelled.pop(task.id, None)

    async def cancel(self, task: Task) -> None:
        """End the scene."""
        self._cancelled.setdefault(task.id, asyncio.Event()).set()

    async def close(self) -> None:
        """Nothing is open."""


async def _stopped_within(stop: asyncio.Event, seconds: float) -> bool:
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        return False
    return True


def _is_last(scene: tuple[Any, ...], number: int) -> bool:
    """Whether no part of the artifact follows."""
    return not any(isinstance(act, list) for act in scene[number + 1 :])


def _update(task: Task, act: Any, number: int, *, is_last: bool) -> Update:
    if isinstance(act, str):
        return _message(task, act)
    if isinstance(act, tuple):
        text, state = act
        return _status(task, state, _message(task, text))
    if isinstance(act, list):
        return TaskArtifactUpdateEvent(
            task_id=task.id,
            context_id=task.context_id,
            artifact=Artifact(artifact_id=f"{task.id}-artifact", parts=act),
            append=number > 1,
            last_chunk=is_last,
        )
    return _status(task, act)


def _message(task: Task, text: str) -> Message:
    return Message(
        message_id=f"{task.id}-answer",
        context_id=task.context_id,
        task_id=task.id,
        role=Role.ROLE_AGENT,
        parts=[Part(text=text)],
    )


def _status(task: Task, state: Any, message: Message | None = None) -> TaskStatusUpdateEvent:
    return TaskStatusUpdateEvent(
        task_id=task.id,
        context_id=task.context_id,
        status=TaskStatus(state=state, message=message),
    )
