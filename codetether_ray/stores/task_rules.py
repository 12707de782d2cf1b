"""What all stores of tasks agree on: which saves they take, rows as plain tuples, page tokens."""

import base64
import binascii
import math
import struct

from codetether_ray.core.errors import UsageError
from codetether_ray.ports.tasks import TaskRecord

Row = tuple[str, str, str, str, int, float, bytes, str, float, bytes]
"""A `TaskRecord` in the order of `COLUMNS`: cheap to pickle, and what SQL takes."""
COLUMNS = (
    "id",
    "context_id",
    "owner",
    "state",
    "version",
    "updated_at",
    "payload",
    "holder",
    "held_until",
    "asked",
)
"""Of the table `tasks`. `asked` is the order, which is a word of SQL's own."""
MAX_PAGE = 1_000
"""Tasks on one page, whatever was asked for."""
_TOKEN = struct.Struct(">Bd")
_TOKEN_FORMAT = 1
_MAX_TOKEN = 2_000
"""Characters; what is longer is none of ours."""


def to_row(record: TaskRecord) -> Row:
    """A record as a plain tuple."""
    return (
        record.id,
        record.context_id,
        record.owner,
        record.state,
        record.version,
        record.updated_at,
        record.payload,
        record.holder,
        record.held_until,
        record.order,
    )


def to_record(row: Row) -> TaskRecord:
    """The other way round."""
    return TaskRecord(
        id=row[0],
        context_id=row[1],
        owner=row[2],
        state=row[3],
        version=row[4],
        updated_at=row[5],
        payload=row[6],
        holder=row[7],
        held_until=row[8],
        order=row[9],
    )


def takes(stored: Row | None, new: Row) -> bool:
    """Whether `new` may take the place of what is stored (see `TaskStore.save`)."""
    if stored is None:
        return True
    if stored[2] != new[2] or stored[4] >= new[4]:
        return False
    return stored[7] == new[7] or stored[8] <= new[5]


def is_repeated(stored: Row | None, new: Row) -> bool:
    """Whether `new` was stored already; its lease may have been prolonged since."""
    return stored is not None and stored[:8] == new[:8] and stored[9] == new[9]


def page_size(asked: int) -> int:
    """How many tasks a page holds."""
    return max(1, min(asked, MAX_PAGE))


def to_token(updated_at: float, id: str) -> str:
    """Where a page ended that goes on after this task."""
    packed = _TOKEN.pack(_TOKEN_FORMAT, updated_at) + id.encode()
    return base64.urlsafe_b64encode(packed).decode().rstrip("=")


def from_token(token: str) -> tuple[float, str]:
    """Time and id of the task that a page ended with.

    Raises:
        UsageError: the token is none of ours.
    """
    try:
        if len(token) > _MAX_TOKEN:
            raise ValueError(len(token))
        padded = token.encode("ascii") + b"=" * (-len(token) % 4)
        packed = base64.b64decode(padded, altchars=b"-_", validate=True)
        format, updated_at = _TOKEN.unpack_from(packed)
        id = packed[_TOKEN.size :].decode()
        if format != _TOKEN_FORMAT or not math.isfinite(updated_at) or "\0" in id:
            raise ValueError(format)
    except (ValueError, binascii.Error, struct.error) as error:
        raise UsageError(
            "the page token is not one that this server gave; begin without one"
        ) from error
    return updated_at, id
