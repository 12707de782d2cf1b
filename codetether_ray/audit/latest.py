"""The newest entries of one file, read from its end: what is older is looked at, and not parsed.

A clock may have gone back while the file was written. So what was not parsed is looked through for
intents that are as new as those found; where there is one, the whole file is read after all.
"""

import heapq
import os
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO

from codetether_ray.audit import members
from codetether_ray.audit.entries import Entry, entries_of, joined, said_of_action

_BLOCK = 1 << 18
_SLACK_S = 2.0
"""Between the times of actions that began at once, whose lines were written in another order."""
_ID, _TIME = b'"id":"', b'"timestamp":"'
_TIME_BYTES = len("2026-11-22T20:03:13.123456Z")
_Found = list[tuple[str, str, int, Entry]]


def latest_of(
    path: Path, is_wanted: Callable[[Entry], bool], limit: int, *, holding: bytes = b""
) -> list[Entry]:
    """The newest `limit` entries of a file that are wanted, in no order.

    A file that is not there has no entries; of lines that hold `holding` alone.
    """
    if limit < 1:
        return []
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return []
    with file:
        found = _FromEnd(file, is_wanted, limit, holding).entries()
    if found is None:
        kept: _Found = []
        for entry in entries_of(path, holding=holding):
            if is_wanted(entry):
                keep_newest(kept, entry, limit)
        found = [entry for *_, entry in kept]
    return found


def keep_newest(found: _Found, entry: Entry, limit: int) -> None:
    """Keep an entry in the heap `found` if it is one of the newest `limit`."""
    item = (entry.timestamp, entry.chain, entry.n, entry)
    if len(found) < limit:
        heapq.heappush(found, item)
    elif found and item[:3] > found[0][:3]:
        heapq.heapreplace(found, item)


class _FromEnd:
    """Reads one open file from its end."""

    def __init__(
        self, file: BinaryIO, is_wanted: Callable[[Entry], bool], limit: int, holding: bytes
    ) -> None:
        self._file, self._is_wanted = file, is_wanted
        self._limit, self._holding = limit, holding
        self._found: _Found = []
        self._outcomes: dict[str, list[dict[str, Any]]] = {}
        """Lines whose intents stand before them: the first one last."""

    def entries(self) -> list[Entry] | None:
        """The newest; None where the file must be read as a whole."""
        for start, line in _backwards(self._file):
            data = said_of_action(line, self._holding)
            if data is None:
                continue
            if data.get("outcome") == members.INTENT:
                self._keep(self._ended(data))
                if self._is_enough(str(data["timestamp"])):
                    if not self._may_skip(start):
                        return None
                    break
            else:
                self._outcomes.setdefault(data["id"], []).append(data)
        for alone in (line for lines in self._outcomes.values() for line in lines):
            self._keep(joined(alone, alone))
        return [entry for *_, entry in self._found]

    def _keep(self, entry: Entry) -> None:
        if self._is_wanted(entry):
            keep_newest(self._found, entry, self._limit)

    def _ended(self, first: dict[str, Any]) -> Entry:
        outcomes = self._outcomes.get(first["id"])
        if not outcomes:
            return joined(first, None)
        last = outcomes.pop()
        if not outcomes:
            del self._outcomes[first["id"]]
        return joined(first, last)

    def _is_enough(self, timestamp: str) -> bool:
        """Whether nothing before an intent of that time is as new as what was found."""
        if len(self._found) < self._limit:
            return False
        oldest = self._found[0][0]
        if timestamp >= oldest:
            return False
        try:
            edge = datetime.fromisoformat(oldest).timestamp() - _SLACK_S
            return timestamp < members.timestamp(edge)
        except (ValueError, OverflowError):
            return False

    def _may_skip(self, end: int) -> bool:
        """Look through the lines before `end`: whether none of them is as new as what was found.

        The outcomes whose intents are there are of old actions, and no longer waited for.
        """
        oldest = self._found[0][0].encode()
        for block in _blocks(self._file, end):
            before, *behind = block.split(_TIME)
            if any(told[:_TIME_BYTES] >= oldest for told in behind):
                return False
            if self._outcomes:
                for told in (before, *behind):  # an id stands before its time
                    id = told[told.rfind(_ID) + len(_ID) : -2]
                    self._outcomes.pop(id.decode("utf-8", "replace"), None)
        return True


def _blocks(file: BinaryIO, end: int) -> Iterator[bytes]:
    """What is before `end`, in blocks of whole lines."""
    at = file.seek(0)
    while at < end:
        block = file.read(min(_BLOCK, end - at)) + file.readline()
        at += len(block)
        yield block


def _backwards(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Lines (with their newlines) from the last to the first, and where each begins."""
    end = file.seek(0, os.SEEK_END)
    rest = b""  # the end of a line whose beginning is before `end`
    while end:
        start = max(end - _BLOCK, 0)
        file.seek(start)
        block = file.read(end - start) + rest
        whole = block.find(b"\n") + 1 if start else 0
        rest = block[:whole] if whole or not start else block
        if whole or not start:
            yield from _lines(block, whole, start)
        end = start


def _lines(block: bytes, first: int, offset: int) -> Iterator[tuple[int, bytes]]:
    """The lines of a block from `first` on, the last one first."""
    end = len(block)
    while end > first:
        start = max(block.rfind(b"\n", first, end - 1) + 1, first)
        yield offset + start, block[start:end]
        end = start
