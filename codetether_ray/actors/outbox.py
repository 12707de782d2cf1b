"""Calls of one process to one actor, one under way at a time; what comes meanwhile rides the next.

An async actor does not keep the order of calls that overlap, and a call costs a millisecond
whatever it carries: so this is both the order and the speed of what a process sends.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

P = TypeVar("P")
R = TypeVar("R")

CALL_BYTES = 80_000
"""Of one call, either way: beyond 100 kB Ray takes the detour through its object store."""
_MAX_WAITING_BYTES = 32_000_000
"""What may wait unsent; then `room` waits."""


class Outbox(Generic[P, R]):
    """Sends payloads in the order they were posted; each gets its own answer.

    `send` is given the payloads of one call and returns as many answers, errors among them; an
    error that it raises is everyone's. Who gives up waiting does not stop what was posted.
    """

    def __init__(self, send: Callable[[Sequence[P]], Awaitable[Sequence[R | Exception]]]) -> None:
        self._send = send
        self._parcels: deque[_Parcel[P, R]] = deque()
        self._waiting_bytes = 0
        self._sender: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._drained: asyncio.Future[None] | None = None

    def post(self, payload: P, size: int, *, wait_s: float = 0.0) -> "asyncio.Future[R]":
        """Send a payload of about `size` bytes; its answer, when it comes.

        It may wait `wait_s` for another that it can ride with.
        """
        parcel: _Parcel[P, R] = _Parcel(payload, size)
        self._parcels.append(parcel)
        self._waiting_bytes += size
        if not wait_s:
            self.hurry()
        elif self._sender is None and self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(wait_s, self.hurry)
        return parcel.answer

    async def room(self) -> None:
        """Wait until not too much is waiting."""
        while self._waiting_bytes > _MAX_WAITING_BYTES:
            if self._drained is None:
                self._drained = asyncio.get_running_loop().create_future()
            await asyncio.shield(self._drained)

    async def flush(self) -> None:
        """Send at once what waits, and wait until all that was posted has been answered."""
        while self._parcels or self._sender is not None:
            await asyncio.wait([self.hurry()])

    def hurry(self) -> "asyncio.Task[None]":
        """Send at once what waits for company; the task that does it."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._sender is None:
            self._sender = asyncio.create_task(self._work(), name="outbox")
        return self._sender

    async def _work(self) -> None:
        try:
            while self._parcels:
                await self._send_some(self._take())
        finally:
            self._sender = None

    def _take(self) -> "list[_Parcel[P, R]]":
        """The next parcels, as many as fit one call; at least one."""
        parcels = self._parcels
        taken = [parcels.popleft()]
        room = CALL_BYTES - taken[0].size
        while parcels and parcels[0].size <= room:
            taken.append(parcels.popleft())
            room -= taken[-1].size
        return taken

    async def _send_some(self, parcels: "list[_Parcel[P, R]]") -> None:
        answers: Sequence[R | Exception]
        try:
            answers = await self._send([p.payload for p in parcels])
        except asyncio.CancelledError:
            for parcel in parcels:
                parcel.answer.cancel()
            raise
        except Exception as error:  # noqa: BLE001 - told to every one who waits for this call
            answers = [error] * len(parcels)
        for parcel, answer in zip(parcels, answers, strict=True):
            self._waiting_bytes -= parcel.size
            parcel.take(answer)
        if self._drained is not None and self._waiting_bytes <= _MAX_WAITING_BYTES // 2:
            drained, self._drained = self._drained, None
            drained.set_result(None)


class _Parcel(Generic[P, R]):
    """One payload on its way."""

    __slots__ = ("answer", "payload", "size")

    def __init__(self, payload: P, size: int) -> None:
        self.payload = payload
        self.size = size
        self.answer: asyncio.Future[R] = asyncio.get_running_loop().create_future()

    def take(self, answer: R | Exception) -> None:
        if self.answer.done():
            return
        if isinstance(answer, Exception):
            self.answer.set_exception(answer)
        else:
            self.answer.set_result(answer)
