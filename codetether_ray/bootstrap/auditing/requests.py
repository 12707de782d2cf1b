"""Requests to an ingress in the audit log of the truth: what replicas send, a batch at a time."""

import os
from pathlib import Path
from typing import cast

from codetether_ray.bootstrap.auditing.opening import LentAudit, open_audit
from codetether_ray.bootstrap.truth.identity import Home
from codetether_ray.core.codec import JsonObject
from codetether_ray.ports.audit import Action, AuditCategory, AuditOutcome

Row = tuple[str, str, str, str, str, int, JsonObject]
"""Category, action, resource, principal, outcome, duration in milliseconds, detail."""

_held: dict[tuple[int, Path], LentAudit] = {}
"""Of this process: a chain lasts as long as somebody sends."""


async def record(home: Home, rows: list[Row]) -> None:
    """Write requests that were answered; they are on disk when it returns, their ends soon after.

    Raises:
        AuditError: they cannot be written.
    """
    key = (os.getpid(), home.data_dir)
    if key not in _held:
        _held[key] = open_audit(home.data_dir)
    log = _held[key]
    ids = await log.begin(*(_action(row) for row in rows))
    for id, row in zip(ids, rows, strict=True):
        log.end(id, cast("AuditOutcome", row[4]), duration_ms=row[5])


async def rest(home: Home) -> None:
    """Write what waits and close the chain; the next request begins another."""
    log = _held.pop((os.getpid(), home.data_dir), None)
    if log is not None:
        await log.close()


RECORD, REST = f"{__name__}:record", f"{__name__}:rest"


def _action(row: Row) -> Action:
    category, action, resource, principal, _, _, detail = row
    return Action(
        category=cast("AuditCategory", category),
        action=action,
        resource=resource,
        principal=principal,
        detail=detail,
    )
