"""Walks the lines of a run and tells a torn tail from damage.

Bad bytes with a valid line behind them, or before the durable mark, or in a sealed segment, are
damage: named, never skipped. Bad bytes at the very end beyond the mark are a line that was being
written: nobody was told that it is durable.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from codetether_ray.core.errors import JournalCorruptError
from codetether_ray.journal import lines
from codetether_ray.journal.lines import CONTROL, LineError, Position
from codetether_ray.journal.mark import read_mark
from codetether_ray.journal.segments import Segment, list_segments


@dataclass(frozen=True, slots=True)
class Line:
    """One valid line: its members, the place it stands at, its length in bytes."""

    data: dict[str, Any]
    place: Position
    length: int

    @property
    def is_control(self) -> bool:
        """Whether it speaks of the segment, not of the run."""
        return self.data["kind"] in CONTROL


class RunScan:
    """One pass over a run. After it, `position`, `segment` and `torn_bytes` say how it ended.

    Nothing is locked: a run may be written meanwhile, and the pass ends at what it then saw.
    """

    def __init__(self, run_id: str, directory: Path) -> None:
        self._run_id = run_id
        self._directory = directory
        self._mark = read_mark(directory)
        self._generation = 0
        self.position = Position()
        self.segment: Segment | None = None
        """The last segment."""
        self.torn_bytes = 0
        """Length of the unfinished tail behind `position`."""

    def __iter__(self) -> Iterator[Line]:
        """All valid lines, control lines included.

        Raises:
            JournalCorruptError: bytes are damaged or missing.
        """
        while (segment := self._next()) is not None:
            self.segment = segment
            yield from self._segment(segment)
            if segment.is_open:
                break
        if self._mark and self.position.off < self._mark.off:
            name = self.segment.path.name if self.segment else str(self._directory)
            raise self._corrupt(name, 0, "acknowledged bytes are missing at its end")

    def _next(self) -> Segment | None:
        """The segment at the current position. Listed anew, because an open one may be sealed."""
        segments = list_segments(self._directory)
        done = self.segment
        for segment in segments:
            if segment.start == self.position.off and (done is None or segment.path != done.path):
                return segment
            if segment.start > self.position.off:
                raise self._corrupt(segment.path.name, 0, "the segment before it is missing")
        return None

    def _segment(self, segment: Segment) -> Iterator[Line]:
        try:
            file = segment.path.open("rb")
        except FileNotFoundError:  # sealed just now: it has another name
            renamed = self._next()
            if renamed is None or renamed.path == segment.path:
                raise
            self.segment = segment = renamed
            file = segment.path.open("rb")
        with file:
            while segment.end is None or self.position.off < segment.end:
                raw = file.readline()
                if not raw:
                    break
                line = self._read(raw)
                if isinstance(line, str):
                    self._settle_tail(segment, raw + file.read(), line)
                    return
                yield line
        if segment.end is not None and self.position.off != segment.end:
            raise self._corrupt(segment.path.name, self._within(segment), "it ends too early")

    def _read(self, raw: bytes) -> Line | str:
        """The line, or what is wrong with it; moves on when it is right."""
        place = self.position
        if not raw.endswith(b"\n"):
            return "its last line is not finished"
        try:
            data = lines.parse(raw[:-1])
            lines.check_place(data, place)
            if data["gen"] < self._generation:
                return f"its generation {data['gen']} is older than the line before"
            line = Line(data, place, len(raw))
            self.position = lines.after(place, raw, is_control=line.is_control)
            self._generation = data["gen"]
        except LineError as error:
            return str(error)
        except (KeyError, TypeError) as error:
            return f"a member is missing or wrong ({error})"
        return line

    def _settle_tail(self, segment: Segment, rest: bytes, detail: str) -> None:
        """`rest` begins with a bad line: a torn tail, or damage."""
        is_before_mark = self._mark is not None and self.position.off < self._mark.off
        if not segment.is_open or is_before_mark or _has_valid_line(rest, self.position.off):
            raise self._corrupt(segment.path.name, self._within(segment), detail)
        self.torn_bytes = len(rest)

    def _within(self, segment: Segment) -> int:
        return self.position.off - segment.start

    def _corrupt(self, name: str, offset: int, detail: str) -> JournalCorruptError:
        return JournalCorruptError(self._run_id, name, offset, detail)


def _has_valid_line(rest: bytes, off: int) -> bool:
    """Whether behind the bad start of `rest` (at `off` of the stream) a line is whole, in place."""
    at = rest.find(b"\n") + 1
    while at:
        end = rest.find(b"\n", at)
        if end < 0:
            return False
        try:
            if lines.parse(rest[at:end]).get("off") == off + at:
                return True
        except LineError:
            pass
        at = end + 1
    return False
