"""`archive.sync`: nothing is acknowledged before the archive has it.

The journal calls the gate after its flush and before its acknowledgement. While the archive is
away the run waits and says so; when that lasts too long it stops, and can be continued.
"""

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from codetether_ray.archive.ledger import Ledger
from codetether_ray.archive.patience import insist
from codetether_ray.archive.sending import send
from codetether_ray.archive.store import ObjectStore
from codetether_ray.core.errors import ArchiveError, JournalError

WAIT_S = 300.0


class NamedBytes(Protocol):
    """A blob: bytes and their SHA-256 in hex."""

    @property
    def digest(self) -> str:
        """The name."""
        ...

    @property
    def data(self) -> bytes:
        """The bytes."""
        ...


class Gate:
    """Sends what was just flushed; returns once the archive has it. One thread calls it."""

    def __init__(
        self,
        store: ObjectStore,
        data_dir: Path,
        *,
        tell: Callable[[str], None],
        before: Callable[[str], None] | None = None,
        wait_s: float = WAIT_S,
        wait: Callable[[float], bool] | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """`before` is called where lines name a snapshot: it sends the run's hub."""
        self._store = store
        self._data_dir = data_dir
        self._tell = tell
        self._before = before
        self._wait_s = wait_s
        self._wait = wait or _sleep
        self._now = now

    def __call__(self, run_id: str, start: int, data: bytes, blobs: Sequence[NamedBytes]) -> None:
        """Send blobs, then lines.

        Raises:
            JournalError: the archive stayed away, or refused; the lines are on this disk.
        """
        try:
            insist(
                lambda: self._send(run_id, start, data, blobs),
                for_s=self._wait_s,
                wait=self._wait,
                now=self._now,
                tell=lambda error: self._tell(
                    f"{error}; with `archive.sync` the run waits for it, "
                    f"{self._wait_s:.0f} s at most"
                ),
            )
        except ArchiveError as error:
            raise JournalError(
                f"{error}; with `archive.sync` nothing counts before the archive has it: the run "
                "stopped, and goes on when it is continued"
            ) from error

    def _send(self, run_id: str, start: int, data: bytes, blobs: Sequence[NamedBytes]) -> None:
        place = self._store.place
        open_ledger = Ledger.load if blobs else Ledger.blank
        ledger = open_ledger(self._data_dir, run_id, place)
        for blob in blobs:
            name = f"blobs/{blob.digest}"
            if name not in ledger.kept:
                ledger.keep(
                    send(self._store, f"{run_id}/{name}", blob.data, name=name, is_checked=False)
                )
        if self._before is not None and b'"snapshot":"' in data:
            self._before(run_id)
        end = start + len(data)
        name = f"tail/{start:020}-{end:020}-g{_generation(data)}.jsonl"
        ledger.keep(
            send(
                self._store,
                f"{run_id}/{name}",
                data,
                name=name,
                start=start,
                end=end,
                is_checked=False,
            )
        )


def _generation(data: bytes) -> int:
    """The writer of the first line."""
    try:
        return int(json.loads(data[: data.find(b"\n")])["gen"])
    except (ValueError, KeyError, TypeError) as error:
        raise ArchiveError(
            f"the journal gave bytes that are no line of its own: {error}"
        ) from error


def _sleep(pause_s: float) -> bool:
    time.sleep(pause_s)
    return True
