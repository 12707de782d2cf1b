"""Where each record of a run lies, in memory, so that one agent's can be read without the rest.

Two integers a record: derived from the lines, rebuilt when a run is opened.
"""

from array import array
from bisect import bisect_right
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

from codetether_ray.core.errors import JournalError
from codetether_ray.core.events import Record
from codetether_ray.journal import lines
from codetether_ray.journal.encode import restore
from codetether_ray.journal.files import Fetch, RunFiles
from codetether_ray.journal.members import MEMBER_BYTES


class RunIndex:
    """Offsets and lengths of a run's durable records, by agent and in all."""

    def __init__(self, directory: Path, fetch: Fetch | None = None) -> None:
        self._directory = directory
        self._files = RunFiles(directory, fetch)
        self._all: array[int] = array("Q")
        self._by_agent: dict[str, array[int]] = {}
        self._agents: list[str] = []
        """Of the last records, which are not in `_by_agent` yet."""

    def add(self, agents: Sequence[str], spans: Sequence[int]) -> None:
        """Note records, in order: of each its agent, and in `spans` its offset and length."""
        self._all.extend(spans)
        self._agents.extend(agents)

    def places(self, agent: str | None) -> tuple[tuple[int, int], ...]:
        """(offset, length) of all records, or of one agent's."""
        if agent is not None:
            self._sort_in()
        found = self._all if agent is None else self._by_agent.get(agent, ())
        return tuple(zip(found[::2], found[1::2], strict=True))

    def _sort_in(self) -> None:
        """Give each agent its records: when somebody asks, which few ever do."""
        agents, self._agents = self._agents, []
        at = len(self._all) - 2 * len(agents)
        for agent in agents:
            own = self._by_agent.get(agent)
            if own is None:
                own = self._by_agent[agent] = array("Q")
            own.extend(self._all[at : at + 2])
            at += 2

    def read(self, places: tuple[tuple[int, int], ...]) -> tuple[Record, ...]:
        """The records at `places`, in order. It blocks; any thread may call it.

        Raises:
            JournalError: the files no longer hold them.
        """
        if not places:
            return ()
        try:
            with _Segments(self._files) as segments:
                return tuple(self._record(segments.line(off, length)) for off, length in places)
        except (OSError, ValueError) as error:
            raise JournalError(
                f"the journal in {self._directory} is unreadable: {error}"
            ) from error

    def _record(self, line: bytes) -> Record:
        data: dict[str, Any] = lines.parse(line[:-1])
        return restore(data, self._files)


class _Segments:
    """The segments of a run, opened as they are needed."""

    def __init__(self, files: RunFiles) -> None:
        self._files = files
        self._segments = files.segments()
        self._starts = [segment.start for segment in self._segments]
        self._open: dict[int, tuple[BinaryIO, int]] = {}

    def __enter__(self) -> "_Segments":
        return self

    def __exit__(self, *_: object) -> None:
        for file, _at in self._open.values():
            file.close()

    def line(self, off: int, length: int) -> bytes:
        """`length` bytes at `off` of the stream; the next ones are soonest there."""
        which = bisect_right(self._starts, off) - 1
        if which not in self._open:
            self._open[which] = self._files.open(self._segments[which], off)[1], off
        file, at = self._open[which]
        if at != off:
            file = self._move(which, file, at, off)
        self._open[which] = file, off + length
        return file.read(length)

    def _move(self, which: int, file: BinaryIO, at: int, off: int) -> BinaryIO:
        """The file of a segment, at `off` instead of `at`."""
        if file.seekable():
            file.seek(off - self._starts[which])
            return file
        if at < off < at + MEMBER_BYTES:
            file.read(off - at)
            return file
        file.close()
        return self._files.open(self._segments[which], off)[1]
