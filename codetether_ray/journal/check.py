"""Checks a whole run and names everything that is wrong with it, not only the first."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal

from codetether_ray.core.errors import JournalError, UnknownRunError
from codetether_ray.journal import lines
from codetether_ray.journal.blobs import BlobError
from codetether_ray.journal.files import Fetch, RunFiles
from codetether_ray.journal.lines import CONTROL, Head, LineError, Position
from codetether_ray.journal.mark import read_mark
from codetether_ray.journal.members import MemberError
from codetether_ray.journal.scan import has_valid_line
from codetether_ray.journal.segments import Segment, list_strays, run_directory

ProblemKind = Literal["line", "order", "chain", "seal", "missing", "blob", "torn", "zombie", "away"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing that is wrong, and where.

    `line`: bytes that are no valid line. `order`: a `seq`, `off` or generation out of place.
    `chain`: a line was put in the place of another. `seal`: a segment is not what its seal says.
    `missing`: bytes that were acknowledged are gone. `blob`: a big payload is gone or changed.
    `torn`: an unfinished line at the very end, which nobody was told is durable. `zombie`: bytes
    that a fenced writer left behind a segment's end. `away`: a segment is in the archive, which
    does not give it; nobody knows whether it is right.
    """

    kind: ProblemKind
    segment: str
    offset: int
    """Bytes from the segment's start."""
    detail: str

    @property
    def is_damage(self) -> bool:
        """Whether something acknowledged is known to be affected."""
        return self.kind not in ("torn", "zombie", "away")

    def __str__(self) -> str:
        return f"{self.segment} at byte {self.offset}: {self.detail}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Integrity:
    """What a run's bytes are."""

    records: int
    segments: int
    bytes: int
    """Length of the run's stream."""
    blobs: int
    problems: tuple[Problem, ...] = ()

    @property
    def is_intact(self) -> bool:
        """Whether nothing that was acknowledged is damaged or missing."""
        return not any(problem.is_damage for problem in self.problems)


def check_run(data_dir: Path, run_id: str, *, fetch: Fetch | None = None) -> Integrity:
    """Read all bytes of a run: checksums, numbers, the chain, seals, blobs.

    Nothing is changed; a run may be written meanwhile.

    Raises:
        UnknownRunError: there is no such run.
        OSError: a file cannot be read.
    """
    directory = run_directory(data_dir, run_id)
    if not directory.is_dir():
        raise UnknownRunError(run_id)
    return _Check(directory, fetch).run()


class _Check:
    """One pass; goes on behind what is wrong."""

    def __init__(self, directory: Path, fetch: Fetch | None) -> None:
        self._directory = directory
        self._files = RunFiles(directory, fetch)
        self._mark = read_mark(directory)
        self._problems: list[Problem] = []
        self._at = Position()
        self._is_adrift = False
        """Whether the line before was damaged, so that the next one's place is taken from it."""
        self._is_partial = False
        """Whether lines were passed over, so that an agent's next number may not be known."""
        self._generation = 0
        self._agent_seqs: dict[str, int] = {}
        self._records = 0
        self._blobs: set[str] = set()
        self._segment = Segment(path=directory, start=0, end=None)
        self._line_count = 0
        self._digest = hashlib.sha256()
        self._last: tuple[str, str] = ("", "")
        """Name and SHA-256 of the segment before."""

    def run(self) -> Integrity:
        segments = self._files.segments()
        for segment in segments:
            self._segment = segment
            self._check_segment(segment)
        if self._mark and self._at.off < self._mark.off:
            self._note("missing", self._at.off, "acknowledged bytes are missing at its end")
        for stray in list_strays(self._directory):
            self._segment = stray
            self._note("zombie", stray.start, "a writer that was superseded began it")
        return Integrity(
            records=self._records,
            segments=len(segments),
            bytes=self._at.off,
            blobs=len(self._blobs),
            problems=tuple(self._problems),
        )

    def _check_segment(self, segment: Segment) -> None:
        if segment.start < self._at.off:
            self._note("zombie", segment.start, "it begins within the segment before it")
            return
        if segment.start > self._at.off:
            detail = f"the {segment.start - self._at.off} bytes before it are missing"
            self._note("missing", segment.start, detail)
            self._drift(segment.start)
        self._line_count, self._digest = 0, hashlib.sha256()
        try:
            self._segment, file = self._files.open(segment)
            with file:
                self._check_lines(file)
        except MemberError as error:
            self._note("line", error.off, f"{error}; what follows in it cannot be checked")
            self._drift(segment.end or error.off)
        except JournalError as error:
            self._note("away", segment.start, str(error))
            self._drift(segment.end or segment.start)
        self._check_end(self._segment)

    def _check_lines(self, file: BinaryIO) -> None:
        end = self._segment.end
        while end is None or self._at.off < end:
            raw = file.readline()
            if not raw:
                return
            try:
                head = lines.read_head(raw[:-1] if raw.endswith(b"\n") else b"")
            except LineError as error:
                if self._is_torn(raw, file):
                    return
                self._note("line", self._at.off, str(error))
                self._drift(self._at.off + len(raw))
            else:
                self._check_line(head, raw)

    def _is_torn(self, raw: bytes, file: BinaryIO) -> bool:
        """Whether the bad line `raw` is the unfinished end; if so it is noted."""
        is_acked = self._mark is not None and self._at.off < self._mark.off
        if not self._segment.is_open or is_acked:
            return False
        here = file.tell()
        if has_valid_line(raw + file.read(), self._at.off):
            file.seek(here)
            return False
        self._note("torn", self._at.off, "its last line is not finished")
        return True

    def _check_line(self, head: Head, raw: bytes) -> None:
        self._check_place(head)
        is_control = head.kind in CONTROL
        if head.kind == lines.SEALED:
            self._check_seal(lines.parse(raw[:-1])["payload"])
        elif head.kind == lines.OPENED:
            self._check_adopted(lines.parse(raw[:-1])["payload"].get("adopted"))
        elif not is_control:
            self._check_record(head, raw)
        self._at = lines.after(Position(head.seq, head.off), raw, is_control=is_control)
        self._generation = max(self._generation, head.gen)
        self._is_adrift = False
        self._line_count += 1
        self._digest.update(raw)
        mark = self._mark
        if mark and mark.off == self._at.off and mark != self._at:
            self._note("chain", head.off, "it is not the line that was acknowledged here")

    def _check_place(self, head: Head) -> None:
        at = self._at
        if head.off != at.off:
            self._note("order", at.off, f"its off is {head.off} where {at.off} belongs")
        if head.gen < self._generation:
            detail = f"its generation {head.gen} is older than the line before"
            self._note("order", at.off, detail)
        if self._is_adrift:
            return
        if head.seq != at.seq:
            self._note("order", at.off, f"its seq is {head.seq} where {at.seq} belongs")
        if head.prev != at.prev:
            detail = "the line before it is not the one that it was written behind"
            self._note("chain", at.off, detail)

    def _check_record(self, head: Head, raw: bytes) -> None:
        self._records += 1
        wanted = self._agent_seqs.get(head.agent, None if self._is_partial else 0)
        if wanted not in (None, head.agent_seq):
            detail = f"its agent_seq is {head.agent_seq} where {wanted} belongs"
            self._note("order", self._at.off, detail)
        self._agent_seqs[head.agent] = head.agent_seq + 1
        if b'"blob":{' not in raw:
            return
        blob = lines.parse(raw[:-1]).get("blob")
        if blob is not None and blob["sha256"] not in self._blobs:
            self._check_blob(str(blob["sha256"]))

    def _check_blob(self, digest: str) -> None:
        self._blobs.add(digest)
        try:
            self._files.blob(digest)
        except BlobError as error:
            self._note("blob", self._at.off, str(error))

    def _check_seal(self, seal: Mapping[str, Any]) -> None:
        found = {
            "length": self._at.off - self._segment.start,
            "lines": self._line_count,
            "sha256": self._digest.hexdigest(),
        }
        for name, value in found.items():
            if seal.get(name) != value:
                detail = f"its {name} is {value} where its seal says {seal.get(name)}"
                self._note("seal", self._at.off, detail)

    def _check_adopted(self, adopted: Mapping[str, Any] | None) -> None:
        """What a taker said of the segment that it took over."""
        name, digest = self._last
        if adopted and adopted.get("segment") == name and adopted.get("sha256") != digest:
            detail = f"{name} is not what it was when this segment was begun behind it"
            self._note("seal", self._at.off, detail)

    def _check_end(self, segment: Segment) -> None:
        end = segment.end
        if end is not None and self._at.off != end:
            self._note("missing", self._at.off, "it ends too early")
            self._drift(end)
        self._last = (segment.name, self._digest.hexdigest())
        if end is not None and segment.form == "plain":
            more = _size(segment.path) - (end - segment.start)
            if more > 0:
                detail = f"a writer that was superseded left {more} bytes behind its end"
                self._note("zombie", end, detail)

    def _drift(self, off: int) -> None:
        """Go on at `off`, taking the next line's number and hash from it."""
        self._at = Position(self._at.seq, off, lines.NO_LINE)
        self._is_adrift = self._is_partial = True
        self._agent_seqs.clear()

    def _note(self, kind: ProblemKind, off: int, detail: str) -> None:
        """`off` is an offset of the stream."""
        name, start = self._segment.path.name, self._segment.start
        self._problems.append(Problem(kind=kind, segment=name, offset=off - start, detail=detail))


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:  # compressed just now
        return 0
