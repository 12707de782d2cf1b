"""The bus: a bounded, ordered log read by long poll with a cursor."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """One published message. `offset` is its place in the log; -1 before it is published."""

    topic: str
    sender: str
    payload: bytes
    offset: int = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class Cursor:
    """Where a reader stands: the log's epoch and the next offset to read.

    The default cursor (epoch "") stands at the end of whatever log it meets.
    """

    epoch: str = ""
    offset: int = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """What a poll brought.

    `cursor` is where to go on; `lost` counts messages that had been dropped before this reader
    came to them (0 if it kept up); `lag` is how many messages of the log lie beyond the cursor.
    """

    envelopes: tuple[Envelope, ...]
    cursor: Cursor
    lost: int = 0
    lag: int = 0


class Bus(Protocol):
    """Publishes and subscribes by topic pattern (see `core.topics`)."""

    async def publish(self, envelopes: Sequence[Envelope]) -> int:
        """Append a batch in order; return the offset of its last message."""
        ...

    async def poll(
        self, patterns: Sequence[str], cursor: Cursor, *, limit: int = 1000, wait_s: float = 20.0
    ) -> Batch:
        """Messages from `cursor` on that match any pattern; wait up to `wait_s` for the first.

        A cursor of another epoch (the log began anew) or one that fell off the end goes on at the
        oldest message and is told how many were lost.

        Raises:
            TooManyPollsError: as many polls wait as may.
        """
        ...

    async def cursor(self) -> Cursor:
        """The end of the log now."""
        ...
