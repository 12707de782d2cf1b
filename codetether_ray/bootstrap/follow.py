"""Follows a run's events on a bus, in this process or another's."""

import asyncio
import json
from collections.abc import Callable
from contextlib import suppress

from codetether_ray.core.errors import CodetetherError
from codetether_ray.core.events import Record
from codetether_ray.ports.bus import Batch, Bus, Cursor

Show = Callable[[Record], None]
"""Takes each event of the run, durable and live, as it comes."""

_PATTERNS = ("agent.*.events",)  # every event of every agent, the run's own included
_POLL_S = 20.0


def _ignore(notice: str) -> None:
    """Nobody wants notices."""


class Follower:
    """Shows every event that is published between `start` and `finish`, once and in order.

    `notice` is told, in a sentence, when the bus has dropped what was not shown yet.
    """

    def __init__(
        self, bus: Bus, run_id: str, show: Show, notice: Callable[[str], None] = _ignore
    ) -> None:
        self._notice = notice
        self._bus = bus
        self._run_id = run_id
        self._show = show
        self._cursor = Cursor()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Follow from now on."""
        self._cursor = await self._bus.cursor()
        self._task = asyncio.create_task(self._follow(), name="follower")

    async def finish(self) -> None:
        """Show what has been published by now, and stop."""
        if self._task is None:
            return
        self._task.cancel()
        await asyncio.wait({self._task})
        with suppress(CodetetherError):  # a bus that is gone has no more to say
            while self._take(await self._bus.poll(_PATTERNS, self._cursor, wait_s=0)):
                pass

    async def _follow(self) -> None:
        with suppress(CodetetherError):  # the run's result does not depend on being watched
            while True:
                self._take(await self._bus.poll(_PATTERNS, self._cursor, wait_s=_POLL_S))

    def _take(self, batch: Batch) -> bool:
        """Show a batch; whether there may be more now."""
        is_progress = bool(batch.envelopes) or batch.cursor != self._cursor
        self._tell_lost(batch)
        self._cursor = batch.cursor
        for envelope in batch.envelopes:
            data = json.loads(envelope.payload)
            if data.get("run_id") == self._run_id:
                self._show(Record.from_json(data))
        return is_progress and batch.lag > 0

    def _tell_lost(self, batch: Batch) -> None:
        if batch.cursor.epoch != self._cursor.epoch:
            self._notice("the bus was started anew; some events are in the journal alone")
        elif batch.lost:
            self._notice(
                f"{batch.lost} events came faster than they could be shown; they are in the journal"
            )
