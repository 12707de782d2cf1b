"""Finds entries in all chains of a data directory, in order of time, without reading them at once.

Chains are named by when they began, so only those that were written at the same time are open
together; a file that was last written before `since` is not opened at all.
"""

import heapq
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatchcase
from pathlib import Path

from codetether_ray.audit import members
from codetether_ray.audit.entries import Entry, entries_of
from codetether_ray.audit.index import last_line
from codetether_ray.audit.latest import keep_newest, latest_of
from codetether_ray.audit.lines import parse
from codetether_ray.audit.places import begun_at, chain_path, chains, nodes

_CLOCK_SLACK_S = 2.0  # between a file's time of change and the times in its lines


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """What an entry must be like; None asks for nothing. Names may hold `*` and `?`."""

    actor: str | None = None
    """The principal, whole or without what stands before its colon."""
    action: str | None = None
    resource: str | None = None
    category: str | None = None
    outcome: str | None = None
    okr: str | None = None
    """The id of a goal, or of a run of it."""
    run: str | None = None
    session: str | None = None
    since: float | None = None
    """Seconds since the epoch; an entry's time is its intent's."""
    until: float | None = None

    def matches(self, entry: Entry) -> bool:
        """Whether the entry is one of those asked for."""
        data = entry.data
        who = str(data["principal"])
        return (
            self._is_in_time(entry.timestamp)
            and _fits(self.action, data["action"])
            and _fits(self.category, data["category"])
            and _fits(self.outcome, data["outcome"])
            and _fits(self.resource, data["resource"])
            and (_fits(self.actor, who) or _fits(self.actor, who.partition(":")[2]))
            and _fits(self.session, data.get("session_id", ""))
            and any(_fits(self.run, data.get(name, "")) for name in ("run_id", "swarm_id"))
            and any(_fits(self.okr, data.get(name, "")) for name in ("okr_id", "okr_run_id"))
        )

    @property
    def holding(self) -> bytes:
        """Bytes that every line must hold which this asks for; none where that is not known."""
        exact = (n for n in (self.run, self.session) if n and re.fullmatch(r"[\w-]+", n))
        return next(exact, "").encode()

    def _is_in_time(self, timestamp: str) -> bool:
        if self.since is not None and timestamp < members.timestamp(self.since):
            return False
        return self.until is None or timestamp <= members.timestamp(self.until)


def find(data_dir: Path, query: Query) -> Iterator[Entry]:
    """The entries that match, oldest first: merged by time, chain and number."""
    waiting = _files(data_dir, query)
    waiting.reverse()  # the oldest last, to be taken from the end
    heap: list[tuple[str, str, int, Entry, Iterator[Entry]]] = []
    while waiting or heap:
        while waiting and (not heap or waiting[-1].start <= heap[0][0]):
            _push(heap, entries_of(waiting.pop().path, holding=query.holding))
        if heap:
            *_, entry, rest = heapq.heappop(heap)
            if query.matches(entry):
                yield entry
            _push(heap, rest)


def newest(data_dir: Path, query: Query, limit: int) -> list[Entry]:
    """The newest `limit` entries that match, oldest of them first."""
    found: list[tuple[str, str, int, Entry]] = []
    for file in sorted(_files(data_dir, query), key=lambda f: -f.changed):
        if len(found) == limit and found[0][0] > members.timestamp(file.changed + _CLOCK_SLACK_S):
            break  # nothing in older files can be newer than what we have
        for entry in latest_of(file.path, query.matches, limit, holding=query.holding):
            keep_newest(found, entry, limit)
    return [entry for *_, entry in sorted(found, key=lambda item: item[:3])]


def in_file(path: Path, query: Query) -> Iterator[Entry]:
    """The entries of one file that match: of a second file, say, which holds many chains."""
    found = entries_of(path, holding=query.holding)
    return (entry for entry in found if query.matches(entry))


@dataclass(frozen=True, slots=True)
class _File:
    start: str
    """The time in its name, in the form of the lines' timestamps."""
    changed: float
    path: Path


def _files(data_dir: Path, query: Query) -> list[_File]:
    """The chains that may hold what is asked for, oldest first."""
    found = []
    for node in nodes(data_dir):
        for chain in chains(data_dir, node):
            path = chain_path(data_dir, node, chain)
            try:
                changed = _changed(path)
            except OSError:
                continue
            start = _start(chain)
            is_before = query.since is not None and changed + _CLOCK_SLACK_S < query.since
            is_behind = query.until is not None and start > members.timestamp(query.until)
            if not (is_before or is_behind):
                found.append(_File(start, changed, path))
    return sorted(found, key=lambda file: (file.start, file.path.name))


def _changed(path: Path) -> float:
    """When a file was written last: what the file system says, or its last line, if later.

    Anyone may set the one back, and a clock may have gone back between the two.
    """
    changed = path.stat().st_mtime
    data = parse(last_line(path) or b"") or {}
    try:
        return max(changed, datetime.fromisoformat(str(data["timestamp"])).timestamp())
    except (KeyError, ValueError, OverflowError):
        return changed


def _start(chain: str) -> str:
    """When a chain began, in the form of the lines' timestamps; the oldest where it has no name."""
    begun = begun_at(chain)
    return "" if begun is None else members.timestamp(begun)


def _push(heap: list[tuple[str, str, int, Entry, Iterator[Entry]]], rest: Iterator[Entry]) -> None:
    entry = next(rest, None)
    if entry is not None:
        heapq.heappush(heap, (entry.timestamp, entry.chain, entry.n, entry, rest))


def _fits(wanted: str | None, value: object) -> bool:
    return wanted is None or fnmatchcase(str(value), wanted)


def moment(text: str, now: float) -> float:
    """Seconds since the epoch of an ISO time (this zone's, where it names none) or a past span.

    Raises:
        ValueError: it is neither.
    """
    units = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
    number, unit = text[:-1], text[-1:]
    if unit in units and number.replace(".", "", 1).isdigit():
        return max(now - float(number) * units[unit], 0.0)
    parsed = datetime.fromisoformat(text)
    return parsed.timestamp()
