"""Who does the work of a task: a coding agent in a session of its own, or an echo."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol

from a2a.types import Message, Task, TaskArtifactUpdateEvent, TaskStatusUpdateEvent

from codetether_ray.core.principals import Principal

Update = Task | TaskStatusUpdateEvent | TaskArtifactUpdateEvent | Message
"""What is told while the work is done. A `Message` alone, before any other update, answers without
a task."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One message of somebody, to be worked on."""

    task: Task
    """The task as it is now, its history with the message last; `id` and `context_id` are set."""
    message: Message
    principal: Principal
    output_modes: tuple[str, ...] = ()
    """Media types that the client takes; empty: any."""
    is_taken_up: bool = False
    """Another replica had begun this order and is gone: go on, and tell the artifacts anew."""


class TaskAgents(Protocol):
    """Does orders. It is opened by a function that is named in the ingress' options."""

    def work(self, order: Order) -> AsyncIterator[Update]:
        """Do an order, telling what happens; the last update is a status that ends the task, or in
        which it waits (`input-required`, `auth-required`).

        Closed early, it leaves the work going on, to be taken up.
        """
        ...

    async def cancel(self, task: Task) -> None:
        """Stop the agent; `work`, if it goes on here, then ends with the status `canceled`."""
        ...

    async def close(self) -> None:
        """Let go of what is open; work goes on, to be taken up."""
        ...
