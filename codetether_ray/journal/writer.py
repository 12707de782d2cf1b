"""The one writer of a run: lock, recovery, stream and sink held together, without asyncio."""

import os
import socket
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from codetether_ray import __version__
from codetether_ray.core.codec import JsonObject
from codetether_ray.core.errors import JournalError
from codetether_ray.core.events import Record
from codetether_ray.core.spec import Correlation
from codetether_ray.disk.files import Disk, RealDisk
from codetether_ray.disk.group import Told, borrow_committer, give_back
from codetether_ray.journal.index import RunIndex
from codetether_ray.journal.lock import RunLock
from codetether_ray.journal.recovery import Recovered, recover
from codetether_ray.journal.segments import DEFAULT_SEGMENT_BYTES, run_directory
from codetether_ray.journal.sink import RunSink
from codetether_ray.journal.stream import Chunk, Stream


class RunWriter:
    """Appends to a run until `close`. One thread calls it; `told` is called in another."""

    def __init__(
        self,
        data_dir: Path,
        run_id: str,
        correlation: Correlation | None = None,
        *,
        segment_bytes: int = DEFAULT_SEGMENT_BYTES,
        disk: Disk | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Take the run over; it is made if it is new. It blocks while it reads the run.

        Raises:
            UnknownRunError: `run_id` has not the form of a run id.
            RunBusyError: another process writes this run.
            JournalCorruptError: the run's bytes are damaged.
            JournalError: the disk refused.
        """
        disk = disk or RealDisk()
        directory = run_directory(data_dir, run_id)
        self._lock = _lock(run_id, directory)
        try:
            taken = recover(run_id, directory, disk)
        except BaseException:
            self._lock.release()
            raise
        self.index: RunIndex = taken.index
        """Holds the durable records only; the caller adds what `told` says is durable."""
        self._stream = Stream(
            position=taken.position,
            agent_seqs=taken.agent_seqs,
            generation=taken.generation,
            segment_bytes=segment_bytes,
            correlation=correlation or Correlation(run_id=run_id),
            writer=_introduction(taken),
            clock=clock,
        )
        self._sink = RunSink(
            run_id=run_id,
            directory=directory,
            disk=disk,
            position=taken.position,
            generation=taken.generation,
            clock=clock,
        )
        self._committer = borrow_committer(directory)
        self._is_closed = False

    def submit(self, records: Iterable[Record], told: Told) -> Chunk:
        """Number records and hand them to the writing thread.

        Raises:
            JournalError: a record cannot be written, or the writer is closed.
        """
        if self._is_closed:
            raise JournalError("the journal is closed")
        chunk = self._stream.add(records)
        self._committer.submit(self._sink, chunk, told)
        return chunk

    def close(self) -> None:
        """Write what waits and let go of the run. Idempotent. It blocks."""
        if self._is_closed:
            return
        self._is_closed = True
        give_back(self._committer)
        self._sink.close()
        self._lock.release()


def _lock(run_id: str, directory: Path) -> RunLock:
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        return RunLock(run_id, directory)
    except OSError as error:
        raise JournalError(f"the journal of {run_id} cannot be opened: {error}") from error


def _introduction(taken: Recovered) -> JsonObject:
    words: JsonObject = {
        "pid": os.getpid(),
        "host": socket.gethostname(),
        "program": __version__,
    }
    return {**words, "adopted": taken.adopted} if taken.adopted else words
