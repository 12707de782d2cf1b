"""Push notifications: what happens to a task is posted where its client asked for it.

A receiver is told every status, and every artifact once it is whole, in order. Of a task's end it
is told at least once, as long as the store knows it: the task keeps an order until its receivers
have taken the end or the tries are used up, and whoever adopts it tells the end again. What came
before the end may be lost with the process.
"""

from typing import Protocol

from a2a.types import StreamResponse, TaskPushNotificationConfig


class PushSender(Protocol):
    """Delivers to a receiver; who calls sees to the order."""

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
