"""Walks the lines of a run, or of a range of it, and tells a torn tail from damage.

Bad bytes with a valid line behind them, or before the durable mark, or in a sealed segment, are
damage: named, never skipped. Bad bytes at the very end beyond the mark are a line that was being
written: nobody was told that it is durable.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from codetether_ray.core.errors import JournalCorruptError
from codetether_ray.journal import lines
from codetether_ray.journal.files import Fetch, RunFiles
from codetether_ray.journal.lines import CONTROL, Head, LineError, Position
from codetether_ray.journal.mark import read_mark
from codetether_ray.journal.members import MemberError
from codetether_ray.journal.segments import Segment


class Line:
    """One valid line: the place it stands at, its length in bytes, its members."""

    __slots__ = ("_data", "head", "place", "raw")

    def __init__(self, raw: bytes, head: Head, place: Position) -> None:
        """`raw` has its newline."""
        self.raw, self.head, self.place = raw, head, place
        self._data: dict[str, Any] | None = None

    @property
    def length(self) -> int:
        """Bytes, with the newline."""
        return len(self.raw)

    @property
    def data(self) -> dict[str, Any]:
        """All members. Parsed when first asked for.

        Raises:
            ValueError: a line with a right checksum is no JSON.
        """
        if self._data is None:
            self._data = json.loads(self.raw)
        return self._data

    @property
    def is_control(self) -> bool:
        """Whether it speaks of the segment, not of the run."""
        return self.head.kind in CONTROL


class RunScan:
    """One pass over a run. After it, `position`, `segment` and `torn_bytes` say how it ended.

    Only the segments that hold bytes from `start` to before `until` are opened, and of the first
    only what is behind `start`; an offset within a line stands for the next one. Nothing is
    locked: a run may be written meanwhile, and the pass ends at what it then saw.
    """

    def __init__(
        self,
        run_id: str,
        directory: Path,
        *,
        start: int = 0,
        until: int | None = None,
        fetch: Fetch | None = None,
    ) -> None:
        self._run_id = run_id
        self._directory = directory
        self._files = RunFiles(directory, fetch)
        self._mark = read_mark(directory)
        self._generation = 0
        self._start, self._until = start, until
        self._is_adrift = start > 0
        """Whether the number and the hash that the next line must bear are not known yet."""
        self.position = Position()
        self.segment: Segment | None = None
        """The last segment."""
        self.torn_bytes = 0
        """Length of the unfinished tail behind `position`."""

    def __iter__(self) -> Iterator[Line]:
        """All valid lines, control lines included.

        Raises:
            JournalCorruptError: bytes are damaged or missing.
            JournalError: a segment is in the archive and cannot be fetched.
        """
        if self._is_adrift:
            self._drift_to(self._start)
        while not self._is_past_end() and (segment := self._next()) is not None:
            self.segment = segment
            yield from self._segment(segment)
            if self.segment.is_open:
                break
        if not self._is_past_end() and self._mark and self.position.off < self._mark.off:
            name = self.segment.path.name if self.segment else str(self._directory)
            raise self._corrupt(name, 0, "acknowledged bytes are missing at its end")

    def _is_past_end(self) -> bool:
        return self._until is not None and self.position.off >= self._until

    def _drift_to(self, start: int) -> None:
        """Stand at `start`, or at the first segment behind it; at the end if there is neither."""
        off = start
        for segment in self._files.segments():
            if segment.start >= start:
                break
            off = segment.start
            if segment.end is None or segment.end > start:
                break
            off = segment.end
        self.position = Position(0, off, lines.NO_LINE)

    def _next(self) -> Segment | None:
        """The segment at the current position. Listed anew, because an open one may be sealed."""
        done = self.segment
        for segment in self._files.segments():
            if segment.start == self.position.off and (done is None or segment.name != done.name):
                return segment
            if segment.start > self.position.off:
                raise self._corrupt(segment.path.name, 0, "the segment before it is missing")
        return None

    def _segment(self, segment: Segment) -> Iterator[Line]:
        off = max(segment.start, self._start - 1) if self._is_adrift else segment.start
        try:
            segment, file = self._files.open(segment, off)
            self.segment = segment
            with file:
                if off > segment.start:  # to the end of the line that holds the byte before
                    off += len(file.readline())
                    self.position = Position(0, off, lines.NO_LINE)
                yield from self._lines(segment, file)
        except MemberError as error:
            raise self._corrupt(segment.path.name, error.off - segment.start, str(error)) from error

    def _lines(self, segment: Segment, file: BinaryIO) -> Iterator[Line]:
        end = segment.end
        while (end is None or self.position.off < end) and not self._is_past_end():
            raw = file.readline()
            if not raw:
                break
            line = self._read(raw)
            if isinstance(line, str):
                self._settle_tail(segment, raw + file.read(), line)
                return
            yield line
        if end is not None and self.position.off != end and not self._is_past_end():
            raise self._corrupt(segment.path.name, self._within(segment), "it ends too early")

    def _read(self, raw: bytes) -> Line | str:
        """The line, or what is wrong with it; moves on when it is right."""
        if not raw.endswith(b"\n"):
            return "its last line is not finished"
        try:
            head = lines.read_head(raw[:-1])
            if self._is_adrift:
                self.position = Position(head.seq, self.position.off, head.prev)
            lines.check_head(head, self.position)
        except LineError as error:
            return str(error)
        if head.gen < self._generation:
            return f"its generation {head.gen} is older than the line before"
        line = Line(raw, head, self.position)
        self.position = lines.after(self.position, raw, is_control=line.is_control)
        self._generation = head.gen
        self._is_adrift = False
        return line

    def _settle_tail(self, segment: Segment, rest: bytes, detail: str) -> None:
        """`rest` begins with a bad line: a torn tail, or damage."""
        is_before_mark = self._mark is not None and self.position.off < self._mark.off
        if not segment.is_open or is_before_mark or has_valid_line(rest, self.position.off):
            raise self._corrupt(segment.path.name, self._within(segment), detail)
        self.torn_bytes = len(rest)

    def _within(self, segment: Segment) -> int:
        return self.position.off - segment.start

    def _corrupt(self, name: str, offset: int, detail: str) -> JournalCorruptError:
        return JournalCorruptError(self._run_id, name, offset, detail)


def has_valid_line(rest: bytes, off: int) -> bool:
    """Whether behind the bad start of `rest` (at `off` of the stream) a line is whole, in place."""
    at = rest.find(b"\n") + 1
    while at:
        end = rest.find(b"\n", at)
        if end < 0:
            return False
        try:
            if lines.read_head(rest[at:end]).off == off + at:
                return True
        except LineError:
            pass
        at = end + 1
    return False
