"""Opens a run's journal as the settings want it, and keeps what it has to tell a person."""

import asyncio
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from codetether_ray.config.settings import load_settings
from codetether_ray.core.spec import Correlation
from codetether_ray.journal.files import Fetch
from codetether_ray.journal.lock import Holder
from codetether_ray.journal.options import Mirror
from codetether_ray.local.journal import LocalJournal
from codetether_ray.sandbox.leftovers import end_leftovers

if TYPE_CHECKING:
    from codetether_ray.bootstrap.archiving.pusher import Pusher

Say = Callable[[str], None]


class Notices:
    """Sentences for whoever listens; kept until somebody does. Any thread may tell one."""

    def __init__(self) -> None:
        self._kept: list[str] = []
        self._say: Say | None = None

    def tell(self, sentence: str) -> None:
        """Say it, or keep it."""
        if self._say is None:
            self._kept.append(sentence)
        else:
            self._say(sentence)

    def listen(self, say: Say) -> None:
        """Take what was kept, and all that comes (from the loop of the journal)."""
        self._say = say
        kept, self._kept = self._kept, []
        for sentence in kept:
            say(sentence)


async def open_run_journal(
    data_dir: Path, correlation: Correlation, notices: Notices
) -> LocalJournal:
    """The run's journal, to be written by this process alone.

    A silent writer is ended first, with all the tool processes that it left.

    Raises:
        RunBusyError: another process writes it.
        JournalError: it cannot be written.
        CodetetherError: the settings are wrong, or the archive's keys cannot be had.
    """
    settings = await asyncio.to_thread(load_settings, data_dir, os.environ)
    fetch: Fetch | None = None
    mirror: Mirror | None = None
    if settings.archive.bucket is not None:
        from codetether_ray.bootstrap.archiving.opening import fetcher, gate, must_open

        fetch = await asyncio.to_thread(fetcher, settings)
        if settings.archive.sync:
            store = await asyncio.to_thread(must_open, settings)
            mirror = gate(store, data_dir, partial(_tell_in, asyncio.get_running_loop(), notices))

    def taken_over(run_id: str, holder: Holder) -> None:
        left = end_leftovers(run_id)
        tools = f", and {left} of its tool processes" if left else ""
        notices.tell(f"taken over from {holder}, which was silent; it was ended{tools}")

    return await LocalJournal.open(
        data_dir,
        correlation.run_id,
        correlation,
        on_stale=taken_over,
        fetch=fetch,
        mirror=mirror,
        quota_bytes=settings.journal.quota_bytes,
        warn=notices.tell,
    )


def open_pusher(data_dir: Path, run_id: str, notices: Notices) -> "Pusher | None":
    """What sends runs, `run_id` first, in the background; None where there is no archive.

    From an event loop, in which `notices` are told where it begins to fail.
    """
    settings = load_settings(data_dir, os.environ)
    if settings.archive.bucket is None:
        return None
    from codetether_ray.bootstrap.archiving.pusher import start_pusher

    tell = partial(_tell_in, asyncio.get_running_loop(), notices)
    return start_pusher(data_dir, settings, run_id=run_id, tell=tell)


def _tell_in(loop: asyncio.AbstractEventLoop, notices: Notices, sentence: str) -> None:
    """Tell from the writing thread."""
    if not loop.is_closed():
        loop.call_soon_threadsafe(notices.tell, sentence)
