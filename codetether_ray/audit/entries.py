"""What people read: an intent and its outcome as one entry, out of one file.

An outcome stands behind its intent, mostly near. Entries are held back until theirs comes; where
one is far (a session of hours), the rest of the file is searched once for all that wait. Memory is
bounded by that window, whatever the file's size.
"""

import json
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from codetether_ray.audit.members import INTENT, OWN
from codetether_ray.core.codec import JsonObject

UNKNOWN = "unknown"
"""The outcome of an intent that has none: nobody can say what became of it."""
_WINDOW = 5_000  # entries; about 5 MB

_IDS = ("run_id", "session_id", "swarm_id", "task_id", "okr_id", "okr_run_id", "relay_id")


@dataclass(frozen=True, slots=True)
class Entry:
    """One action: what was meant, and how it ended."""

    timestamp: str
    chain: str
    n: int
    data: JsonObject
    """As `audit list --json` prints it."""

    def __getitem__(self, name: str) -> Any:
        return self.data[name]


class _Pending:
    """An entry that is held back."""

    __slots__ = ("first", "is_settled", "last")

    def __init__(self, first: dict[str, Any]) -> None:
        self.first = first
        self.last: dict[str, Any] | None = None
        self.is_settled = False

    def settle(self, last: dict[str, Any] | None) -> None:
        self.last, self.is_settled = last, True

    def entry(self) -> Entry:
        return joined(self.first, self.last)


def joined(first: dict[str, Any], last: dict[str, Any] | None) -> Entry:
    """The entry of an intent's line and its outcome's (None: there is none)."""
    ended = last or {}
    data: JsonObject = {
        "id": first["id"],
        "timestamp": first["timestamp"],
        "category": first.get("category", ""),
        "action": first.get("action", ""),
        "resource": first.get("resource", ""),
        "principal": first.get("principal", ""),
        "outcome": ended.get("outcome", UNKNOWN),
        "detail": {**first.get("detail", {}), **ended.get("detail", {})},
        "duration_ms": ended.get("duration_ms"),
        **{name: first[name] for name in _IDS if first.get(name)},
    }
    return Entry(str(first["timestamp"]), str(first["chain"]), int(first["n"]), data)


def entries_of(path: Path, *, window: int = _WINDOW, holding: bytes = b"") -> Iterator[Entry]:
    """The entries of a file in the order of their intents; of lines that hold `holding` alone.

    Lines that cannot be read are passed over; `verify` names them. A file that is not there has no
    entries.
    """
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return
    with file:
        yield from _Joiner(file, window, holding).entries()


class _Joiner:
    """Joins lines of one open file."""

    def __init__(self, file: BinaryIO, window: int, holding: bytes) -> None:
        self._file = file
        self._holding = holding
        self._window = window
        self._queue: deque[_Pending] = deque()
        self._open: dict[str, _Pending] = {}
        self._used: set[str] = set()  # ids whose outcome was found ahead of its turn

    def entries(self) -> Iterator[Entry]:
        """All, in order."""
        for data in _read(self._file, self._holding):
            self._take(data)
            if len(self._queue) > self._window and not self._queue[0].is_settled:
                self._look_ahead()
            yield from self._ready()
        for pending in self._queue:
            yield pending.entry()

    def _take(self, data: dict[str, Any]) -> None:
        id = data["id"]
        if data.get("outcome") == INTENT:
            pending = self._open[id] = _Pending(data)
            self._queue.append(pending)
        elif id in self._open:
            self._open.pop(id).settle(data)
        elif id in self._used:
            self._used.discard(id)
        else:  # its intent is in a chain that was abandoned, or its line is lost
            pending = _Pending(data)
            pending.settle(data)
            self._queue.append(pending)

    def _look_ahead(self) -> None:
        here = self._file.tell()
        for data in _read(self._file, self._holding):
            pending = self._open.pop(data["id"], None)
            if pending is not None:
                pending.settle(data)
                self._used.add(data["id"])
                if not self._open:
                    break
        self._file.seek(here)
        for pending in self._open.values():
            pending.settle(None)
        self._open.clear()

    def _ready(self) -> Iterator[Entry]:
        while self._queue and self._queue[0].is_settled:
            yield self._queue.popleft().entry()


_OWN = f'"category":"{OWN}"'.encode()


def _read(file: BinaryIO, holding: bytes) -> Iterator[dict[str, Any]]:
    """The lines that say something of an action; `tell` is right between two of them."""
    while line := file.readline():
        data = said_of_action(line, holding)
        if data is not None:
            yield data


def said_of_action(line: bytes, holding: bytes) -> dict[str, Any] | None:
    """What a line (with its newline) says of an action; None where it says nothing of one, or does
    not hold `holding`."""
    if holding not in line or not line.endswith(b"\n") or _OWN in line:
        return None
    try:
        data = json.loads(line)
    except (ValueError, RecursionError):
        return None
    is_said = isinstance(data, dict) and {"id", "n", "chain", "timestamp"} <= data.keys()
    return data if is_said else None
