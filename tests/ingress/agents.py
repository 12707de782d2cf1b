"""Agents for replicas under test: they say in which process they are, and count at a pace."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

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

from codetether_ray.a2a.agents import Order, Update


def open_agents(_: Any, __: Any) -> "CountingAgents":
    """As the options name it."""
    return CountingAgents()


class CountingAgents:
    """`who`: answers with its process' number alone. `count N PAUSE [FILE]`: an artifact that grows
    by a number every PAUSE seconds; the last one waits until there is the file. Taken up by another
    process, it counts anew."""

    def __init__(self) -> None:
        self._cancelled: set[str] = set()

    async def work(self, order: Order) -> AsyncIterator[Update]:
        """Do what the message says."""
        word, *rest = order.message.parts[0].text.split()
        if word == "who":
            yield Message(
                message_id=order.message.message_id + "-answer",
                role=Role.ROLE_AGENT,
                parts=[Part(text=str(os.getpid()))],
            )
            return
        yield self._status(order, TaskState.TASK_STATE_WORKING)
        for number in range(int(rest[0])):
            while number == int(rest[0]) - 1 and rest[2:] and not Path(rest[2]).exists():
                await asyncio.sleep(0.02)
            if order.task.id in self._cancelled:
                yield self._status(order, TaskState.TASK_STATE_CANCELED)
                return
            piece = Artifact(artifact_id="count", name="count", parts=[Part(text=f"{number} ")])
            yield TaskArtifactUpdateEvent(
                task_id=order.task.id,
                context_id=order.task.context_id,
                artifact=piece,
                append=number > 0,
            )
            await asyncio.sleep(float(rest[1]))
        yield self._status(order, TaskState.TASK_STATE_COMPLETED)

    async def cancel(self, task: Task) -> None:
        """Have the count end."""
        self._cancelled.add(task.id)

    async def close(self) -> None:
        """Nothing is open."""

    def _status(self, order: Order, state: "TaskState.ValueType") -> TaskStatusUpdateEvent:
        return TaskStatusUpdateEvent(
            task_id=order.task.id,
            context_id=order.task.context_id,
            status=TaskStatus(state=state),
        )
