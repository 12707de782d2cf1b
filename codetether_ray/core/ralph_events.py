"""What a Ralph run does: attempts, merges, gates, stories. Durable: the journal keeps it."""

from dataclasses import dataclass, field
from typing import ClassVar, Literal

from codetether_ray.core.codec import JsonObject
from codetether_ray.core.spec import TurnResult

AttemptStatus = Literal["done", "failed", "blocked", "amends"]
"""What an agent's turn came to: work to be judged, none, none possible, a wrong criterion."""

StoryStatus = Literal["passed", "failed", "blocked"]
"""`failed`: this attempt; the story may be tried again. `blocked`: it will not be."""

Cause = Literal[
    "",
    "agent",
    "empty",
    "merge",
    "measures",
    "gates",
    "told",
    "criterion",
    "cancelled",
    "depends",
]
"""Why an attempt did not pass. `told`: its agent said that it is blocked. `depends`: another
story, which it depends on, is blocked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RalphStarted:
    """A run on a PRD began (each story as the PRD has it) on `base`, from `start`."""

    tag: ClassVar[str] = "ralph.started"
    prd: str
    project: str
    feature: str
    stories: tuple[JsonObject, ...]
    gates: dict[str, str] = field(default_factory=dict)
    """Commands by name, in order."""
    max_iterations: int = 10
    base: str = ""
    """The commit that the user is on, with what was not committed; empty outside git."""
    start: str = ""
    """The commit that the first story stands on: the base, or the PRD's branch."""
    branch: str = ""
    note: str = ""
    rules: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class RalphContinued:
    """A run was taken up again, with the PRD as it is now."""

    tag: ClassVar[str] = "ralph.continued"
    stories: tuple[JsonObject, ...]
    gates: dict[str, str] = field(default_factory=dict)
    max_iterations: int = 10
    note: str = ""
    rules: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptStarted:
    """A fresh agent begins a story, in a tree of its own at `base`."""

    tag: ClassVar[str] = "ralph.attempt"
    story: str
    title: str
    attempt: int
    """Counts through the story's life, from 1."""
    agent: str
    base: str = ""
    branch: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptEnded:
    """An attempt's turn ended, and what it left is committed on its branch."""

    tag: ClassVar[str] = "ralph.attempted"
    story: str
    title: str
    attempt: int
    agent: str
    status: AttemptStatus
    detail: str = ""
    commit: str = ""
    branch: str = ""
    files: tuple[str, ...] = ()
    result: TurnResult | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptFaulted:
    """Something beside the story broke; it counts as no attempt and is tried again, if it may."""

    tag: ClassVar[str] = "ralph.fault"
    story: str
    attempt: int
    number: int
    error: str
    error_kind: str = ""
    next_in_s: float | None = None
    """None: no more in this try of the run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoryMerged:
    """An attempt's work stands as one commit on `onto`, still to be judged; or it cannot."""

    tag: ClassVar[str] = "ralph.merged"
    story: str
    title: str
    attempt: int
    status: Literal["merged", "resolved", "unmerged"]
    commit: str = ""
    onto: str = ""
    conflicts: tuple[str, ...] = ()
    detail: str = ""
    entry: str = ""
    """What is told of it in progress.txt, if it passes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GateRun:
    """A gate was run on a commit; `output` is the end of what it printed."""

    tag: ClassVar[str] = "ralph.gate"
    story: str
    attempt: int
    gate: str
    command: str
    commit: str
    exit_code: int
    timed_out: bool = False
    elapsed_ms: int = 0
    output: str = ""

    @property
    def passed(self) -> bool:
        """Whether it let the commit through."""
        return self.exit_code == 0 and not self.timed_out


@dataclass(frozen=True, slots=True, kw_only=True)
class StoryEnded:
    """An attempt was judged, or a story was given up."""

    tag: ClassVar[str] = "ralph.story"
    story: str
    title: str
    status: StoryStatus
    attempt: int = 0
    cause: Cause = ""
    detail: str = ""
    digest: str = ""
    """Like failures have the same."""
    commit: str = ""
    branch: str = ""
    """Where the work of an attempt that did not pass is kept."""
    files: tuple[str, ...] = ()
    entry: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DiagnosisMade:
    """An agent looked for what two like failures come from."""

    tag: ClassVar[str] = "ralph.diagnosis"
    story: str
    attempt: int
    """The last failed one."""
    agent: str
    finding: str
    result: TurnResult | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CriterionJudged:
    """Somebody decided on a proposal to amend an acceptance criterion."""

    tag: ClassVar[str] = "ralph.criterion"
    story: str
    attempt: int
    criterion: int
    """From 1."""
    old: str
    new: str
    evidence: str
    is_granted: bool
    by: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RalphFinished:
    """A run ended; `result` is the JSON that `--json` prints."""

    tag: ClassVar[str] = "ralph.complete"
    outcome: str
    result: JsonObject


RalphEvent = (
    RalphStarted
    | RalphContinued
    | AttemptStarted
    | AttemptEnded
    | AttemptFaulted
    | StoryMerged
    | GateRun
    | StoryEnded
    | DiagnosisMade
    | CriterionJudged
    | RalphFinished
)


OF_STORIES = (
    AttemptStarted,
    AttemptEnded,
    AttemptFaulted,
    StoryMerged,
    GateRun,
    StoryEnded,
    DiagnosisMade,
    CriterionJudged,
)
"""What the run tells of one story, whose id is its `story`."""
