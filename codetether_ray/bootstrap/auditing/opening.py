"""The audit log of this process, and the contexts in which commands act.

There is one log for each process and data directory. Each `open_audit` is a use of it, each
`close` ends one; the last closes the chain. A forked child gets a log of its own.
"""

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from codetether_ray.audit.log import AuditLog
from codetether_ray.config.second_file import second_audit_file
from codetether_ray.core.codec import JsonObject
from codetether_ray.core.errors import AuditError
from codetether_ray.ports.audit import Action, Audit, AuditOutcome

_logs: dict[tuple[int, Path], "LentAudit"] = {}
_lock = threading.Lock()


class LentAudit:
    """This process's log as several users share it."""

    def __init__(self, data_dir: Path) -> None:
        self._key = (os.getpid(), data_dir)
        self._data_dir = data_dir
        self._known: set[str] = set()
        self._users = 0
        self._log = self._opened()

    def begin(self, *actions: Action) -> Awaitable[tuple[str, ...]]:
        """See `Audit.begin`."""
        return self._log.begin(*actions)

    def begin_now(self, *actions: Action) -> tuple[str, ...]:
        """See `AuditLog.begin_now`."""
        return self._log.begin_now(*actions)

    def end(
        self,
        id: str,
        outcome: AuditOutcome,
        *,
        detail: JsonObject | None = None,
        duration_ms: int | None = None,
    ) -> None:
        """See `Audit.end`."""
        self._log.end(id, outcome, detail=detail, duration_ms=duration_ms)

    def conceal(self, values: Iterable[str]) -> None:
        """Mask these secrets from now on."""
        self._known |= set(values)
        self._log.conceal(self._known)

    async def rest(self) -> None:
        """See `Audit.rest`."""
        log = self._log
        if log.is_idle:
            self._log = self._opened()
            await log.close()

    async def close(self) -> None:
        """End one use; see `Audit.close`."""
        await asyncio.to_thread(self.close_now)

    def close_now(self) -> None:
        """The same where there is no event loop."""
        with _lock:
            self._users -= 1
            if self._users > 0:
                return
            if _logs.get(self._key) is self:
                del _logs[self._key]
        self._log.close_now()

    def _opened(self) -> AuditLog:
        log = AuditLog(self._data_dir, second=second_audit_file(os.environ))
        log.conceal(self._known)
        return log

    def use(self) -> "LentAudit":
        """One more user; the lock is held."""
        self._users += 1
        return self


def open_audit(data_dir: Path) -> LentAudit:
    """This process's log below `data_dir`; nothing is written before something is done."""
    place = data_dir.absolute()
    with _lock:
        key = (os.getpid(), place)
        if key not in _logs:
            _logs[key] = LentAudit(place)
        return _logs[key].use()


@dataclass(slots=True)
class Done:
    """How an action ends, unless an exception says it: a success without further words."""

    outcome: AuditOutcome = "success"
    detail: JsonObject = field(default_factory=dict)


@asynccontextmanager
async def audited(audit: Audit, action: Action) -> AsyncIterator[Done]:
    """Do something between its intent and its outcome; an exception makes it a failure.

    Raises:
        AuditError: the intent could not be written; nothing was done.
    """
    (id,) = await audit.begin(action)
    done = Done()
    try:
        yield done
    except BaseException as error:
        audit.end(id, "failure", detail={**done.detail, "error": type(error).__name__})
        raise
    audit.end(id, done.outcome, detail=done.detail)


@contextmanager
def acting(
    data_dir: Path, action: Action, *, notice: Callable[[str], None] | None = None
) -> Iterator[Done]:
    """`audited` for a command without an event loop, with a use of the log of its own.

    With `notice` the action happens even where the log cannot be written, and that sentence is
    said: for what must work on a full disk.

    Raises:
        AuditError: the intent could not be written; nothing was done.
    """
    log = open_audit(data_dir)
    try:
        id = _begun(log, action, notice)
        done = Done()
        try:
            yield done
        except BaseException as error:
            log.end(id, "failure", detail={**done.detail, "error": type(error).__name__})
            raise
        log.end(id, done.outcome, detail=done.detail)
    finally:
        log.close_now()


def _begun(log: LentAudit, action: Action, notice: Callable[[str], None] | None) -> str:
    try:
        return log.begin_now(action)[0]
    except AuditError as error:
        if notice is None:
            raise
        why = str(error).partition(", so nothing")[0]
        notice(f"not in the audit log: {why}")
        return ""
