"""The audit log in pages, and a run's events as files of ranges. Called on the truth."""

import base64
import binascii
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from codetether_ray.audit.entries import Entry
from codetether_ray.audit.query import Query, find, newest
from codetether_ray.bootstrap.control.owned import check
from codetether_ray.bootstrap.replay import archived, record_of
from codetether_ray.bootstrap.truth.identity import Home
from codetether_ray.core.codec import JsonObject
from codetether_ray.core.errors import UsageError
from codetether_ray.core.events import Record, ToolFinished, ToolStarted
from codetether_ray.journal.reader import read_lines
from codetether_ray.journal.segments import list_segments, run_directory

AUDITED, QUERIED = f"{__name__}:audited", f"{__name__}:queried"
REPLAYED, INDEXED = f"{__name__}:replayed", f"{__name__}:indexed"
_CONTENT_CHARS = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditPage:
    """Some entries, and what the next page is asked for with; empty: there is none."""

    entries: tuple[JsonObject, ...] = ()
    next: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Behind(Query):
    """A query of entries that are older than a certain one."""

    key: tuple[str, str, int]

    def matches(self, entry: Entry) -> bool:
        """Whether the entry is one of those asked for, and older."""
        return _key(entry) < self.key and super(_Behind, self).matches(entry)


def audited(home: Home, query: Query, cursor: str, limit: int) -> AuditPage:
    """A page of the entries that match, newest first.

    Raises:
        UsageError: the cursor is none of ours.
    """
    if cursor:
        given = {name: getattr(query, name) for name in Query.__dataclass_fields__}
        query = _Behind(**given, key=_read_cursor(cursor))
    found = newest(home.data_dir, query, limit + 1)[::-1]
    page = found[:limit]
    return AuditPage(
        entries=tuple(entry.data for entry in page),
        next=_cursor(page[-1]) if len(found) > limit else "",
    )


def queried(home: Home, query: Query, limit: int) -> list[JsonObject]:
    """The first entries that match, oldest first."""
    return [entry.data for entry in islice(find(home.data_dir, query), limit)]


def _key(entry: Entry) -> tuple[str, str, int]:
    return entry.timestamp, entry.chain, entry.n


def _cursor(entry: Entry) -> str:
    text = "\n".join(map(str, _key(entry)))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _read_cursor(text: str) -> tuple[str, str, int]:
    try:
        padded = text + "=" * (-len(text) % 4)
        raw = base64.b64decode(padded.encode("ascii"), altchars=b"-_", validate=True)
        timestamp, chain, n = raw.decode().split("\n")
        return timestamp, chain, int(n)
    except (ValueError, binascii.Error):
        raise UsageError("the cursor is none that a page here ended with") from None


# -- a run's events -------------------------------------------------------------------------------


def indexed(home: Home, run_id: str) -> list[JsonObject]:
    """The files of a run's stream; offsets are bytes, `end_offset` null where it still grows.

    Raises:
        UnknownRunError: there is no such run.
    """
    check(home, run_id, None)
    found: list[JsonObject] = []
    for segment in list_segments(run_directory(home.data_dir, run_id)):
        size = segment.path.stat().st_size if segment.end is None else segment.end - segment.start
        found.append(
            {
                "filename": segment.name,
                "start_offset": segment.start,
                "end_offset": segment.end,
                "size_bytes": size,
                "form": segment.form,
            }
        )
    return found


def replayed(
    home: Home, run_id: str, start: int, until: int | None, limit: int, tool: str
) -> list[JsonObject]:
    """A run's events whose line begins in the range of bytes; of one tool, where one is named.

    Raises:
        UnknownRunError: there is no such run.
        JournalError: it cannot be read.
    """
    check(home, run_id, None)
    found: list[JsonObject] = []
    fetch = archived()
    for line in read_lines(home.data_dir, run_id, start=start, until=until, fetch=fetch):
        if len(found) == limit:
            break
        record = record_of(home.data_dir, run_id, line, fetch=fetch)
        event = _event(run_id, record)
        if not tool or event.get("tool_name") == tool:
            found.append({**event, "start_offset": line.place.off, "bytes": line.length})
    return found


def _event(run_id: str, record: Record) -> JsonObject:
    """One event, in the words of the event stream's readers, with ours beside them."""
    data: Any = record.to_json()
    ids = record.correlation
    out: JsonObject = {
        "recorded_at": datetime.fromtimestamp(record.time, UTC).isoformat(timespec="milliseconds"),
        "session_id": ids.session_id or run_id,
        "run_id": run_id,
        "role": "tool" if isinstance(record.event, ToolFinished) else "agent",
        "agent_name": record.agent,
        "message_type": record.event.tag,
        "sequence": record.seq,
        "okr_id": ids.okr_id or None,
        "okr_run_id": ids.okr_run_id or None,
        "relay_id": ids.relay_id or None,
        "payload": data.get("payload"),
    }
    if isinstance(record.event, ToolStarted):
        out["tool_name"] = record.event.call.name
    if isinstance(record.event, ToolFinished):
        result = record.event.result
        out["tool_name"] = result.name
        out["tool_success"] = not result.is_error
        out["tool_duration_ms"] = record.event.elapsed_ms
        out["content"] = result.content[:_CONTENT_CHARS]
    return out
