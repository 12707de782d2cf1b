"""Where each record of a run lies, in memory, so that one agent's can be read without the rest.

Two integers a record: derived from the lines, rebuilt when a run is opened.
"""

from array import array
from bisect import bisect_right
from collections.abc import Iterable
from pathlib import Path
from typing import Any, BinaryIO

from codetether_ray.core.errors import JournalError
from codetether_ray.core.events import Record
from codetether_ray.journal import lines
from codetether_ray.journal.encode import restore
from codetether_ray.journal.segments import list_segments
from codetether_ray.journal.stream import Place


class RunIndex:
    """Offsets and lengths of a run's durable records, by agent and in all."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._all: array[int] = array("Q")
        self._by_agent: dict[str, array[int]] = {}

    def add(self, agent: str, off: int, length: int) -> None:
        """Note one record; records come in order."""
        pair = (off, length)
        self._all.extend(pair)
        own = self._by_agent.get(agent)
        if own is None:
            own = self._by_agent[agent] = array("Q")
        own.extend(pair)

    def add_all(self, places: Iterable[Place]) -> None:
        """Note the records of a committed chunk."""
        for place in places:
            self.add(place.agent, place.off, place.length)

    def places(self, agent: str | None) -> tuple[tuple[int, int], ...]:
        """(offset, length) of all records, or of one agent's."""
        found = self._all if agent is None else self._by_agent.get(agent, ())
        return tuple(zip(found[::2], found[1::2], strict=True))

    def read(self, places: tuple[tuple[int, int], ...]) -> tuple[Record, ...]:
        """The records at `places`, in order. It blocks; any thread may call it.

        Raises:
            JournalError: the files no longer hold them.
        """
        if not places:
            return ()
        try:
            with _Files(self._directory) as files:
                return tuple(self._record(files.line(off, length)) for off, length in places)
        except (OSError, ValueError) as error:
            raise JournalError(
                f"the journal in {self._directory} is unreadable: {error}"
            ) from error

    def _record(self, line: bytes) -> Record:
        data: dict[str, Any] = lines.parse(line[:-1])
        return restore(data, self._directory)


class _Files:
    """The segments of a run, opened as they are needed."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._segments = list_segments(directory)
        self._starts = [segment.start for segment in self._segments]
        self._open: dict[int, BinaryIO] = {}

    def __enter__(self) -> "_Files":
        return self

    def __exit__(self, *_: object) -> None:
        for file in self._open.values():
            file.close()

    def line(self, off: int, length: int) -> bytes:
        """`length` bytes at `off` of the stream."""
        which = bisect_right(self._starts, off) - 1
        file = self._open.get(which)
        if file is None:
            file = self._open[which] = self._file(which)
        file.seek(off - self._starts[which])
        return file.read(length)

    def _file(self, which: int) -> BinaryIO:
        try:
            return self._segments[which].path.open("rb")
        except FileNotFoundError:  # sealed meanwhile: same start, another name
            start = self._starts[which]
            again = next(s for s in list_segments(self._directory) if s.start == start)
            return again.path.open("rb")
