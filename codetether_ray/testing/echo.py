"""Agents that answer each message with its own text: to measure and to test an ingress alone."""

from collections.abc import AsyncIterator
from typing import Any, Protocol
from uuid import uuid4

from a2a.types import (
    Artifact,
    Message,
    Part,
    Task,
    TaskArtifactUpdateEvent,
    TaskState,
    TaskStatus,
    TaskStatusUpdateEvent,
)

_DONE = TaskStatus(state=TaskState.TASK_STATE_COMPLETED)


class Order(Protocol):
    """What an echo needs of `a2a.agents.Order`."""

    @property
    def task(self) -> Task:
        """The task."""
        ...

    @property
    def message(self) -> Message:
        """What was said."""
        ...


def open_agents(options: Any, reach: Any) -> "EchoAgents":
    """See `EchoAgents`; neither argument matters."""
    return EchoAgents()


class EchoAgents:
    """Implements `TaskAgents`: tells a message's text as one artifact, `response`, and is done."""

    async def work(
        self, order: Order
    ) -> AsyncIterator[TaskArtifactUpdateEvent | TaskStatusUpdateEvent]:
        """The artifact, and the status that ends the task."""
        task = order.task
        text = "".join(part.text for part in order.message.parts)
        echo = Artifact(artifact_id=uuid4().hex, name="response", parts=[Part(text=text)])
        yield TaskArtifactUpdateEvent(
            task_id=task.id, context_id=task.context_id, artifact=echo, last_chunk=True
        )
        yield TaskStatusUpdateEvent(task_id=task.id, context_id=task.context_id, status=_DONE)

    async def cancel(self, task: Task) -> None:
        """An echo is over before anybody can stop it."""

    async def close(self) -> None:
        """Nothing is open."""
