"""Checks a whole run and names everything that is wrong with it, not only the first."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Fetch = Callable[[str, str, Path], bool]
"""Fetches a file of a run, by its name in the run's directory, from the archive to a path; False
where the archive does not hold it."""

ProblemKind = Literal["line", "order", "chain", "seal", "missing", "blob", "torn", "zombie"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing that is wrong, and where.

    `line`: bytes that are no valid line. `order`: a `seq`, `off` or generation out of place.
    `chain`: a line was put in the place of another. `seal`: a segment is not what its seal says.
    `missing`: bytes that were acknowledged are gone. `blob`: a big payload is gone or changed.
    `torn`: an unfinished line at the very end, which nobody was told is durable. `zombie`: bytes
    that a fenced writer left behind a segment's end.
    """

    kind: ProblemKind
    segment: str
    offset: int
    """Bytes from the segment's start."""
    detail: str

    @property
    def is_damage(self) -> bool:
        """Whether something acknowledged is affected: a torn tail and a zombie's bytes are not."""
        return self.kind not in ("torn", "zombie")

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
