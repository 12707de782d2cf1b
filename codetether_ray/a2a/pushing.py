"""Push notifications: what happens to a task is posted where its client asked for it.

At least once for a task's end, as long as the store knows it: the task keeps an order until its
receivers have taken it or the tries are used up. What came before the end may be lost with the
process.
"""

from typing import Protocol

from a2a.types import StreamResponse, TaskPushNotificationConfig


class PushSender(Protocol):
    """Delivers to a task's receivers, each in order."""

    async def check(self, config: TaskPushNotificationConfig) -> None:
        """Whether the address may be pushed to.

        Raises:
            InvalidParamsError: it may not.
        """
        ...

    async def send(self, config: TaskPushNotificationConfig, event: StreamResponse) -> bool:
        """Deliver, trying several times; whether the receiver has taken it."""
        ...

    async def close(self) -> None:
        """Let go of what is open."""
        ...
