"""Wakes those in this process that wait for something to change."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress


class Bells:
    """One bell for each name. Who listens before it looks misses no ring."""

    def __init__(self) -> None:
        self._waiting: dict[str, set[asyncio.Event]] = {}

    @contextmanager
    def listening(self, name: str) -> Iterator[asyncio.Event]:
        """An event that is set from the next ring on."""
        event = asyncio.Event()
        self._waiting.setdefault(name, set()).add(event)
        try:
            yield event
        finally:
            others = self._waiting[name]
            others.discard(event)
            if not others:
                del self._waiting[name]

    def ring(self, name: str) -> None:
        """Wake who listens to that name."""
        for event in self._waiting.get(name, ()):
            event.set()


async def wait(event: asyncio.Event, seconds: float) -> bool:
    """Whether the event was set within that time."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
    return event.is_set()


def of_tenant(tenant: str) -> str:
    """The bell that rings when workers of a tenant should know something."""
    return f"changes {tenant}"


def of_output(task_id: str) -> str:
    """The bell that rings when a task has more output, or is over."""
    return f"output {task_id}"
