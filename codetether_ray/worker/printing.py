"""Sends a task's output to the platform: in order, one call at a time, again until it arrives."""

import asyncio
from collections.abc import Awaitable, Callable

from codetether_ray.ports.clock import Clock
from codetether_ray.worker.backoff import Backoff
from codetether_ray.worker.client import PlatformError

CALL_CHARS = 50_000
"""Characters of one call, at most."""
WAITING_CHARS = 2_000_000
"""Kept while the platform is away; what comes then is dropped, and that is said."""
_PAUSE_S = 0.05
"""For a little more to come before it is sent."""
_CUT = "[output: some was dropped, the platform was away]"

Send = Callable[[int, str], Awaitable[None]]
"""Sends one piece with its number, from 0."""


class Printer:
    """The output of one claim. `lost` is called where the task is another's by now."""

    def __init__(self, send: Send, clock: Clock, lost: Callable[[], None]) -> None:
        self._send, self._clock, self._lost = send, clock, lost
        self._waiting: list[str] = []
        self._chars = 0
        self._is_cut = False
        self._came = asyncio.Event()
        self._is_over = False
        self._task = asyncio.create_task(self._sending(), name="output")

    def say(self, text: str) -> None:
        """Send a line soon."""
        if not text or self._is_over:
            return
        if self._chars > WAITING_CHARS:
            text = "" if self._is_cut else _CUT
            self._is_cut = True
        if text:
            self._waiting.append(text)
            self._chars += len(text)
            self._came.set()

    async def finish(self, patience_s: float) -> None:
        """Return once everything has arrived, or that time has passed."""
        self._is_over = True
        self._came.set()
        try:
            await asyncio.wait({self._task}, timeout=patience_s)
        finally:
            self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _sending(self) -> None:
        seq = 0
        while True:
            await self._came.wait()
            if not self._waiting and self._is_over:
                return
            if not self._is_over:
                await self._clock.sleep(_PAUSE_S)
            for piece in self._taken():
                if not await self._arrived(seq, piece):
                    return
                seq += 1

    def _taken(self) -> list[str]:
        """What waits, as pieces of a call's size each."""
        text = "\n".join(self._waiting)
        self._waiting.clear()
        self._chars, self._is_cut = 0, False
        if not self._is_over:
            self._came.clear()
        return [text[at : at + CALL_CHARS] for at in range(0, len(text), CALL_CHARS)]

    async def _arrived(self, seq: int, piece: str) -> bool:
        backoff = Backoff(0.2, 10.0)
        while True:
            try:
                await self._send(seq, piece)
            except PlatformError as error:
                if error.is_final:
                    self._waiting.clear()
                    self._is_over = True
                    if error.status in (404, 409):
                        self._lost()
                    return False
                await self._clock.sleep(backoff.next_s())
            else:
                return True
