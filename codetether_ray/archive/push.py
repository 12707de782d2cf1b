"""Sends what the archive does not have yet of one folder. It can stop anywhere and go on later."""

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from codetether_ray.archive.cargo import Cargo, Changing, Growing, Item
from codetether_ray.archive.ledger import Kept, Ledger
from codetether_ray.archive.sending import is_there, send
from codetether_ray.archive.store import ObjectStore

_MANY_PIECES = 64
"""More pieces of one stream than this become one."""
_PIECE_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Pushed:
    """What one push sent."""

    objects: int = 0
    bytes: int = 0

    def __add__(self, other: "Pushed") -> "Pushed":
        return Pushed(objects=self.objects + other.objects, bytes=self.bytes + other.bytes)


Progress = Callable[[Kept], None]
"""Told of each thing that is now in the archive."""


class FolderPush:
    """One folder's push. Its lock (`ledger.turn`) is the caller's."""

    def __init__(
        self,
        store: ObjectStore,
        ledger: Ledger,
        progress: Progress,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store, self._ledger, self._progress = store, ledger, progress
        self._clock = clock
        self._done = Pushed()

    def push(self, cargo: Cargo) -> Pushed:
        """Send what is missing.

        Raises:
            ArchiveError: it stopped there; what was sent is noted.
        """
        for item in cargo.items:
            self._item(cargo.folder, item)
        for growing in cargo.growing:
            self._grow(cargo.folder, growing)
        self._tidy(cargo.folder)
        for changing in cargo.changing:
            self._replace(cargo.folder, changing)
        return self._done

    def check(self, cargo: Cargo) -> tuple[str, ...]:
        """Read everything back; what is missing or damaged there is sent again, and named.

        What was damaged and is not here any more stays named, and noted as kept.
        """
        damaged = []
        here = {name for item in cargo.items for name in item.names}
        for kept in tuple(self._ledger.kept.values()):
            if is_there(self._store, f"{cargo.folder}/{kept.name}", kept.sha256):
                continue
            damaged.append(kept.name)
            if kept.name in here or kept.name.startswith("tail/"):
                self._forget(cargo.folder, [kept.name])
        for changing in cargo.changing:
            self._ledger.mark(changing.name, "")
        self.push(cargo)
        return tuple(damaged)

    def _item(self, folder: str, item: Item) -> None:
        if not any(name in self._ledger.kept for name in item.names):
            self._send(folder, item.name, item.path, item.start, item.end)

    def _grow(self, folder: str, growing: Growing) -> None:
        done = self._reached(growing)
        while done < growing.end:
            data = _lines(growing.path, done - growing.first, growing.end - growing.first)
            if not data:
                break
            self._send(folder, growing.piece(done, done + len(data)), data, done, done + len(data))
            done += len(data)
        pieces = self._pieces(growing)
        if len(pieces) > _MANY_PIECES:
            self._merge(folder, growing, pieces)

    def _reached(self, growing: Growing) -> int:
        """Up to where the pieces of this file are there."""
        done = growing.first
        for kept in sorted(self._pieces(growing), key=lambda k: (k.start, k.end)):
            if kept.start > done:
                break
            done = max(done, kept.end)
        return done

    def _pieces(self, growing: Growing) -> list[Kept]:
        end = f"{growing.suffix}.jsonl"
        return [
            kept
            for name, kept in self._ledger.kept.items()
            if name.startswith(f"{growing.room}/")
            and name.endswith(end)
            and kept.end > growing.first
        ]

    def _merge(self, folder: str, growing: Growing, pieces: list[Kept]) -> None:
        end = max(kept.end for kept in pieces)
        data = _lines(growing.path, 0, end - growing.first)
        if len(data) != end - growing.first:
            return  # too big for one piece
        whole = growing.piece(growing.first, end)
        self._send(folder, whole, data, growing.first, end)
        self._forget(folder, [k.name for k in pieces if k.name != whole])

    def _tidy(self, folder: str) -> None:
        """Take pieces away that sealed segments have replaced."""
        sealed = 0
        for kept in sorted(self._ledger.kept.values(), key=lambda k: k.start):
            if not kept.name.startswith("tail/") and kept.end and kept.start <= sealed:
                sealed = max(sealed, kept.end)
        old = [k.name for k in self._ledger.pieces() if k.end <= sealed]
        if old:
            self._forget(folder, old)

    def _forget(self, folder: str, names: list[str]) -> None:
        self._store.delete([f"{folder}/{name}" for name in names])
        for name in names:
            self._ledger.drop(name)

    def _replace(self, folder: str, changing: Changing) -> None:
        digest = hashlib.sha256(changing.data).hexdigest()
        if self._ledger.marks.get(changing.name) == digest:
            return
        kept = send(
            self._store,
            f"{folder}/{changing.name}",
            changing.data,
            name=changing.name,
            replace=True,
            clock=self._clock,
        )
        self._ledger.mark(changing.name, digest)
        self._count(kept)

    def _send(self, folder: str, name: str, source: Path | bytes, start: int, end: int) -> None:
        kept = send(
            self._store,
            f"{folder}/{name}",
            source,
            name=name,
            start=start,
            end=end,
            clock=self._clock,
        )
        self._ledger.keep(kept)
        self._count(kept)

    def _count(self, kept: Kept) -> None:
        self._done += Pushed(objects=1, bytes=kept.size)
        self._progress(kept)


def _lines(path: Path, start: int, end: int) -> bytes:
    """Whole lines from `start` on, up to `end` and to what one piece may hold."""
    with path.open("rb") as file:
        file.seek(start)
        data = file.read(min(end - start, _PIECE_BYTES))
    return data[: data.rfind(b"\n") + 1]
