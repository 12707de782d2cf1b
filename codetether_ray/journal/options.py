"""How a run's journal is written: sizes, and who is asked or told."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from codetether_ray.disk.files import Disk
from codetether_ray.journal.blobs import Blob
from codetether_ray.journal.files import Fetch
from codetether_ray.journal.lock import OnStale
from codetether_ray.journal.segments import DEFAULT_SEGMENT_BYTES

Mirror = Callable[[str, int, bytes, Sequence[Blob]], None]
"""Called with a run, an offset of its stream, the bytes there and the blobs that they name, after
their flush and before anybody is told that they are durable. It blocks the writing thread; what it
raises is told to whoever waits, and ends the writer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What a writer is opened with. `clock` gives seconds since the epoch."""

    segment_bytes: int = DEFAULT_SEGMENT_BYTES
    disk: Disk | None = None
    """A disk of the caller's; then nothing happens but what is asked for: no compressing."""
    clock: Callable[[], float] = time.time
    on_stale: OnStale | None = None
    fetch: Fetch | None = None
    mirror: Mirror | None = None
    quota_bytes: int | None = None
    """Of all runs of the data directory together."""
    warn: Callable[[str], None] | None = None
    """Takes one sentence for a person; called in any thread."""
