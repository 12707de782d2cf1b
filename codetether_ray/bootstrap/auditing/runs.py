"""A run between its intent and its outcome, where it lives; its end witnesses the journal."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from codetether_ray.audit.witness import head_detail
from codetether_ray.bootstrap.auditing.opening import Done, audited, open_audit
from codetether_ray.bootstrap.session.home import SessionRequest
from codetether_ray.core.codec import JsonObject
from codetether_ray.core.ids import RunKind
from codetether_ray.core.run_events import RunFinished
from codetether_ray.journal.mark import read_mark
from codetether_ray.journal.segments import run_directory
from codetether_ray.ports.audit import Action, AuditCategory

if TYPE_CHECKING:
    from codetether_ray.bootstrap.run_request import RunRequest

_CATEGORY: Mapping[RunKind, AuditCategory] = MappingProxyType(
    {"session": "session", "swarm": "swarm", "ralph": "ralph", "relay": "relay"}
)
_GOALS = ("okr_id", "okr_run_id")
"""Members of a result that were not known when its run began."""


def audited_session(request: SessionRequest) -> AbstractAsyncContextManager[Done]:
    """A session's turn; see `_audited`."""
    return _audited("session", "run", request, request.message.text)


def audited_run(request: "RunRequest", verb: str = "run") -> AbstractAsyncContextManager[Done]:
    """A run of several agents, or what `verb` says of it; see `_audited`."""
    return _audited(_CATEGORY[request.kind], verb, request, request.title)


@asynccontextmanager
async def _audited(
    category: AuditCategory, verb: str, request: "SessionRequest | RunRequest", task: str
) -> AsyncIterator[Done]:
    """Do a run, its home opened and closed in here.

    The outcome's detail says where the journal ended, so that one rewritten whole is found out.

    Raises:
        AuditError: the intent could not be written; nothing was begun.
    """
    data_dir, correlation = Path(request.data_dir), request.correlation
    audit = open_audit(data_dir)
    try:
        action = Action(
            category=category,
            action=f"{category}.{verb}",
            resource=correlation.run_id,
            correlation=correlation,
            detail={
                "task": hashlib.sha256(task.encode("utf-8", "replace")).hexdigest(),
                "model": request.model,
                "directory": request.directory,
                "resumed": request.resumed,
            },
        )
        async with audited(audit, action) as done:
            try:
                yield done
            finally:
                done.detail |= await asyncio.to_thread(_journal, data_dir, correlation.run_id)
    finally:
        await audit.close()


def ended(done: Done, outcome: str, result: JsonObject | None = None) -> None:
    """Note how a run ended, in its own word, and what it worked for."""
    summary = result or {}
    done.detail["outcome"] = outcome
    done.detail |= {name: id for name in _GOALS if (id := summary.get(name))}
    if not RunFinished(outcome=outcome, summary=summary).is_success:
        done.outcome = "failure"


def _journal(data_dir: Path, run_id: str) -> JsonObject:
    """Where the run's journal ends durably; nothing where that cannot be read."""
    try:
        mark = read_mark(run_directory(data_dir, run_id))
    except OSError:
        return {}
    return head_detail(mark.off, mark.seq, mark.prev) if mark is not None else {}
