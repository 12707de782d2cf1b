"""Puts chunks on the disk: blobs, then lines, one flush, the fence; then the mark. It blocks.

A failed write or flush is final. The kernel reports a lost page once and forgets it, so nothing is
tried again: the file is cut back to what was flushed, and whoever waits is told. Of a full disk the
run's last line says so.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from codetether_ray.core.codec import JsonObject
from codetether_ray.core.errors import JournalError
from codetether_ray.core.failpoints import hit
from codetether_ray.core.spec import Correlation
from codetether_ray.disk.ballast import Ballast, is_full
from codetether_ray.disk.files import AppendFile, Disk, write_all
from codetether_ray.journal.blobs import BLOBS, store_blob
from codetether_ray.journal.encode import control_members
from codetether_ray.journal.generation import generation_path
from codetether_ray.journal.lines import STOPPED, Position, frame
from codetether_ray.journal.mark import write_mark
from codetether_ray.journal.options import Mirror
from codetether_ray.journal.segments import open_name, sealed_name
from codetether_ray.journal.stream import Chunk, Roll


class RunSink:
    """The files that one writer of one run writes. Used by one thread at a time."""

    def __init__(
        self,
        *,
        run_id: str,
        directory: Path,
        disk: Disk,
        position: Position,
        generation: int,
        clock: Callable[[], float],
        correlation: Correlation | None = None,
        mirror: Mirror | None = None,
        ballast: Ballast | None = None,
        on_sealed: Callable[[], None] = lambda: None,
    ) -> None:
        """Go on behind `position`, in a new segment that the first commit makes."""
        self._correlation = correlation or Correlation(run_id=run_id)
        self._mirror = mirror
        self._ballast = ballast
        self._on_sealed = on_sealed
        self._run_id = run_id
        self._directory = directory
        self._disk = disk
        self._generation = generation
        self._clock = clock
        self._durable = position
        self._start = position.off
        self._path: Path | None = None
        self._file: AppendFile | None = None
        self._is_named = False
        self._is_rooted = False
        self._turn = 0
        self._failure: JournalError | None = None

    def commit(self, chunks: Sequence[Chunk]) -> None:
        """Make chunks durable, in order.

        Raises:
            JournalError: none of them is; from then on every call raises.
        """
        if self._failure is not None:
            raise self._failure
        try:
            self._write(chunks)
        except OSError as error:
            self._failure = JournalError(self._sentence(error))
            self._stop(error)
            raise self._failure from error
        except JournalError as error:  # replaced before its first byte
            self._failure = error
            raise
        if self._mirror is not None:
            self._copy_to(self._mirror, chunks)
        if self._is_superseded():
            self._failure = self._replaced()
            raise self._failure
        hit("journal.fenced")
        self._durable = chunks[-1].end

    def mark(self) -> None:
        """Note how far the stream is flushed; nobody needs to wait for that."""
        with suppress(OSError):  # the mark is a lower bound: one that is not written is only older
            write_mark(self._disk, self._directory, self._durable, self._turn)
            hit("journal.marked")
        self._turn += 1

    def close(self) -> None:
        """Close the open segment's file."""
        if self._file is not None:
            with suppress(OSError):
                self._file.close()
            self._file = None

    def _write(self, chunks: Sequence[Chunk]) -> None:
        self._write_blobs(chunks)
        waiting: list[bytes] = []
        for chunk in chunks:
            for piece in chunk.pieces:
                if isinstance(piece, Roll):
                    self._flush(waiting)
                    self._seal(piece.end)
                else:
                    waiting.append(piece)
        self._flush(waiting)
        if not self._is_named:
            self._name()

    def _name(self) -> None:
        """Make the segment's name durable, and the first time those of the directories above."""
        self._disk.sync_directory(self._directory)
        if not self._is_rooted:
            for above in self._directory.parents[:2]:  # `events`, and the data directory
                self._disk.sync_directory(above)
            self._is_rooted = True
        self._is_named = True
        hit("journal.named")

    def _write_blobs(self, chunks: Sequence[Chunk]) -> None:
        blobs = [blob for chunk in chunks for blob in chunk.blobs]
        for blob in blobs:
            store_blob(self._disk, self._directory, blob)
        if blobs:
            self._disk.sync_directory(self._directory / BLOBS)
            self._disk.sync_directory(self._directory)
            hit("blob.named")

    def _flush(self, waiting: list[bytes]) -> None:
        if self._file is None:
            self._begin()
        assert self._file is not None
        write_all(self._file, b"".join(waiting))
        waiting.clear()
        hit("journal.written")
        self._file.sync()
        hit("journal.flushed")

    def _begin(self) -> None:
        """Make the segment.

        The fence comes between the making and the first byte: a taker that raises the generation
        later sees this file, so that one with bytes in it is never found beside the taker's own.
        """
        self._path = self._directory / open_name(self._start, self._clock())
        self._file = self._disk.create(self._path)
        self._is_named = False
        if self._is_superseded():
            self.close()
            self._path.unlink(missing_ok=True)
            raise self._replaced()

    def _seal(self, end: int) -> None:
        """Give the segment its final name; the next flush makes a new one.

        A replaced writer does not: the taker names what it read of it.
        """
        assert self._path is not None, "a flush came before"
        self.close()
        if self._is_superseded():
            raise self._replaced()
        self._disk.rename(self._path, self._path.with_name(sealed_name(self._path.name, end)))
        hit("seal.renamed")
        self._path = None
        self._start = end
        self._is_named = False
        self._on_sealed()

    def _replaced(self) -> JournalError:
        return JournalError(f"another process took over run {self._run_id}; this one must stop")

    def _is_superseded(self) -> bool:
        return self._disk.exists(generation_path(self._directory, self._generation + 1))

    def _copy_to(self, mirror: Mirror, chunks: Sequence[Chunk]) -> None:
        """Give what was flushed to the mirror; nothing counts before it has that."""
        data = b"".join(p for chunk in chunks for p in chunk.pieces if not isinstance(p, Roll))
        blobs = [blob for chunk in chunks for blob in chunk.blobs]
        try:
            mirror(self._run_id, self._durable.off, data, blobs)
        except Exception as error:
            self._failure = JournalError(str(error))
            self.close()
            raise self._failure from error
        hit("journal.mirrored")

    def _stop(self, error: OSError) -> None:
        """Take unflushed bytes off, so that nobody who opens the run next builds on them."""
        if self._file is not None and not self._is_superseded():
            with suppress(OSError):
                self._cut_back(self._file)
                if is_full(error):
                    self._say_why(self._file)
        self.close()

    def _cut_back(self, file: AppendFile) -> None:
        file.truncate(max(self._durable.off - self._start, 0))

    def _say_why(self, file: AppendFile) -> None:
        """Record why the run stopped, in the room that was held back for that."""
        if self._durable.off < self._start:  # the flushed end is in the segment before
            return
        if self._ballast is not None:
            self._ballast.release()
        payload: JsonObject = {"reason": str(self._failure)}
        text = control_members(STOPPED, self._correlation, self._clock(), payload)
        try:
            write_all(file, frame(self._durable, self._generation, text))
            file.sync()
        except OSError:
            self._cut_back(file)
            raise

    def _sentence(self, error: OSError) -> str:
        where = f"the journal of {self._run_id} in {self._directory}"
        if is_full(error):
            return f"the disk is full: {where} cannot grow; make room and continue the run"
        reason = error.strerror or str(error)
        return f"{where} could not be written ({reason}); continue the run when the disk is well"
