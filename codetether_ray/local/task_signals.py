"""Signals are handed to a callback, each in a task of its own, so that none waits for another."""

import asyncio
import logging

from codetether_ray.ports.task_channel import OnSignal, Signal

_log = logging.getLogger(__name__)


class Attending:
    """Whom one channel tells of signals: nobody, or one callback."""

    def __init__(self) -> None:
        self.on_signal: OnSignal | None = None
        self._handling: set[asyncio.Task[None]] = set()

    def tell(self, task_id: str, word: Signal) -> None:
        """Have the callback called soon."""
        if self.on_signal is None:
            return
        task = asyncio.create_task(_handle(self.on_signal, task_id, word), name="signal")
        self._handling.add(task)
        task.add_done_callback(self._handling.discard)

    async def close(self) -> None:
        """Tell nobody any more; what is being handled is given up."""
        self.on_signal = None
        for task in self._handling:
            task.cancel()
        await asyncio.gather(*self._handling, return_exceptions=True)


async def _handle(on_signal: OnSignal, task_id: str, word: Signal) -> None:
    try:
        await on_signal(task_id, word)
    except Exception:  # noqa: BLE001 - a broken callback must not end the channel
        _log.exception("the signal %s to task %s could not be followed", word, task_id)
