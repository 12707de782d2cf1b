"""The history of one agent: noted at once, on disk before anything depends on it."""

import asyncio

from codetether_ray.agent.conversation import Conversation
from codetether_ray.agent.fold import apply, fold
from codetether_ray.agent.outlasting import outlast
from codetether_ray.core.events import Event
from codetether_ray.ports.publisher import Publisher


class History:
    """A conversation and the events that led to it.

    `note` changes the conversation in memory; `keep` writes what was noted since, as one append.
    An event is kept before its consequences, so neighbours without one in between share a flush.
    Once a write failed nothing more is written: memory is ahead of the disk.
    """

    def __init__(self, publisher: Publisher) -> None:
        self._publisher = publisher
        self._noted: list[Event] = []
        self._broken: BaseException | None = None
        self.conversation = Conversation()

    async def read(self) -> None:
        """Fold what is on disk.

        Raises:
            HistoryError: it contradicts itself.
        """
        self.conversation = fold(await self._publisher.history())

    def note(self, *events: Event) -> None:
        """Let events happen."""
        for event in events:
            self.conversation = apply(self.conversation, event)
            self._noted.append(event)

    async def keep(self) -> None:
        """Return when all that was noted is on disk; a cancellation waits for that too.

        Raises:
            JournalError: it could not be written, now or earlier.
        """
        if self._broken is not None:
            raise self._broken
        if not self._noted:
            return
        events, self._noted = self._noted, []
        write = asyncio.ensure_future(self._publisher.record(*events))
        was_cancelled = await outlast(write)
        error = write.exception()
        if error is not None:
            self._broken = error
            raise error
        if was_cancelled:
            raise asyncio.CancelledError
