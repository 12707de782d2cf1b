"""The journal of one run, in this process."""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path

from codetether_ray.core.errors import JournalError
from codetether_ray.core.events import Record
from codetether_ray.core.failpoints import hit
from codetether_ray.core.spec import Correlation
from codetether_ray.disk.files import Disk
from codetether_ray.journal.files import Fetch
from codetether_ray.journal.lock import OnStale
from codetether_ray.journal.options import Mirror, Options
from codetether_ray.journal.segments import DEFAULT_SEGMENT_BYTES
from codetether_ray.journal.stream import Chunk
from codetether_ray.journal.writer import RunWriter

QUEUE_BYTES = 16 * 1024 * 1024


class LocalJournal:
    """The one writer of a run: `open` takes it over, `close` lets go.

    Appends of many coroutines share a flush; those of one turn of the loop are handed over
    together. A record counts as written, and is seen by `read`, once it is on disk; a caller that
    is cancelled while it waits may find its records written.
    """

    def __init__(self, run_id: str, writer: RunWriter, queue_bytes: int = QUEUE_BYTES) -> None:
        """Wrap a writer; use `open`."""
        self._queue_bytes = queue_bytes
        self._queued = 0
        """Bytes that were submitted and are not on disk."""
        self._held_up: deque[asyncio.Future[None]] = deque()
        self.run_id = run_id
        self._writer = writer
        self._loop = asyncio.get_running_loop()
        self._gathered: Chunk | None = None
        """What this turn of the loop appended; it is handed over in the next."""
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
        on_stale: OnStale | None = None,
        fetch: Fetch | None = None,
        mirror: Mirror | None = None,
        quota_bytes: int | None = None,
        warn: Callable[[str], None] | None = None,
        queue_bytes: int = QUEUE_BYTES,
    ) -> "LocalJournal":
        """Take over a run, or begin a new one; `correlation` marks the journal's own lines.

        A holder on this machine that gives no sign of life is ended, and `on_stale` told in
        another thread, before the run is read. `fetch` gets what only the archive still holds;
        `mirror` is given each batch before it counts. `warn` is called in this loop, with a
        sentence for a person: of `quota_bytes` (all runs together) nearly used, say. An append
        waits while more than `queue_bytes` are not yet on disk.

        Raises:
            UnknownRunError: `run_id` has not the form of a run id.
            RunBusyError: another process writes this run.
            JournalCorruptError: the run's bytes are damaged.
            JournalError: the disk refused.
        """
        loop = asyncio.get_running_loop()

        def tell(sentence: str) -> None:
            if warn is not None and not loop.is_closed():
                loop.call_soon_threadsafe(warn, sentence)

        options = Options(
            segment_bytes=segment_bytes,
            disk=disk,
            clock=clock,
            on_stale=on_stale,
            fetch=fetch,
            mirror=mirror,
            quota_bytes=quota_bytes,
            warn=tell,
        )
        writer = await asyncio.to_thread(RunWriter, data_dir, run_id, correlation, options)
        return cls(run_id, writer, queue_bytes)

    async def append(self, records: Sequence[Record]) -> tuple[Record, ...]:
        """Number records and return them once they are on disk."""
        if not records:
            return ()
        if self._queued >= self._queue_bytes or self._held_up:
            await self._wait_for_room()
        try:
            done = self._gather(records)
        finally:
            if self._held_up:
                self._let_in()
        return await done

    def _gather(self, records: Sequence[Record]) -> "asyncio.Future[tuple[Record, ...]]":
        """Add records to what this turn of the loop hands over."""
        if self._closing is not None:
            raise JournalError("the journal is closed")
        chunk = self._gathered
        begin, size = (0, 0) if chunk is None else (len(chunk.records), chunk.size)
        chunk = self._writer.add(records, chunk)
        if self._gathered is None:
            self._gathered = chunk
            self._loop.call_soon(self._hand_over)
        self._queued += chunk.size - size
        done: asyncio.Future[tuple[Record, ...]] = self._loop.create_future()
        chunk.waiters.append((done, begin, len(chunk.records)))
        return done

    def _hand_over(self) -> None:
        chunk, self._gathered = self._gathered, None
        if chunk is not None:
            self._writer.submit(chunk, self._told)

    async def read(self, agent: str | None = None) -> tuple[Record, ...]:
        """All durable records, or one agent's, in order."""
        places = self._writer.index.places(agent)
        if not places:
            return ()
        return await asyncio.to_thread(self._writer.index.read, places)

    async def close(self) -> None:
        """Write what waits and let go of the run. Idempotent."""
        if self._closing is None:
            self._hand_over()
            self._closing = asyncio.ensure_future(asyncio.to_thread(self._writer.close))
        await asyncio.shield(self._closing)

    def _told(self, chunks: Sequence[Chunk], failure: Exception | None) -> None:
        """In the writing thread: pass a batch's outcome on to the loop."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._settle, chunks, failure)

    def _settle(self, chunks: Sequence[Chunk], failure: Exception | None) -> None:
        for chunk in chunks:
            self._queued -= chunk.size
            if failure is None:
                self._writer.index.add(chunk.agents, chunk.spans)
            for done, begin, end in chunk.waiters:
                if done.done():
                    continue
                if failure is None:
                    done.set_result(tuple(chunk.records[begin:end]))
                    hit("journal.acked")
                else:
                    done.set_exception(_as_journal_error(failure))
        self._let_in()

    async def _wait_for_room(self) -> None:
        """Wait, in order of arrival, until less than `queue_bytes` are on their way."""
        turn: asyncio.Future[None] = self._loop.create_future()
        self._held_up.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn in self._held_up:
                self._held_up.remove(turn)
            else:  # its turn had come: the next one's it is
                self._let_in()
            raise

    def _let_in(self) -> None:
        """Wake the first that waits; it wakes the next when it has submitted, or is told."""
        while self._held_up and self._queued < self._queue_bytes:
            turn = self._held_up.popleft()
            if not turn.done():
                turn.set_result(None)
                return


def _as_journal_error(failure: Exception) -> JournalError:
    """A new one for each caller: an exception that is raised twice drags its tracebacks along."""
    if isinstance(failure, JournalError):
        return JournalError(*failure.args)
    return JournalError(f"the journal's writer failed: {failure!r}")
