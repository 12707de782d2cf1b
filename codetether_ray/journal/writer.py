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
from codetether_ray.core.failpoints import hit
from codetether_ray.core.spec import Correlation
from codetether_ray.disk.ballast import Ballast
from codetether_ray.disk.files import RealDisk
from codetether_ray.disk.group import Told, borrow_committer, give_back
from codetether_ray.disk.quota import Quota
from codetether_ray.journal.compress import Compressor
from codetether_ray.journal.index import RunIndex
from codetether_ray.journal.lock import Holder, RunLock
from codetether_ray.journal.options import Options
from codetether_ray.journal.recovery import Recovered, recover
from codetether_ray.journal.segments import events_root, run_directory
from codetether_ray.journal.sink import RunSink
from codetether_ray.journal.stream import Chunk, Stream

_MEASURE_S = 60.0
"""How often the data directory is measured, where it has a quota."""


class RunWriter:
    """Appends to a run until `close`. One thread calls it; `told` is called in another."""

    def __init__(
        self,
        data_dir: Path,
        run_id: str,
        correlation: Correlation | None = None,
        options: Options | None = None,
    ) -> None:
        """Take the run over; it is made if it is new. It blocks while it reads the run.

        Raises:
            UnknownRunError: `run_id` has not the form of a run id.
            RunBusyError: another process writes this run.
            JournalCorruptError: the run's bytes are damaged.
            JournalError: the disk refused.
        """
        options = options or Options()
        disk = options.disk or RealDisk()
        correlation = correlation or Correlation(run_id=run_id)
        directory = run_directory(data_dir, run_id)
        care = _Care(data_dir, directory, options)
        self._lock = _lock(run_id, directory, options, care.tend)
        try:
            taken = recover(run_id, directory, disk, options.fetch)
            self._committer = borrow_committer(directory)
        except BaseException:
            self._lock.release()
            raise
        self._care = care
        self.index: RunIndex = taken.index
        """Holds the durable records only; the caller adds what `told` says is durable."""
        self._stream = Stream(
            position=taken.position,
            agent_seqs=taken.agent_seqs,
            generation=taken.generation,
            segment_bytes=options.segment_bytes,
            correlation=correlation,
            writer=_introduction(taken, self._lock.taken_from),
            clock=options.clock,
        )
        self._sink = RunSink(
            run_id=run_id,
            directory=directory,
            disk=disk,
            position=taken.position,
            generation=taken.generation,
            clock=options.clock,
            correlation=correlation,
            mirror=options.mirror,
            ballast=care.ballast,
            on_sealed=care.compress,
        )
        self._is_closed = False
        care.compress()
        if taken.zombies and options.warn is not None:
            options.warn(_zombie_sentence(run_id, taken))

    def add(self, records: Iterable[Record], chunk: Chunk | None = None) -> Chunk:
        """Number records, behind those of a chunk that was not submitted yet.

        Raises:
            JournalError: a record cannot be written, or the writer is closed.
        """
        if self._is_closed:
            raise JournalError("the journal is closed")
        return self._stream.add(records, chunk)

    def submit(self, chunk: Chunk, told: Told) -> None:
        """Hand a chunk to the writing thread; every chunk that was made, in order, once."""
        hit("journal.queued")
        self._committer.submit(self._sink, chunk, told)

    def close(self) -> None:
        """Write what waits and let go of the run. Idempotent. It blocks."""
        if self._is_closed:
            return
        self._is_closed = True
        give_back(self._committer)
        self._sink.close()
        self._care.close()
        self._lock.release()


class _Care:
    """What is done beside the writing: compressing, ballast, quota. Not on a caller's own disk."""

    def __init__(self, data_dir: Path, directory: Path, options: Options) -> None:
        is_ours = options.disk is None
        self.ballast = Ballast(data_dir / "ballast") if is_ours else None
        self._compressor = Compressor(directory, RealDisk()) if is_ours else None
        self._quota: Quota | None = None
        if options.quota_bytes and options.warn is not None:
            self._quota = Quota(events_root(data_dir), options.quota_bytes, options.warn)
        self._measured_at = float("-inf")

    def tend(self) -> None:
        """Called every two seconds or so, in a thread of its own."""
        if self.ballast is not None:
            self.ballast.fill()
        now = time.monotonic()
        if self._quota is not None and now - self._measured_at >= _MEASURE_S:
            self._measured_at = now
            self._quota.check()

    def compress(self) -> None:
        """There may be a segment to compress."""
        if self._compressor is not None:
            self._compressor.wake()

    def close(self) -> None:
        """Stop what goes on."""
        if self._compressor is not None:
            self._compressor.close()


def _lock(
    run_id: str, directory: Path, options: Options, on_renewal: Callable[[], None]
) -> RunLock:
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        return RunLock(run_id, directory, on_stale=options.on_stale, on_renewal=on_renewal)
    except OSError as error:
        raise JournalError(f"the journal of {run_id} cannot be opened: {error}") from error


def _introduction(taken: Recovered, taken_from: Holder | None) -> JsonObject:
    words: JsonObject = {
        "pid": os.getpid(),
        "host": socket.gethostname(),
        "program": __version__,
    }
    if taken.adopted:
        words["adopted"] = taken.adopted
    if taken.zombies:
        words["zombies"] = list(taken.zombies)
    if taken_from is not None:
        words["taken_from"] = {"pid": taken_from.pid, "since": taken_from.since}
    return words


def _zombie_sentence(run_id: str, taken: Recovered) -> str:
    total = sum(int(str(zombie["bytes"])) for zombie in taken.zombies)
    files = ", ".join(str(zombie["kept"]) for zombie in taken.zombies)
    return (
        f"a writer that had lost run {run_id} wrote {total} bytes more; nobody was told that they "
        f"count, and they are kept aside in {files}"
    )
