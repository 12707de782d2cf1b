"""The audit log as JSON over HTTP."""

import time
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from codetether_ray.audit.query import Query, moment
from codetether_ray.core.errors import UsageError

Name = Annotated[str, Field(min_length=1, max_length=200)]
_LAST = 253_000_000_000.0  # in the year 9987; what is later has no timestamp


class AuditQuery(BaseModel):
    """What entries must be like. Names may hold `*` and `?`."""

    model_config = ConfigDict(extra="forbid")

    actor: Name | None = None
    action: Name | None = None
    resource: Annotated[str, Field(min_length=1, max_length=2000)] | None = None
    category: Name | None = None
    outcome: Name | None = None
    okr: Name | None = None
    run: Name | None = None
    session: Name | None = None
    since: Name | None = Field(default=None, description="`2026-11-22T08:00Z`, or `2h`: ago.")
    until: Name | None = None

    def query(self) -> Query:
        """As a value.

        Raises:
            UsageError: a time is none.
        """
        given = self.model_dump(exclude={"since", "until", "cursor", "limit"})
        return Query(**given, since=_moment(self.since), until=_moment(self.until))


class AuditEvents(AuditQuery):
    """A page of entries."""

    cursor: Annotated[str, Field(max_length=500)] = ""
    limit: Annotated[int, Field(ge=1, le=1000)] = 100


class AuditPageBody(BaseModel):
    """Entries, newest first."""

    entries: list[dict[str, Any]]
    next: str | None = Field(default=None, description="`cursor` of the next page.")


class SegmentBody(BaseModel):
    """A file of a run's event stream; `end_offset` is null while it grows."""

    filename: str
    start_offset: int
    end_offset: int | None
    size_bytes: int
    form: str


def _moment(text: str | None) -> float | None:
    if text is None:
        return None
    try:
        found = moment(text, time.time())
    except (ValueError, OverflowError, OSError):
        raise UsageError(f"{text!r} is no time: write 2026-11-22T08:00Z, or 2h") from None
    return min(max(found, 0.0), _LAST)
