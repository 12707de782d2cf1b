"""How an agent or a coordinator says that something happened."""

from collections.abc import Sequence
from typing import Protocol

from codetether_ray.core.events import Event


class Publisher(Protocol):
    """One agent's voice: durable events to the journal, all events to the bus."""

    async def record(self, *events: Event) -> None:
        """Journal durable events and wait until they are on disk; then publish them."""
        ...

    def emit(self, event: Event) -> None:
        """Publish a live event soon, batched, without waiting; dropped if nobody can take it."""
        ...

    async def history(self) -> Sequence[Event]:
        """This agent's durable events so far."""
        ...
