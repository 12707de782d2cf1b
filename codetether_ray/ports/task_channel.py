"""What happens to A2A tasks now, between those who work on them and those who watch.

A task's holder publishes; any replica listens. Nothing is kept beyond a short tail: the store is
the truth, and who has lost the thread reads the task there (`Lost`).
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Literal, Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskEvent:
    """Something that happened to a task."""

    task_id: str
    version: int
    """The task's version that holds it: who has read that one, or a later one, knows it. The store
    may be behind: who finds a gap between what was read and the first event reads again."""
    payload: bytes
    """A serialised `a2a.types.StreamResponse`."""
    is_last: bool = False
    """The task rests now: it has ended, or waits for somebody."""


@dataclass(frozen=True, slots=True)
class Lost:
    """Events were dropped, or their keeper began anew: read the task again.

    What is told after it was published after it was noticed, so nothing between is missing.
    """


Signal = Literal["cancel", "show", "pushes"]
"""`cancel`: stop the work; `show`: publish the task as it is now (somebody begins to listen);
`pushes`: its push configurations have changed."""
OnSignal = Callable[[str, Signal], Awaitable[None]]
"""Is told a task's id and what its holder shall do."""


class TaskChannel(Protocol):
    """Events of tasks and signals to their holders, across replicas."""

    async def publish(self, event: TaskEvent) -> None:
        """Tell everybody who listens to the task, in the order of calls. It waits neither for
        them nor for other replicas, and does not fail: who cannot be told is told `Lost`."""
        ...

    def listen(self, task_id: str) -> AbstractAsyncContextManager[AsyncIterator[TaskEvent | Lost]]:
        """The task's events from the moment of entering on, also those that this very channel
        publishes; without end. A listener that reads too slowly loses the oldest ones (`Lost`).

        Raises (on entering):
            ClusterError: the keeper of the events cannot be reached.
        """
        ...

    async def signal(self, task_id: str, word: Signal) -> None:
        """Tell whoever holds the task, at once, wherever it is: every replica that attends is told,
        this one included, and decides whether it is meant. It may be told twice.

        Raises:
            ClusterError: the other replicas cannot be told.
        """
        ...

    async def attend(self, on_signal: OnSignal) -> None:
        """Have `on_signal` called with every signal from now on; one callback per channel. What it
        raises is logged."""
        ...

    async def close(self) -> None:
        """Stop listening and publishing."""
        ...
