"""Group commit: one thread per process and volume.

It takes everything that waits, writes and flushes each sink once, and only then tells the callers;
the next batch grows meanwhile, and a little longer where several agents write: each flush takes
the interpreter from the loop several times. It waits no longer once as much has come as came the
time before: then everybody writes again. Threads are lent: the last user's `give_back` ends one.
"""

import os
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, Protocol, TypeVar

C = TypeVar("C", contravariant=True)


class Sink(Protocol[C]):
    """A file, or a few, that one writer makes grow. Used by one thread at a time."""

    def commit(self, chunks: Sequence[C]) -> None:
        """Make chunks durable, in order; what it raises is told to whoever waits for them."""
        ...

    def mark(self) -> None:
        """Called when everybody was told; nobody waits for it."""
        ...


Told = Callable[[Sequence[Any], Exception | None], None]
"""Called in the thread with the chunks of one batch: durable, or why not."""

_Item = tuple[Sink[Any], Any, Told]
_PAUSE_S = 0.003
"""At most, between the flushes of a busy volume; whoever writes alone is not held up."""


class Committer:
    """A queue and the thread that empties it."""

    def __init__(self) -> None:
        self.users = 0
        self._queue: SimpleQueue[_Item | None] = SimpleQueue()
        self._wanted = 0
        """How many must wait to end the pause early; 0 while there is none."""
        self._enough = threading.Event()
        self._thread = threading.Thread(target=self._run, name="committer", daemon=True)
        self._thread.start()

    def submit(self, sink: Sink[C], chunk: C, told: Told) -> None:
        """Commit `chunk` soon and say so to `told`; chunks of one sink keep their order."""
        self._queue.put((sink, chunk, told))
        if self._wanted and self._queue.qsize() >= self._wanted:
            self._wanted = 0
            self._enough.set()

    def drain(self) -> None:
        """Return once everything submitted before this call is written, and marked."""
        passed = threading.Event()
        self._queue.put((_Barrier(), None, lambda *_: passed.set()))
        passed.wait()

    def stop(self) -> None:
        """Finish what waits, then end the thread."""
        self._queue.put(None)
        self._enough.set()
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
            is_busy = _commit([item for item in batch if item is not None])
            if is_open and is_busy:
                self._pause(len(batch))

    def _pause(self, wanted: int) -> None:
        """Let the next batch grow, until as many wait as in the last one."""
        self._enough.clear()
        self._wanted = wanted
        if self._queue.qsize() < wanted:
            self._enough.wait(_PAUSE_S)
        self._wanted = 0


class _Barrier:
    """A sink that takes nothing: whoever is told of it knows that those before it were told."""

    def commit(self, chunks: Sequence[None]) -> None:
        """Nothing to write."""

    def mark(self) -> None:
        """Nothing to note."""


def _commit(batch: list[_Item]) -> bool:
    """Commit a batch; whether a sink had several chunks, so that several write at once."""
    by_sink: dict[int, list[_Item]] = {}
    for item in batch:
        by_sink.setdefault(id(item[0]), []).append(item)
    for items in by_sink.values():
        sink, _, told = items[0]
        chunks = [chunk for _, chunk, _ in items]
        failure: Exception | None = None
        try:
            sink.commit(chunks)
        except Exception as error:  # noqa: BLE001 - told to its callers; the thread serves others
            failure = error
        told(chunks, failure)
        if failure is None:
            sink.mark()
    return any(len(items) > 1 for items in by_sink.values())


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
    """End one use once all that it submitted is written; the last one ends the thread, too."""
    committer.drain()
    with _lock:
        committer.users -= 1
        if committer.users:
            return
        for key, value in list(_committers.items()):
            if value is committer:
                del _committers[key]
    committer.stop()
