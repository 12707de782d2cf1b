"""The channel of tasks across processes, by way of a board that all of them reach."""

import asyncio
import logging
import uuid
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

from codetether_ray.core.errors import ClusterError
from codetether_ray.local.task_listeners import MAX_BYTES, MAX_EVENTS, Listener, Listeners
from codetether_ray.local.task_signals import Attending
from codetether_ray.ports.task_board import Mail, Notice, TaskBoard
from codetether_ray.ports.task_channel import Lost, OnSignal, Signal, TaskEvent

PACE_S = 0.01
"""Between two posts of a process: a call costs half a millisecond of CPU, whatever it carries."""
_POST_BYTES = 80_000
"""Payload bytes of one post, if more than one notice is in it."""
_MAX_WAITING_BYTES = 32_000_000
"""Of notices that the board could not be given yet; beyond, their listeners are told `Lost`."""
_WAIT_S = 20.0
_PAUSES_S = (0.05, 0.2, 0.5, 1.0)
_FLUSH_S = 2.0
_LOST_VERSION = -1

_log = logging.getLogger(__name__)


class BoardChannel:
    """The channel port on a board. One per process and event loop.

    It has one take parked at the board for all that it waits for, and posts at most once in
    `pace_s` unless much is to be told. A board that began anew is joined again, and all listeners
    are told `Lost`.
    """

    def __init__(
        self,
        board: TaskBoard,
        *,
        pace_s: float = PACE_S,
        max_events: int = MAX_EVENTS,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        """A listener may be as far behind as is said."""
        self._board = board
        self._name = uuid.uuid4().hex
        self._listeners = Listeners(max_events, max_bytes)
        self._attending = Attending()
        self._posting = _Posting(lambda notices: board.post(self._name, notices), pace_s)
        self._changing = _Changing(self._change)
        self._joining: asyncio.Task[None] | None = None
        self._taking: asyncio.Task[None] | None = None
        self._is_closed = False

    async def publish(self, event: TaskEvent) -> None:
        """See `TaskChannel.publish`."""
        self._listeners.tell(event)
        self._posting.add((event.task_id, event.version, event.payload, event.is_last))

    @asynccontextmanager
    async def listen(self, task_id: str) -> AsyncIterator[AsyncIterator[TaskEvent | Lost]]:
        """See `TaskChannel.listen`."""
        listener = self._opened(task_id)
        try:
            await self._joined()
            await self._changing.tell(task_id, is_wanted=True)
            listener.begin()
            yield listener
        finally:
            if self._listeners.close(listener) and not self._is_closed:
                self._changing.tell(task_id, is_wanted=False).add_done_callback(_seen)

    async def signal(self, task_id: str, word: Signal) -> None:
        """See `TaskChannel.signal`."""
        self._attending.tell(task_id, word)
        await self._board.signal(self._name, task_id, word)

    async def attend(self, on_signal: OnSignal) -> None:
        """See `TaskChannel.attend`."""
        self._attending.on_signal = on_signal
        await self._joined()

    async def close(self) -> None:
        """See `TaskChannel.close`: what was published is told, if the board answers."""
        if self._is_closed:
            return
        self._is_closed = True
        self._listeners.end()
        for task in (self._taking, self._joining):
            if task is not None:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
        await self._attending.close()
        await self._changing.close()
        await self._posting.close()
        with suppress(ClusterError, TimeoutError):
            async with asyncio.timeout(_FLUSH_S):
                await self._board.leave(self._name)

    def _opened(self, task_id: str) -> Listener:
        if self._is_closed:
            raise ClusterError("the channel of tasks is closed")
        return self._listeners.open(task_id)

    # -- what comes from the board ----------------------------------------------------------------

    async def _joined(self) -> None:
        """Be known to the board, and have a take parked there."""
        if self._taking is None:
            await self._join()
        if self._taking is None and not self._is_closed:
            self._taking = asyncio.create_task(self._take_all(), name="task events")

    async def _join(self) -> None:
        """Begin anew at the board; one call serves all who find that this is needed."""
        if self._joining is None or self._joining.done():
            self._joining = asyncio.create_task(self._join_now(), name="joining the board")
        await asyncio.shield(self._joining)

    async def _join_now(self) -> None:
        await self._board.join(self._name, self._listeners.tasks)
        self._after = self._signals_after = 0
        self._listeners.lose()

    async def _change(self, changes: Sequence[tuple[str, bool]]) -> None:
        while not await self._board.change(self._name, changes):
            await self._join()

    async def _take_all(self) -> None:
        failures = 0
        while True:
            try:
                await self._take()
                failures = 0
            except (ClusterError, TimeoutError) as error:
                if failures == 0:
                    _log.warning("events of other replicas' tasks do not come now: %s", error)
                await asyncio.sleep(_pause(failures))
                failures += 1

    async def _take(self) -> None:
        async with asyncio.timeout(2 * _WAIT_S):
            mail = await self._board.take(self._name, self._after, self._signals_after, _WAIT_S)
        if mail is None:
            await self._join()
        else:
            self._hand_out(mail)

    def _hand_out(self, mail: Mail) -> None:
        self._after, self._signals_after = mail.until, mail.signals_until
        for task_id, word in mail.signals:
            self._attending.tell(task_id, word)
        if mail.is_lossy:
            self._listeners.lose()
        for task_id, version, payload, is_last in mail.notices:
            if version == _LOST_VERSION:
                self._listeners.lose(task_id)
                continue
            self._listeners.tell(
                TaskEvent(task_id=task_id, version=version, payload=payload, is_last=is_last)
            )


class _Posting:
    """Posts notices in order, several at once, until they have arrived."""

    def __init__(
        self, post: Callable[[list[Notice]], Coroutine[Any, Any, None]], pace_s: float
    ) -> None:
        self._post, self._pace_s = post, pace_s
        self._notices: deque[Notice] = deque()
        self._bytes = 0
        self._work: asyncio.Task[None] | None = None

    def add(self, notice: Notice) -> None:
        """Post it soon."""
        if self._bytes > _MAX_WAITING_BYTES:
            lost = dict.fromkeys(task_id for task_id, _, _, _ in self._notices)
            self._notices = deque((task_id, _LOST_VERSION, b"", False) for task_id in lost)
            self._bytes = 0
        self._notices.append(notice)
        self._bytes += len(notice[2])
        if self._work is None:
            self._work = asyncio.create_task(self._run(), name="posting task events")

    async def close(self) -> None:
        """Post what waits, for some seconds."""
        if self._work is not None:
            await asyncio.wait({self._work}, timeout=_FLUSH_S)
        if self._work is not None:
            self._work.cancel()
            await asyncio.gather(self._work, return_exceptions=True)

    async def _run(self) -> None:
        try:
            while self._notices:
                await self._post_some(self._some())
                if self._bytes < _POST_BYTES:
                    await asyncio.sleep(self._pace_s)
        finally:
            self._work = None

    async def _post_some(self, notices: list[Notice]) -> None:
        failures = 0
        while True:
            try:
                await self._post(notices)
            except ClusterError:  # who listens elsewhere hears of it by its own take
                await asyncio.sleep(_pause(failures))
                failures += 1
            else:
                return

    def _some(self) -> list[Notice]:
        found = [self._notices.popleft()]
        size = len(found[0][2])
        while self._notices and size + len(self._notices[0][2]) <= _POST_BYTES:
            found.append(self._notices.popleft())
            size += len(found[-1][2])
        self._bytes -= size
        return found


class _Changing:
    """Tells the board which tasks are listened to: in order, several changes at once."""

    def __init__(
        self, change: Callable[[Sequence[tuple[str, bool]]], Coroutine[Any, Any, None]]
    ) -> None:
        self._change = change
        self._waiting: list[tuple[tuple[str, bool], asyncio.Future[None]]] = []
        self._work: asyncio.Task[None] | None = None

    def tell(self, task_id: str, *, is_wanted: bool) -> "asyncio.Future[None]":
        """Have the board know; done when it does."""
        answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(((task_id, is_wanted), answer))
        if self._work is None:
            self._work = asyncio.create_task(self._run(), name="telling who listens")
        return answer

    async def close(self) -> None:
        """Tell nothing more."""
        if self._work is not None:
            self._work.cancel()
            await asyncio.gather(self._work, return_exceptions=True)
        for _, answer in self._waiting:
            answer.cancel()

    async def _run(self) -> None:
        try:
            while self._waiting:
                told, self._waiting = self._waiting, []
                await self._tell(told)
        finally:
            self._work = None

    async def _tell(self, told: list[tuple[tuple[str, bool], "asyncio.Future[None]"]]) -> None:
        error: Exception | None = None
        try:
            await self._change([change for change, _ in told])
        except asyncio.CancelledError:
            for _, answer in told:
                answer.cancel()
            raise
        except Exception as raised:  # noqa: BLE001 - told to every one who waits for this call
            error = raised
        for _, answer in told:
            if answer.done():
                continue
            if error is None:
                answer.set_result(None)
            else:
                answer.set_exception(error)


def _pause(failures: int) -> float:
    return _PAUSES_S[min(failures, len(_PAUSES_S) - 1)]


def _seen(answer: "asyncio.Future[None]") -> None:
    if not answer.cancelled():
        answer.exception()
