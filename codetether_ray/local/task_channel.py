"""The channel of tasks inside one process. Several channels on one hub are as several replicas."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from codetether_ray.local.task_listeners import MAX_BYTES, MAX_EVENTS, Listener, Listeners
from codetether_ray.local.task_signals import Attending
from codetether_ray.ports.task_channel import Lost, OnSignal, Signal, TaskEvent


class TaskHub:
    """What the channels of one process have in common."""

    def __init__(self, max_events: int = MAX_EVENTS, max_bytes: int = MAX_BYTES) -> None:
        """A listener may be as far behind as is said."""
        self.listeners = Listeners(max_events, max_bytes)
        self.attending: set[Attending] = set()


class LocalTaskChannel:
    """The channel port on a hub; on one of its own if none is given."""

    def __init__(self, hub: TaskHub | None = None) -> None:
        self._hub = hub or TaskHub()
        self._attending = Attending()
        self._opened: set[Listener] = set()

    async def publish(self, event: TaskEvent) -> None:
        """See `TaskChannel.publish`."""
        self._hub.listeners.tell(event)

    @asynccontextmanager
    async def listen(self, task_id: str) -> AsyncIterator[AsyncIterator[TaskEvent | Lost]]:
        """See `TaskChannel.listen`."""
        listener = self._hub.listeners.open(task_id)
        self._opened.add(listener)
        try:
            yield listener
        finally:
            self._opened.discard(listener)
            self._hub.listeners.close(listener)

    async def signal(self, task_id: str, word: Signal) -> None:
        """See `TaskChannel.signal`."""
        for attending in tuple(self._hub.attending):
            attending.tell(task_id, word)

    async def attend(self, on_signal: OnSignal) -> None:
        """See `TaskChannel.attend`."""
        self._attending.on_signal = on_signal
        self._hub.attending.add(self._attending)

    async def close(self) -> None:
        """See `TaskChannel.close`."""
        self._hub.attending.discard(self._attending)
        for listener in tuple(self._opened):
            self._hub.listeners.close(listener)
        await self._attending.close()
