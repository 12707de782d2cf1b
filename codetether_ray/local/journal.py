"""The journal of one run, in this process."""

import asyncio
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from codetether_ray.core.errors import JournalError
from codetether_ray.core.events import Record
from codetether_ray.core.spec import Correlation
from codetether_ray.disk.files import Disk
from codetether_ray.journal.segments import DEFAULT_SEGMENT_BYTES
from codetether_ray.journal.stream import Chunk
from codetether_ray.journal.writer import RunWriter


class LocalJournal:
    """The one writer of a run: `open` takes it over, `close` lets go.

    Appends of many coroutines share a flush. A record counts as written, and is seen by `read`,
    once it is on disk; a caller that is cancelled while it waits may find its records written.
    """

    def __init__(self, run_id: str, writer: RunWriter) -> None:
        """Wrap a writer; use `open`."""
        self.run_id = run_id
        self._writer = writer
        self._loop = asyncio.get_running_loop()
        self._waiting: dict[int, asyncio.Future[tuple[Record, ...]]] = {}
        self._closing: asyncio.Task[None] | None = None

    @classmethod
    async def open(
        cls,
        data_dir: Path,
        run_id: str,
        correlation: Correlation | None = None,
        *,
        segment_bytes: int = DEFAULT_SEGMENT_BYTES,
        disk: Disk | None = None,
        clock: Callable[[], float] = time.time,
    ) -> "LocalJournal":
        """Take over a run, or begin a new one; `correlation` marks the journal's own lines.

        Raises:
            UnknownRunError: `run_id` has not the form of a run id.
            RunBusyError: another process writes this run.
            JournalCorruptError: the run's bytes are damaged.
            JournalError: the disk refused.
        """
        writer = await asyncio.to_thread(
            RunWriter,
            data_dir,
            run_id,
            correlation,
            segment_bytes=segment_bytes,
            disk=disk,
            clock=clock,
        )
        return cls(run_id, writer)

    async def append(self, records: Sequence[Record]) -> tuple[Record, ...]:
        """Number records and return them once they are on disk."""
        if not records:
            return ()
        chunk = self._writer.submit(records, self._told)
        done: asyncio.Future[tuple[Record, ...]] = self._loop.create_future()
        self._waiting[id(chunk)] = done
        return await done

    async def read(self, agent: str | None = None) -> tuple[Record, ...]:
        """All durable records, or one agent's, in order."""
        places = self._writer.index.places(agent)
        if not places:
            return ()
        return await asyncio.to_thread(self._writer.index.read, places)

    async def close(self) -> None:
        """Write what waits and let go of the run. Idempotent."""
        if self._closing is None:
            self._closing = asyncio.ensure_future(asyncio.to_thread(self._writer.close))
        await asyncio.shield(self._closing)

    def _told(self, chunks: Sequence[Chunk], failure: Exception | None) -> None:
        """In the writing thread: pass a batch's outcome on to the loop."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._settle, chunks, failure)

    def _settle(self, chunks: Sequence[Chunk], failure: Exception | None) -> None:
        for chunk in chunks:
            if failure is None:
                self._writer.index.add_all(chunk.places)
            done = self._waiting.pop(id(chunk), None)
            if done is None or done.done():
                continue
            if failure is None:
                done.set_result(tuple(chunk.records))
            else:
                done.set_exception(_as_journal_error(failure))


def _as_journal_error(failure: Exception) -> JournalError:
    """A new one for each caller: an exception that is raised twice drags its tracebacks along."""
    if isinstance(failure, JournalError):
        return JournalError(*failure.args)
    return JournalError(f"the journal's writer failed: {failure!r}")
