"""What the audit log remembers of a run's journal.

At the end of each turn or swarm the outcome's detail carries the journal's durable head, so that
a journal which is rewritten whole, checksums and all, contradicts the audit log.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from codetether_ray.audit.query import Query, find
from codetether_ray.core.codec import JsonObject
from codetether_ray.core.ids import made_at

MEMBER = "journal"
"""The member of a detail that holds a head."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalHead:
    """A journal once was this long: `seq` records in `off` bytes, its last line hashed `prev`."""

    off: int
    seq: int
    prev: str
    timestamp: str
    audit_id: str


def head_detail(off: int, seq: int, prev: str) -> JsonObject:
    """The detail of an outcome that witnesses a journal."""
    return {MEMBER: {"off": off, "seq": seq, "prev": prev}}


def journal_heads(data_dir: Path, run_id: str) -> tuple[JournalHead, ...]:
    """The heads of a run's journal that were witnessed, oldest first."""
    return tuple(_heads(data_dir, run_id))


def _heads(data_dir: Path, run_id: str) -> Iterator[JournalHead]:
    for entry in find(data_dir, Query(run=run_id, since=made_at(run_id))):
        detail = entry["detail"]
        head = detail.get(MEMBER) if isinstance(detail, dict) else None
        if isinstance(head, dict) and {"off", "seq", "prev"} <= head.keys():
            yield JournalHead(
                off=int(head["off"]),
                seq=int(head["seq"]),
                prev=str(head["prev"]),
                timestamp=entry.timestamp,
                audit_id=str(entry["id"]),
            )
