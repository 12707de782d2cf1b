"""Ids and moments of OKRs."""

import uuid
from collections.abc import Callable
from datetime import UTC, datetime

NewId = Callable[[str], str]
"""An id for what the words name; the words count where the same shall be found again."""

_SPACE = uuid.UUID("5f0c7f64-3f43-4f6e-9d0b-3c0f0f5f6a11")


def fresh(_: str) -> str:
    """An id that nothing else has."""
    return str(uuid.uuid4())


def seeded(seed: str) -> NewId:
    """Ids that are the same whenever the same `seed` (a run's id, say) and words come again."""
    return lambda words: str(uuid.uuid5(_SPACE, f"{seed}/{words}"))


def moment(now_s: float) -> str:
    """Seconds since the epoch as RFC 3339 in UTC."""
    return datetime.fromtimestamp(now_s, UTC).isoformat(timespec="milliseconds")
