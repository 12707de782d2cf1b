"""Where replicas leave events of tasks for each other: one board for all, reached by few calls."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from codetether_ray.ports.task_channel import Signal

Notice = tuple[str, int, bytes, bool]
"""A `TaskEvent` in plain values; one of a negative version says that events were lost."""


class Mail(NamedTuple):
    """What a replica is handed."""

    until: int
    """Say this next time: what came before is then forgotten."""
    signals_until: int
    """The same, of signals."""
    notices: list[Notice]
    signals: list[tuple[str, Signal]]
    is_lossy: bool
    """Notices were dropped before these, since the replica did not fetch them."""


class TaskBoard(Protocol):
    """Keeps for each replica what it wants and has not fetched; nothing survives its process."""

    async def join(self, replica: str, task_ids: Sequence[str]) -> None:
        """Begin anew with a replica, which listens to these tasks."""
        ...

    async def change(self, replica: str, changes: Sequence[tuple[str, bool]]) -> bool:
        """The replica listens to a task from now on (True), or no more; in this order.

        False: the board does not know the replica, which has to join again.
        """
        ...

    async def post(self, replica: str, notices: Sequence[Notice]) -> None:
        """Leave notices of one replica for all others that want them."""
        ...

    async def signal(self, replica: str, task_id: str, word: Signal) -> None:
        """Leave a signal for all others, also those that join within the next half minute."""
        ...

    async def take(
        self, replica: str, after: int, signals_after: int, wait_s: float
    ) -> Mail | None:
        """What there is for a replica, waiting up to `wait_s` for the first.

        None: the board does not know the replica, which has to join again.
        """
        ...

    async def leave(self, replica: str) -> None:
        """Forget a replica."""
        ...
