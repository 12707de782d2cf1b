"""Group commit: one thread per process and volume.

It takes everything that waits, writes and flushes each run once, and only then tells the callers;
the next batch grows meanwhile, and a little longer where several agents write: each flush takes
the interpreter from the loop several times. Threads are lent: the last user's `give_back` ends one.
"""

import os
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from queue import Empty, SimpleQueue

from codetether_ray.core.errors import JournalError
from codetether_ray.journal.sink import RunSink
from codetether_ray.journal.stream import Chunk

Told = Callable[[Sequence[Chunk], JournalError | None], None]
"""Called in the thread with the chunks of one batch: durable, or why not."""

_PAUSE_S = 0.003
"""Between the flushes of a busy journal; whoever writes alone is not held up."""


class Committer:
    """A queue and the thread that empties it."""

    def __init__(self) -> None:
        self.users = 0
        self._queue: SimpleQueue[tuple[RunSink, Chunk, Told] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)
        self._thread.start()

    def submit(self, sink: RunSink, chunk: Chunk, told: Told) -> None:
        """Commit `chunk` soon and say so to `told`; chunks of one sink keep their order."""
        self._queue.put((sink, chunk, told))

    def stop(self) -> None:
        """Finish what waits, then end the thread."""
        self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        is_open = True
        while is_open:
            batch = [self._queue.get()]
            try:
                while True:
                    batch.append(self._queue.get_nowait())
            except Empty:
                pass
            is_open = None not in batch
            _commit([item for item in batch if item is not None])
            if is_open and len(batch) > 1:
                time.sleep(_PAUSE_S)


def _commit(batch: list[tuple[RunSink, Chunk, Told]]) -> None:
    by_sink: dict[int, list[tuple[RunSink, Chunk, Told]]] = {}
    for item in batch:
        by_sink.setdefault(id(item[0]), []).append(item)
    for items in by_sink.values():
        sink, _, told = items[0]
        chunks = [chunk for _, chunk, _ in items]
        failure = None
        try:
            sink.commit(chunks)
        except JournalError as error:
            failure = error
        except Exception as error:  # noqa: BLE001 - the thread serves other runs too
            failure = JournalError(f"the journal's writer failed: {error!r}")
        told(chunks, failure)
        if failure is None:
            sink.mark()


_lock = threading.Lock()
_committers: dict[tuple[int, int], Committer] = {}


def borrow_committer(directory: Path) -> Committer:
    """This process's committer for the volume of `directory`."""
    key = (os.getpid(), directory.stat().st_dev)  # a forked child has none of its parent's threads
    with _lock:
        if key not in _committers:
            _committers[key] = Committer()
        committer = _committers[key]
        committer.users += 1
        return committer


def give_back(committer: Committer) -> None:
    """End one use; the last one waits until the thread has written everything and ended."""
    with _lock:
        committer.users -= 1
        if committer.users:
            return
        for key, value in list(_committers.items()):
            if value is committer:
                del _committers[key]
    committer.stop()
