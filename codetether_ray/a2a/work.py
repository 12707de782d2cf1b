"""One order that is being done here: the task as it becomes, and those who wait for it."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator
from itertools import islice

from a2a.types import (
    Message,
    Task,
    TaskArtifactUpdateEvent,
    TaskPushNotificationConfig,
    TaskStatusUpdateEvent,
)
from a2a.utils.errors import A2AError

from codetether_ray.a2a.agents import Order
from codetether_ray.a2a.bell import Bell
from codetether_ray.a2a.draft import Draft
from codetether_ray.a2a.orders import PUSHES_LEFT, encode_order
from codetether_ray.a2a.states import NAMES, TERMINAL
from codetether_ray.ports.tasks import TaskRecord

Told = Task | TaskStatusUpdateEvent | TaskArtifactUpdateEvent


class Work:
    """Versions rise by one with each update told.

    Nobody is told of a task before its first version is on disk, nor of its rest before that is.
    """

    def __init__(
        self,
        order: Order,
        draft: Draft,
        *,
        version: int,
        is_new: bool,
        log_size: int,
        born_at: float,
    ) -> None:
        self.order = order
        self.owner = order.principal.owner
        self.draft = draft
        self.initial = order.task
        """What its streams are told first; nobody changes it."""
        self.first = version
        self.version = version
        self.saved = 0
        """The version that is on disk."""
        self.held_until = float("inf")
        """Until when others believe that we live; nothing is on disk yet: for ever."""
        self.born_at = born_at
        self.is_announced = not is_new
        """Somebody may find the task: the agent can't answer with a message alone any more."""
        self.has_begun = not is_new
        self.is_over = False
        self.is_lost = False
        """It is another's, or its store is away: what becomes of it isn't told from here."""
        self.reply: Message | None = None
        self.error: A2AError | None = None
        self.doing: asyncio.Task[None] | None = None
        self.configs: dict[str, TaskPushNotificationConfig] = {}
        self._log: deque[Told] = deque(maxlen=log_size)
        self._order_bytes = b""
        self._changed = Bell()
        self._over = Bell()

    @property
    def id(self) -> str:
        """The task's."""
        return self.draft.id

    @property
    def is_idle(self) -> bool:
        """Whether the agent has told nothing but, perhaps, the task anew."""
        return self.version == self.first

    @property
    def tellable(self) -> int:
        """The newest version that may be told."""
        if self.saved < self.first:
            return self.first - 1
        waits = self.draft.is_resting and self.saved < self.version
        return self.version - 1 if waits else self.version

    def take(self, update: Told) -> None:
        """Change the task; `ring` tells of it.

        Raises:
            InvalidAgentResponseError: the update does not fit.
        """
        self.draft.take(update)
        self.has_begun = True
        if isinstance(update, Task) and self.is_idle and not self.is_announced:
            self.initial = self.draft.snapshot()
            return
        self.version += 1
        self._log.append(update)

    def last_update(self) -> Told:
        """What led to the version."""
        return self._log[-1] if self._log else self.draft.snapshot()

    def ring(self) -> None:
        """Wake those who wait for a change."""
        self._changed.ring()

    def end(self) -> None:
        """Nothing comes any more."""
        self.is_over = True
        self._over.ring()
        self._changed.ring()

    def lose(self) -> None:
        """Stop telling: it is not ours any more."""
        if not self.is_over:
            self.is_lost = True
            if self.doing is not None:
                self.doing.cancel()
            self.end()

    def mark_saved(self, version: int, held_until: float) -> None:
        """A version is on disk."""
        self.saved = max(self.saved, version)
        self.held_until = held_until or float("inf")
        self._changed.ring()

    async def until_over(self) -> None:
        """Wait for the end, a rest, or the loss."""
        while not self.is_over:
            await self._over.wait()

    async def until_begun(self) -> None:
        """Wait until the agent has told something, or its silence has lasted."""
        while not (self.has_begun or self.is_over):
            await self._changed.wait()

    async def until_saved(self, version: int) -> bool:
        """Wait until a version is on disk; False where it won't be from here."""
        while self.saved < version and not self.is_over:
            await self._changed.wait()
        return self.saved >= version

    async def updates(self, seen: int) -> AsyncGenerator[Told]:
        """Every update after a version, each once; the whole task where some are forgotten."""
        while not self.is_lost:
            newest = self.tellable
            if seen < newest and (after := self._after(seen, newest)):
                seen = newest
                for update in after:
                    yield update
            elif self.is_over:
                return
            else:
                await self._changed.wait()

    def _after(self, seen: int, newest: int) -> list[Told]:
        oldest = self.version - len(self._log) + 1
        if seen + 1 < oldest and newest < self.version:
            return []  # its rest is being saved: the whole task may be told then
        if seen + 1 < oldest:
            return [self.draft.snapshot()]
        return list(islice(self._log, seen + 1 - oldest, newest + 1 - oldest))

    def record(self, holder: str, now: float, lease: float) -> TaskRecord:
        """The task as the store keeps it."""
        order = self._left()
        return TaskRecord(
            id=self.draft.id,
            context_id=self.draft.context_id,
            owner=self.owner,
            state=NAMES[self.draft.state],
            version=self.version,
            updated_at=now,
            payload=self.draft.task.SerializeToString(),
            holder=holder,  # a store takes the end of a lease from its holder alone
            held_until=now + lease if order else 0.0,
            order=order,
        )

    def _left(self) -> bytes:
        if not self.draft.is_resting:
            self._order_bytes = self._order_bytes or encode_order(self.order)
            return self._order_bytes
        return PUSHES_LEFT if self.configs and self.draft.state in TERMINAL else b""
