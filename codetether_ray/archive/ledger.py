"""What of a run the archive has, as far as this machine knows: one small file of lines a run.

    <data>/archive/<hash of the place>/<run>.jsonl

Each line is one fact, appended when it became true; a torn last line is a fact that is found out
again. Nothing is deleted here before its line is flushed. What one place has says nothing of
another: with another bucket, prefix or endpoint everything is sent anew.
"""

import fcntl
import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOM = "archive"
"""Directory below the data directory."""
_PLACE = "place"
_NOWHERE = "nowhere"


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """Something that was read back from the archive and was right. `at` is Unix time.

    `start` and `end` are offsets in a stream that grows, and 0 for what does not.
    """

    name: str
    sha256: str
    size: int
    at: float
    start: int = 0
    end: int = 0


@dataclass(slots=True)
class Ledger:
    """The facts of one folder of the archive: a run, or the audit log."""

    path: Path
    place: str
    """Where the archive is, for people."""
    kept: dict[str, Kept] = field(default_factory=dict)
    """By name."""
    gone: set[str] = field(default_factory=set)
    """Names whose local file was deleted because the archive has it."""
    marks: dict[str, str] = field(default_factory=dict)
    """Other facts: the tips of the hub that were sent, the manifest's digest."""

    @classmethod
    def load(cls, data_dir: Path, folder: str, place: str | None) -> "Ledger":
        """Read a folder's file; an empty one if there is none, or no archive (None)."""
        self = cls.blank(data_dir, folder, place or _NOWHERE)
        for fact in _facts(self.path):
            self._take(fact)
        return self

    @classmethod
    def blank(cls, data_dir: Path, folder: str, place: str) -> "Ledger":
        """A folder's ledger, not read: enough to append to it."""
        room = data_dir / ROOM / hashlib.sha256(place.encode()).hexdigest()[:16]
        return cls(room / f"{folder}.jsonl", place)

    @classmethod
    def everywhere(cls, data_dir: Path, folder: str) -> tuple["Ledger", ...]:
        """A folder's ledgers of all places that it was ever sent to."""
        named = sorted((data_dir / ROOM).glob(f"*/{_PLACE}"))
        found = [cls.load(data_dir, folder, path.read_text("utf-8")) for path in named]
        return tuple(ledger for ledger in found if ledger.kept or ledger.marks)

    def settled_at(self) -> int:
        """What `settle` was told last; 0 if never, or not since this place is the archive."""
        try:
            return self._settled().stat().st_mtime_ns
        except FileNotFoundError:
            return 0

    def settle(self, moment_ns: int) -> None:
        """Note that the archive has all that had changed here up to a moment (Unix, ns)."""
        self._make_room()
        self._settled().touch(mode=0o600)
        os.utime(self._settled(), ns=(moment_ns, moment_ns))

    def unsettle(self) -> None:
        """Look again, whatever the times of files say."""
        self._settled().unlink(missing_ok=True)

    def keep(self, kept: Kept) -> None:
        """Note that something is in the archive."""
        self._append({"kept": _as_json(kept)})

    def drop(self, name: str) -> None:
        """Note that the archive has something no longer, because something better is there."""
        self._append({"dropped": name})

    def mark(self, name: str, value: str) -> None:
        """Note another fact."""
        self._append({"mark": name, "value": value})

    def note_gone(self, names: list[str]) -> None:
        """Note, flushed, that local files are about to be deleted."""
        self._append({"gone": names}, is_flushed=True)

    def note_back(self) -> None:
        """Note that everything is here again."""
        self._append({"back": True})

    def covered(self, others: Iterable[tuple[int, int]] = ()) -> int:
        """Up to which offset of the stream the archive has every byte; `others` count as there."""
        end = 0
        for first, last in sorted([*((k.start, k.end) for k in self.kept.values()), *others]):
            if first > end:
                break
            end = max(end, last)
        return end

    def pieces(self) -> list[Kept]:
        """The pieces of a stream that are there until something sealed replaces them."""
        return [k for name, k in self.kept.items() if name.startswith("tail/")]

    def _append(self, fact: dict[str, Any], *, is_flushed: bool = False) -> None:
        self._make_room()
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        with os.fdopen(os.open(self.path, flags, 0o600), "r+b") as file:
            torn = b"" if _ends_well(file) else b"\n"
            file.write(torn + json.dumps(fact).encode() + b"\n")
            if is_flushed:
                file.flush()
                os.fsync(file.fileno())
        self._take(fact)

    def _settled(self) -> Path:
        return self.path.with_suffix(".settled")

    def _make_room(self) -> None:
        room = self.path.parent
        if not (room / _PLACE).exists():
            room.mkdir(mode=0o700, parents=True, exist_ok=True)
            draft = room / f".{_PLACE}.{os.getpid()}"
            draft.write_text(self.place, encoding="utf-8")
            draft.replace(room / _PLACE)

    def _take(self, fact: dict[str, Any]) -> None:
        if "kept" in fact:
            kept = Kept(**fact["kept"])
            self.kept[kept.name] = kept
        elif "dropped" in fact:
            self.kept.pop(fact["dropped"], None)
        elif "mark" in fact:
            self.marks[fact["mark"]] = fact["value"]
        elif "gone" in fact:
            self.gone.update(fact["gone"])
        elif "back" in fact:
            self.gone.clear()


@contextmanager
def turn(data_dir: Path, folder: str) -> Iterator[bool]:
    """Hold a folder of the archive against other pushers; False where another holds it."""
    path = data_dir / ROOM / f"{folder}.lock"
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        yield False
    else:
        yield True
    finally:
        os.close(descriptor)


def _facts(path: Path) -> Iterator[dict[str, Any]]:
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return
    for line in data.split(b"\n"):
        try:
            fact = json.loads(line)
        except ValueError:
            continue
        if isinstance(fact, dict):
            yield fact


def _ends_well(file: Any) -> bool:
    size = file.seek(0, os.SEEK_END)
    if size == 0:
        return True
    file.seek(-1, os.SEEK_END)
    return bool(file.read(1) == b"\n")


def _as_json(kept: Kept) -> dict[str, Any]:
    return {name: getattr(kept, name) for name in Kept.__dataclass_fields__}
