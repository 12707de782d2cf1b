"""Ends work early and cleanly: Ctrl-C, SIGTERM, and the end of `--max-time`."""

import asyncio
import os
import signal
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

import click

from codetether_ray.bootstrap.resuming import resume_command
from codetether_ray.cli import exit_codes
from codetether_ray.core.events import Record, RunStarted

T = TypeVar("T")
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stopper(Generic[T]):
    """Runs one piece of work. The first signal cancels it, the second ends the process at once.

    `reason` tells why it was cancelled: `interrupted`, `max_time`, or nothing.
    """

    def __init__(self, say: Callable[[str], None], max_time_s: float | None = None) -> None:
        self.reason = ""
        self._say = say
        self._max_time_s = max_time_s
        self._task: asyncio.Task[T] | None = None
        self._go_on = ""

    def saw(self, record: Record) -> None:
        """Note from a run's records how to go on with it: who ends at once is told that alone."""
        if isinstance(record.event, RunStarted):
            self._go_on = resume_command(record.event.kind, record.correlation.run_id)

    async def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Await `work`, which may be cancelled meanwhile and still give a result.

        Raises:
            click.exceptions.Exit: it was cancelled and has none: nothing had begun yet.
        """
        loop = asyncio.get_running_loop()
        self._task = loop.create_task(work)
        self.watch()
        alarm = loop.call_later(self._max_time_s, self._time_is_over) if self._max_time_s else None
        try:
            return await self._task
        except asyncio.CancelledError:
            if not self.reason:
                raise
            self._say("stopped before anything had begun")
            raise click.exceptions.Exit(self.exit_code(exit_codes.INTERRUPTED)) from None
        finally:
            if alarm is not None:
                alarm.cancel()
            for number in _SIGNALS:
                loop.remove_signal_handler(number)

    def watch(self) -> None:
        """Take the signals (again: a library may have put its own handlers in place)."""
        loop = asyncio.get_running_loop()
        for number in _SIGNALS:
            loop.add_signal_handler(number, self._signalled)

    def exit_code(self, otherwise: int) -> int:
        """The exit code, where the work was cut short."""
        codes = {"interrupted": exit_codes.INTERRUPTED, "max_time": exit_codes.MAX_TIME}
        return codes.get(self.reason, otherwise)

    def _signalled(self) -> None:
        if self.reason == "interrupted":
            if self._go_on:
                self._say(f"ended at once; what was finished is kept; go on with: {self._go_on}")
            os._exit(exit_codes.INTERRUPTED)
        self._cancel("interrupted", "stopping; once more ends at once")

    def _time_is_over(self) -> None:
        self._cancel("max_time", f"--max-time of {self._max_time_s:g} s is over; stopping")

    def _cancel(self, reason: str, sentence: str) -> None:
        if not self.reason:
            self.reason = reason
            self._say(sentence)
            if self._task is not None:
                self._task.cancel()
        elif reason == "interrupted":
            self.reason = reason
