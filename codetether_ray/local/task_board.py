"""The board of tasks' events in memory: the state that the board actor holds."""

import asyncio
from collections import deque
from collections.abc import Sequence
from itertools import islice

from codetether_ray.local.clock import SystemClock
from codetether_ray.ports.clock import Clock
from codetether_ray.ports.task_board import Mail, Notice
from codetether_ray.ports.task_channel import Signal

MAX_NOTICES = 50_000
"""That wait for one replica; then they are dropped, and it is told."""
MAX_BYTES = 32_000_000
"""And their payloads, in bytes."""
_MAIL_BYTES = 4_000_000
"""Payload bytes in one answer; the replica comes again for the rest."""
_SILENCE_S = 60.0
"""A replica that fetched nothing for so long is gone; a living one fetches every 20 s at least."""
_SIGNAL_S = 30.0
_MAX_SIGNALS = 10_000


class MemoryBoard:
    """See `TaskBoard`. No method awaits while it changes something."""

    def __init__(
        self,
        max_notices: int = MAX_NOTICES,
        max_bytes: int = MAX_BYTES,
        clock: Clock | None = None,
    ) -> None:
        """A replica may be as far behind as is said."""
        self._limits = max_notices, max_bytes
        self._clock = clock or SystemClock()
        self._boxes: dict[str, _Box] = {}
        self._wanting: dict[str, set[str]] = {}
        self._signals: deque[tuple[float, str, str, Signal]] = deque()
        self._first_signal = 1

    async def join(self, replica: str, task_ids: Sequence[str]) -> None:
        """See `TaskBoard.join`."""
        self._forget(replica)
        self._forget_silent()
        self._boxes[replica] = _Box(*self._limits, self._clock.monotonic())
        self._change(replica, [(id, True) for id in task_ids])

    async def change(self, replica: str, changes: Sequence[tuple[str, bool]]) -> bool:
        """See `TaskBoard.change`."""
        if replica not in self._boxes:
            return False
        self._change(replica, changes)
        return True

    async def post(self, replica: str, notices: Sequence[Notice]) -> None:
        """See `TaskBoard.post`."""
        touched: set[str] = set()
        for notice in notices:
            for name in self._wanting.get(notice[0], ()):
                if name != replica:
                    self._boxes[name].put(notice)
                    touched.add(name)
        for name in touched:
            self._boxes[name].wake()

    async def signal(self, replica: str, task_id: str, word: Signal) -> None:
        """See `TaskBoard.signal`."""
        self._forget_signals()
        self._signals.append((self._clock.monotonic(), replica, task_id, word))
        for name, box in self._boxes.items():
            if name != replica:
                box.wake()

    async def take(
        self, replica: str, after: int, signals_after: int, wait_s: float
    ) -> Mail | None:
        """See `TaskBoard.take`."""
        box = self._boxes.get(replica)
        if box is None:
            return None
        box.seen = self._clock.monotonic()
        box.forget(after)
        if not box.has_news and not self._signalled(replica, signals_after):
            await box.wait(wait_s)
        if self._boxes.get(replica) is not box:
            return None
        box.seen = self._clock.monotonic()
        notices = box.some()
        return Mail(
            until=box.first + len(notices),
            signals_until=self._first_signal + len(self._signals) - 1,
            notices=notices,
            signals=self._signalled(replica, signals_after),
            is_lossy=box.is_lossy,
        )

    async def leave(self, replica: str) -> None:
        """See `TaskBoard.leave`."""
        self._forget(replica)

    def replicas(self) -> int:
        """How many it knows."""
        return len(self._boxes)

    def _change(self, replica: str, changes: Sequence[tuple[str, bool]]) -> None:
        wants = self._boxes[replica].wants
        for task_id, is_wanted in changes:
            if is_wanted:
                wants.add(task_id)
                self._wanting.setdefault(task_id, set()).add(replica)
            elif task_id in wants:
                wants.discard(task_id)
                self._unwant(replica, task_id)

    def _unwant(self, replica: str, task_id: str) -> None:
        names = self._wanting[task_id]
        names.discard(replica)
        if not names:
            del self._wanting[task_id]

    def _forget(self, replica: str) -> None:
        box = self._boxes.pop(replica, None)
        if box is None:
            return
        for task_id in box.wants:
            self._unwant(replica, task_id)
        box.wake()

    def _forget_silent(self) -> None:
        limit = self._clock.monotonic() - _SILENCE_S
        for name in [name for name, box in self._boxes.items() if box.seen < limit]:
            self._forget(name)

    def _forget_signals(self) -> None:
        limit = self._clock.monotonic() - _SIGNAL_S
        signals = self._signals
        while signals and (signals[0][0] < limit or len(signals) >= _MAX_SIGNALS):
            signals.popleft()
            self._first_signal += 1

    def _signalled(self, replica: str, after: int) -> list[tuple[str, Signal]]:
        start = max(after + 1 - self._first_signal, 0)
        return [
            (id, word) for _, by, id, word in islice(self._signals, start, None) if by != replica
        ]


class _Box:
    """What waits for one replica."""

    def __init__(self, max_notices: int, max_bytes: int, now: float) -> None:
        self.wants: set[str] = set()
        self.seen = now
        self.first = 0
        """Number of the first notice here."""
        self._max_notices, self._max_bytes = max_notices, max_bytes
        self._notices: deque[Notice] = deque()
        self._bytes = 0
        self._lost_at = -1
        self._waiting: asyncio.Future[None] | None = None

    @property
    def is_lossy(self) -> bool:
        return self._lost_at >= 0

    @property
    def has_news(self) -> bool:
        return bool(self._notices) or self.is_lossy

    def put(self, notice: Notice) -> None:
        if len(self._notices) >= self._max_notices or self._bytes > self._max_bytes:
            self.first += len(self._notices)
            self._lost_at = self.first
            self._notices.clear()
            self._bytes = 0
        self._notices.append(notice)
        self._bytes += len(notice[2])

    def forget(self, after: int) -> None:
        """The replica has what came before number `after`."""
        while self._notices and self.first < after:
            self._bytes -= len(self._notices.popleft()[2])
            self.first += 1
        if self.is_lossy and after >= self._lost_at:
            self._lost_at = -1

    def some(self) -> list[Notice]:
        """As much as one answer holds; at least one, if there is any."""
        found: list[Notice] = []
        room = _MAIL_BYTES
        for notice in self._notices:
            room -= len(notice[2])
            if found and room < 0:
                break
            found.append(notice)
        return found

    async def wait(self, wait_s: float) -> None:
        self.wake()  # one that waits already was given up by the replica
        woken = self._waiting = asyncio.get_running_loop().create_future()
        timer = asyncio.get_running_loop().call_later(wait_s, _set, woken)
        try:
            await woken
        finally:
            timer.cancel()
            if self._waiting is woken:
                self._waiting = None

    def wake(self) -> None:
        if self._waiting is not None:
            _set(self._waiting)


def _set(woken: "asyncio.Future[None]") -> None:
    if not woken.done():
        woken.set_result(None)
