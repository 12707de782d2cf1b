"""Who listens to which task inside one process."""

import asyncio
from collections import deque
from typing import Self

from codetether_ray.ports.task_channel import Lost, TaskEvent

MAX_EVENTS = 10_000
"""Events that a listener may be behind."""
MAX_BYTES = 16_000_000
"""And their payloads, in bytes."""
_LOST = Lost()


class Listener:
    """A task's events in order, until `end`; one that is too far behind is told `Lost`."""

    def __init__(self, task_id: str, max_events: int, max_bytes: int) -> None:
        self.task_id = task_id
        self._max_events, self._max_bytes = max_events, max_bytes
        self._events: deque[TaskEvent | Lost] = deque()
        self._bytes = 0
        self._waiting: asyncio.Future[None] | None = None
        self._has_ended = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> TaskEvent | Lost:
        while not self._events:
            if self._has_ended:
                raise StopAsyncIteration
            self._waiting = asyncio.get_running_loop().create_future()
            try:
                await self._waiting
            finally:
                self._waiting = None
        event = self._events.popleft()
        if isinstance(event, TaskEvent):
            self._bytes -= len(event.payload)
        return event

    def tell(self, event: TaskEvent) -> None:
        """Take one; where there is no room, all that waits is dropped."""
        self._bytes += len(event.payload)
        if len(self._events) >= self._max_events or self._bytes > self._max_bytes:
            self.lose()
            self._bytes = len(event.payload)
        self._events.append(event)
        self._wake()

    def lose(self) -> None:
        """Events were dropped: what waits goes as well, since the task has to be read anyway."""
        self._events.clear()
        self._bytes = 0
        self._events.append(_LOST)
        self._wake()

    def begin(self) -> None:
        """It is read from now on, and the task after now: what was lost before is no loss."""
        if self._events and self._events[0] is _LOST:
            self._events.popleft()

    def end(self) -> None:
        """No more will come."""
        self._has_ended = True
        self._wake()

    def _wake(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)


class Listeners:
    """All listeners of one process."""

    def __init__(self, max_events: int = MAX_EVENTS, max_bytes: int = MAX_BYTES) -> None:
        """Each listener may be as far behind as is said."""
        self._limits = max_events, max_bytes
        self._by_task: dict[str, set[Listener]] = {}

    @property
    def tasks(self) -> tuple[str, ...]:
        """Ids of the tasks that are listened to."""
        return tuple(self._by_task)

    def open(self, task_id: str) -> Listener:
        """One more, from now on."""
        made = Listener(task_id, *self._limits)
        self._by_task.setdefault(task_id, set()).add(made)
        return made

    def close(self, listener: Listener) -> bool:
        """One less; whether it was the task's last one."""
        listener.end()
        others = self._by_task.get(listener.task_id)
        if others is None or listener not in others:
            return False
        others.discard(listener)
        if not others:
            del self._by_task[listener.task_id]
        return not others

    def tell(self, event: TaskEvent) -> None:
        """An event, to those of its task."""
        for listener in self._by_task.get(event.task_id, ()):
            listener.tell(event)

    def lose(self, task_id: str | None = None) -> None:
        """Events of a task, or of any, were dropped."""
        of = self._by_task.values() if task_id is None else [self._by_task.get(task_id, set())]
        for listeners in of:
            for listener in listeners:
                listener.lose()

    def end(self) -> None:
        """No more will come to anybody."""
        for listeners in self._by_task.values():
            for listener in listeners:
                listener.end()
        self._by_task.clear()
