"""Follows a run's events on a bus, in this process or another's."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from codetether_ray.core.errors import CodetetherError
from codetether_ray.core.events import Record
from codetether_ray.ports.bus import Batch, Bus, Cursor

Show = Callable[[Record], None]
"""Takes each event of the run, durable and live, as it comes."""

Reread = Callable[[], Iterable[Record]]
"""Reads from the journal what the run has recorded since it is followed. It may block."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Audience:
    """Who looks on while a run is driven."""

    show: Show
    ask: Callable[[Any], Awaitable[Any]]
    """Answers the run's questions."""
    notice: Callable[[str], None]
    """Is given sentences that a person should read."""


_PATTERNS = ("agent.*.events",)  # every event of every agent, the run's own included
_POLL_S = 20.0
_LAST_POLL_S = 1.0


def _ignore(notice: str) -> None:
    """Nobody wants notices."""


class Follower:
    """Shows every event that is published between `start` and `finish`, once and in order.

    Where the bus was started anew, or has dropped what was not shown yet, the durable events are
    read from the journal by `reread`; without it `notice` is told, in a sentence.
    """

    def __init__(
        self,
        bus: Bus,
        run_id: str,
        show: Show,
        notice: Callable[[str], None] = _ignore,
        *,
        reread: Reread | None = None,
    ) -> None:
        self._notice = notice
        self._bus = bus
        self._run_id = run_id
        self._show = show
        self._reread = reread
        self._cursor = Cursor()
        self._shown: set[int] = set()
        self._has_gap = False
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Follow from now on."""
        self._cursor = await self._bus.cursor()
        self._task = asyncio.create_task(self._follow(), name="follower")

    def mark_gap(self) -> None:
        """Events may have been recorded that were not published: look for them soon."""
        self._has_gap = True

    async def finish(self) -> None:
        """Show what has been published by now, and stop."""
        if self._task is None:
            return
        self._task.cancel()
        await asyncio.wait({self._task})
        with suppress(CodetetherError, TimeoutError):  # a bus that is gone has no more to say
            async with asyncio.timeout(_LAST_POLL_S):
                while await self._take(await self._bus.poll(_PATTERNS, self._cursor, wait_s=0)):
                    pass
        await self._close_gap()

    async def _follow(self) -> None:
        with suppress(CodetetherError):  # the run's result does not depend on being watched
            while True:
                await self._take(await self._bus.poll(_PATTERNS, self._cursor, wait_s=_POLL_S))

    async def _take(self, batch: Batch) -> bool:
        """Show a batch; whether there may be more now."""
        is_progress = bool(batch.envelopes) or batch.cursor != self._cursor
        self._see_loss(batch)
        self._cursor = batch.cursor
        await self._close_gap()
        for envelope in batch.envelopes:
            data = json.loads(envelope.payload)
            if data.get("run_id") == self._run_id:
                self._show_once(Record.from_json(data))
        return is_progress and batch.lag > 0

    def _show_once(self, record: Record) -> None:
        if record.seq >= 0:
            if record.seq in self._shown:
                return
            self._shown.add(record.seq)
        self._show(record)

    async def _close_gap(self) -> None:
        """Show what the journal holds and the bus did not tell."""
        if not self._has_gap or self._reread is None:
            return
        self._has_gap = False
        with suppress(CodetetherError):  # a journal that is damaged is told of elsewhere
            for record in await asyncio.to_thread(lambda reread: list(reread()), self._reread):
                self._show_once(record)

    def _see_loss(self, batch: Batch) -> None:
        where = "shown from the journal" if self._reread is not None else "in the journal alone"
        if batch.cursor.epoch != self._cursor.epoch:
            self._has_gap = True
            self._notice(f"the bus was started anew; some events are {where}")
        elif batch.lost:
            self._has_gap = True
            self._notice(
                f"{batch.lost} events came faster than they could be shown; they are {where}"
            )
