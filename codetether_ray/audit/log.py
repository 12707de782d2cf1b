"""The audit log of one process: intents before effects, outcomes after.

It has no thread of its own: it shares the one that flushes the journal of the same volume. With a
second file, which may be on another volume, an intent counts as soon as one of the two has it.
"""

import asyncio
import concurrent.futures
import getpass
import itertools
import os
import secrets
import threading
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

from codetether_ray.audit import members
from codetether_ray.audit.chain import ChainSink, Chunk
from codetether_ray.audit.mirror import MirrorSink
from codetether_ray.core.codec import JsonObject
from codetether_ray.core.errors import AuditError
from codetether_ray.core.spec import Correlation
from codetether_ray.disk.files import Disk, RealDisk
from codetether_ray.disk.group import Committer, borrow_committer, give_back
from codetether_ray.ports.audit import Action, AuditOutcome

DEADLINE_S = 10.0
"""How long an intent may wait for a disk."""
_LINGER_S = 0.1
"""How long an outcome may wait for company; a flush of its own would serve nobody."""
_MOST_WAITING = 10_000
"""Outcomes kept for a disk that takes nothing; more are dropped, and list as unknown."""

_Sink = ChainSink | MirrorSink
_Ids = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Begun:
    """An action under way."""

    subject: str
    correlation: Correlation | None
    started: float


class _Gathered:
    """What the coroutines of one loop began in one turn of it; handed over in the next."""

    __slots__ = ("lines", "loop", "timer", "waiters")

    def __init__(self, loop: asyncio.AbstractEventLoop, deadline_s: float) -> None:
        self.loop = loop
        self.lines: list[str] = []
        self.waiters: list[tuple[asyncio.Future[_Ids], _Ids]] = []
        self.timer = loop.call_later(deadline_s, _expire, self, deadline_s)

    def settle(self, failure: Exception | None) -> None:
        """Tell everybody, in the loop."""
        self.timer.cancel()
        for future, ids in self.waiters:
            if future.done():
                continue
            if failure is None:
                future.set_result(ids)
            else:
                future.set_exception(_as_audit_error(failure))


class AuditLog:
    """Appends to this process's own chain, from any thread and any event loop."""

    def __init__(
        self,
        data_dir: Path,
        *,
        second: Path | None = None,
        disk: Disk | None = None,
        clock: Callable[[], float] = time.time,
        deadline_s: float = DEADLINE_S,
    ) -> None:
        """Write below `data_dir`, and to the file `second` if there is one; both on first use."""
        disk = disk or RealDisk()
        self._clock = clock
        self._deadline_s = deadline_s
        self._sinks: list[_Sink] = [ChainSink(data_dir, disk, clock)]
        self._places = [data_dir]
        if second is not None:
            self._sinks.append(MirrorSink(second, disk, clock))
            self._places.append(second.parent)
        self._committers: list[Committer] = []
        self._words = members.Words(_user())
        self._tag = secrets.token_hex(6)
        self._numbers = itertools.count(1)
        self._begun: dict[str, _Begun] = {}
        self._outcomes: list[str] = []
        self._lock = threading.Lock()
        self._gathered: _Gathered | None = None
        self._timer_loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._last = 0.0
        self._pid = os.getpid()
        self._is_closed = False

    def conceal(self, values: Iterable[str]) -> None:
        """Mask these secrets in what is written from now on."""
        self._words.conceal(values)

    def begin(self, *actions: Action) -> Awaitable[_Ids]:
        """See `Audit.begin`; the flush is under way with the loop's next turn."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[_Ids] = loop.create_future()
        with self._lock:
            ids, lines = self._intents(actions)
            gathered = self._gathered
            if gathered is None or gathered.loop is not loop:
                self._hand_over()
                self._gathered = gathered = _Gathered(loop, self._deadline_s)
                loop.call_soon(self._next_turn)
            gathered.lines += lines
            gathered.waiters.append((future, ids))
        return future

    def begin_now(self, *actions: Action) -> _Ids:
        """The same where there is no event loop: it blocks.

        Raises:
            AuditError: the intents could not be written; the actions must not happen.
        """
        future: concurrent.futures.Future[_Ids] = concurrent.futures.Future()
        with self._lock:
            ids, lines = self._intents(actions)
            self._submit(lines, waiter=future)
        try:
            future.result(self._deadline_s)
        except TimeoutError:
            raise _too_slow(self._deadline_s) from None
        return ids

    def end(
        self,
        id: str,
        outcome: AuditOutcome,
        *,
        detail: JsonObject | None = None,
        duration_ms: int | None = None,
    ) -> None:
        """See `Audit.end`; a second end of the same action changes nothing."""
        begun = self._begun.pop(id, None)
        if begun is None or self._is_closed:
            return
        if duration_ms is None:
            duration_ms = int((time.monotonic() - begun.started) * 1000)
        words = self._words.detail(detail)
        with self._lock:
            self._outcomes.append(
                members.outcome(
                    id,
                    self._now(),
                    begun.subject,
                    outcome,
                    words,
                    duration_ms,
                    begun.correlation,
                )
            )
        self._send_soon()

    async def close(self) -> None:
        """`close_now`, in a thread."""
        await asyncio.to_thread(self.close_now)

    def close_now(self) -> None:
        """Write what waits, and close the chain with a signed checkpoint. Idempotent. It blocks."""
        if self._is_closed or self._pid != os.getpid():
            return
        loop, timer = self._timer_loop, self._timer
        if loop is not None and timer is not None and not loop.is_closed():
            loop.call_soon_threadsafe(timer.cancel)
        with self._lock:
            self._is_closed = True
            if not self._committers:
                return
            future: concurrent.futures.Future[_Ids] = concurrent.futures.Future()
            self._submit([], waiter=future, is_closing=True)
        concurrent.futures.wait([future], self._deadline_s)
        if future.done():  # a thread that hangs is not waited for
            for committer in self._committers:
                give_back(committer)

    @property
    def is_idle(self) -> bool:
        """Whether no action is under way."""
        return not self._begun

    @property
    def trouble(self) -> str:
        """Why a checkpoint could not be signed; empty if none was missed."""
        return next((sink.trouble for sink in self._sinks if sink.trouble), "")

    # -- to the thread ----------------------------------------------------------------------------

    def _intents(self, actions: Sequence[Action]) -> tuple[_Ids, list[str]]:
        if self._is_closed:
            raise AuditError("the audit log of this process is closed")
        if self._pid != os.getpid():
            raise AuditError("an audit log belongs to the process that opened it")
        self._borrow()
        ids, lines, started, now = [], [], time.monotonic(), self._now()
        for action in actions:
            id = f"act_{self._tag}{next(self._numbers):06x}"
            subject = self._words.subject(action)
            detail = self._words.detail(action.detail)
            self._begun[id] = _Begun(subject, action.correlation, started)
            lines.append(members.intent(id, now, subject, detail, action.correlation))
            ids.append(id)
        return tuple(ids), lines

    def _next_turn(self) -> None:
        with self._lock:
            self._hand_over()

    def _hand_over(self) -> None:
        """Hand over what was gathered; the lock is held."""
        gathered, self._gathered = self._gathered, None
        if gathered is not None:
            self._submit(gathered.lines, waiter=gathered)

    def _submit(self, lines: list[str], *, waiter: object, is_closing: bool = False) -> None:
        """Hand lines over, behind what was gathered and the outcomes; the lock is held."""
        self._hand_over()
        outcomes, self._outcomes = self._outcomes, []
        chunk = Chunk(
            [*outcomes, *lines],
            time=0.0 if outcomes else self._last,
            intents=len(lines),
            is_closing=is_closing,
            waiter=waiter,
        )
        told = partial(self._told, len(self._committers))
        for sink, committer in zip(self._sinks, self._committers, strict=True):
            committer.submit(sink, chunk, told)

    def _send_soon(self) -> None:
        """Send outcomes in a moment, or at once where no loop could remind us."""
        if self._timer_loop is not None and not self._timer_loop.is_closed():
            return
        try:
            self._timer_loop = asyncio.get_running_loop()
        except RuntimeError:
            self._send()
        else:
            self._timer = self._timer_loop.call_later(_LINGER_S, self._send)

    def _send(self) -> None:
        self._timer_loop = None
        with self._lock:
            if self._outcomes and not self._is_closed:
                self._submit([], waiter=None)

    def _now(self) -> float:
        """The time, which never goes back within a chain; the lock is held."""
        self._last = max(self._clock(), self._last)
        return self._last

    def _borrow(self) -> None:
        """Find each sink its thread; a second file that cannot be had is left out."""
        if self._committers:
            return
        usable: list[tuple[_Sink, Committer]] = []
        failure: OSError | None = None
        for sink, place in zip(self._sinks, self._places, strict=True):
            try:
                place.mkdir(mode=0o700, parents=True, exist_ok=True)
                usable.append((sink, borrow_committer(place)))
            except OSError as error:
                failure = error
        if not usable:
            raise AuditError(
                f"{self._places[0]}, where the audit log is kept, cannot be used: {failure}"
            ) from failure
        self._sinks = [sink for sink, _ in usable]
        self._committers = [committer for _, committer in usable]

    # -- from the thread --------------------------------------------------------------------------

    def _told(self, sinks: int, chunks: Sequence[Chunk], failure: Exception | None) -> None:
        """In a committing thread: one success is enough, a failure counts when all have failed."""
        for chunk in chunks:
            if not self._is_decided(chunk, sinks, failure):
                continue
            if isinstance(chunk.waiter, _Gathered):
                with suppress(RuntimeError):  # a loop that has ended asks for nothing any more
                    chunk.waiter.loop.call_soon_threadsafe(chunk.waiter.settle, failure)
            elif chunk.waiter is not None:
                _settle_now(chunk.waiter, failure)

    def _is_decided(self, chunk: Chunk, sinks: int, failure: Exception | None) -> bool:
        """Whether the chunk's fate is sealed by this answer; a closing one waits for all."""
        with self._lock:
            chunk.answers += 1
            chunk.failures += failure is not None
            if chunk.is_settled or (chunk.is_closing and chunk.answers < sinks):
                return False
            if failure is not None and chunk.failures < sinks and not chunk.is_closing:
                return False
            if chunk.failures == sinks:
                self._keep_outcomes(chunk)
            chunk.is_settled = True
            return True

    def _keep_outcomes(self, chunk: Chunk) -> None:
        """Outcomes wait for a better day: what was done was done."""
        outcomes = chunk.lines[: len(chunk.lines) - chunk.intents]
        self._outcomes = [*outcomes, *self._outcomes][-_MOST_WAITING:]


def _settle_now(future: "concurrent.futures.Future[_Ids]", failure: Exception | None) -> None:
    if failure is None:
        future.set_result(())
    else:
        future.set_exception(_as_audit_error(failure))


def _as_audit_error(failure: Exception) -> AuditError:
    """A new one for each caller: an exception that is raised twice drags its tracebacks along."""
    if isinstance(failure, AuditError):
        return AuditError(*failure.args)
    return AuditError(f"the audit log's writer failed: {failure!r}")


def _expire(gathered: _Gathered, deadline_s: float) -> None:
    gathered.settle(_too_slow(deadline_s))


def _too_slow(deadline_s: float) -> AuditError:
    return AuditError(
        f"the audit log's disk did not answer within {deadline_s:.0f} s, so nothing is done that "
        "must be audited; look after the disk and go on"
    )


@cache
def _user() -> str:
    try:
        return f"user:{getpass.getuser()}"
    except (OSError, KeyError):
        return f"user:{os.getuid()}"
