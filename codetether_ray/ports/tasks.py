"""Where A2A tasks are recorded: what was acknowledged is there after any crash.

One store serves every transport and every replica. Payloads are serialised messages of the
protocol, which the store keeps and does not read.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

ENDED = frozenset({"completed", "canceled", "failed", "rejected"})
"""States that a task never leaves."""
KEEP_DAYS = 30.0
"""How long tasks are kept that have ended; then they go, with their push configurations."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskRecord:
    """A task as it stood at its `version`."""

    id: str
    context_id: str
    owner: str
    """See `Principal.owner`: nobody else finds it."""
    state: str
    """`submitted`, `working`, `input-required`, … (the protocol's names, spec 0.3's spelling)."""
    version: int
    """Rises with every change; a save of a version that is not newer is refused."""
    updated_at: float
    """Seconds since the epoch."""
    payload: bytes
    """The task, a serialised `a2a.types.Task`."""
    holder: str = ""
    """Who wrote this: the replica that works on the task, or that did last. Who lets go of a task
    saves it under its own name, with `held_until` 0."""
    held_until: float = 0.0
    """Until when the holder is believed to live; then others may take the task over."""
    order: bytes = b""
    """What its holder was asked, so that another one can go on; empty where nothing is left."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskQuery:
    """Which tasks to list, newest change first. Empty and None choose nothing."""

    owner: str
    context_id: str = ""
    state: str = ""
    updated_after: float | None = None
    page_size: int = 50
    page_token: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskPage:
    """Some of the tasks that a query finds."""

    tasks: tuple[TaskRecord, ...]
    next_page_token: str = ""
    total: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class PushRecord:
    """Where a task's changes are pushed to: a serialised `TaskPushNotificationConfig`."""

    task_id: str
    id: str
    owner: str
    payload: bytes


class TaskStore(Protocol):
    """Tasks and their push configurations. A call that returned is on disk."""

    async def save(self, records: Sequence[TaskRecord]) -> tuple[str, ...]:
        """Create or replace tasks, in one transaction; ids of those that were refused.

        Refused, and nothing is changed of it: the stored version is not older; another holder
        has a lease that has not run out (by the record's `updated_at`); the task is another
        owner's. What is stored already exactly so is not refused, so a save may be repeated. Many
        callers' saves share a commit; one caller's are done in the order of its calls.

        Raises:
            TaskStoreError: nothing of `records` is promised.
        """
        ...

    async def get(self, task_id: str, owner: str | None) -> TaskRecord | None:
        """A task; None where there is none, or it is another owner's (`owner` None: anybody's)."""
        ...

    async def list(self, query: TaskQuery) -> TaskPage:
        """Tasks, newest change first; of equal times the greater id first.

        Who reads page after page sees no task twice and misses none that rested meanwhile; one
        that changed before its page came is on a first page again.

        Raises:
            UsageError: the page token is none of ours.
        """
        ...

    async def renew(self, holder: str, task_ids: Sequence[str], until: float) -> tuple[str, ...]:
        """Prolong leases, also those that ran out while nobody took the task; ids of the tasks
        that the holder has lost, or that are not there."""
        ...

    async def adopt(
        self, holder: str, now: float, until: float, limit: int
    ) -> tuple[TaskRecord, ...]:
        """Take over tasks that have an `order` left and whose lease has run out at `now`, whatever
        their state (what an ended one has left is its push notifications).

        They are returned with the lease taken, their version as it was; those first that are
        without a holder for the longest time. Of two that ask at once one gets a task."""
        ...

    async def save_push(self, record: PushRecord) -> None:
        """Create or replace a push configuration."""
        ...

    async def pushes(self, task_id: str, owner: str | None) -> tuple[PushRecord, ...]:
        """A task's push configurations, by id."""
        ...

    async def delete_push(self, task_id: str, push_id: str, owner: str) -> bool:
        """Remove one; False where there is none."""
        ...

    async def close(self) -> None:
        """Let go of what is open."""
        ...
