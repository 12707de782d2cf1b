"""The queues of push notifications: one for each receiver of a task, in order."""

import asyncio
import logging
from collections import deque

from a2a.types import StreamResponse, TaskPushNotificationConfig

from codetether_ray.a2a.pushing import PushSender

_log = logging.getLogger(__name__)
_MOST_WAITING = 100  # notifications of one receiver; the oldest give way, the newest says it all
_AT_ONCE = 32  # receivers that are posted to at the same time


class Deliveries:
    """Delivers what is told, each receiver by itself: a slow one holds nobody up."""

    def __init__(self, sender: PushSender) -> None:
        self._sender = sender
        self._queues: dict[tuple[str, str], deque[StreamResponse]] = {}
        self._tasks: dict[tuple[str, str], asyncio.Task[None]] = {}
        self._slots = asyncio.Semaphore(_AT_ONCE)

    def tell(self, config: TaskPushNotificationConfig, event: StreamResponse) -> None:
        """Deliver an event of the configuration's task."""
        key = (config.task_id, config.id)
        queue = self._queues.get(key)
        if queue is None:
            queue = self._queues[key] = deque(maxlen=_MOST_WAITING)
            self._tasks[key] = asyncio.create_task(self._deliver(key, config, queue))
        queue.append(event)

    async def done(self, task_id: str) -> None:
        """Wait until a task's receivers have what was told so far, or are given up."""
        tasks = [task for key, task in self._tasks.items() if key[0] == task_id]
        if tasks:
            await asyncio.wait(tasks)

    async def close(self) -> None:
        """Stop delivering."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _deliver(
        self,
        key: tuple[str, str],
        config: TaskPushNotificationConfig,
        queue: deque[StreamResponse],
    ) -> None:
        try:
            while queue:
                event = queue.popleft()
                async with self._slots:
                    if not await self._sender.send(config, event):
                        _log.warning("task %s: a push notification was given up", config.task_id)
        except Exception:  # noqa: BLE001  # a fault of the sender must not stop the work
            _log.exception("task %s: push notifications stopped", config.task_id)
        finally:
            del self._queues[key], self._tasks[key]
