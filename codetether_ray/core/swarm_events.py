"""What a swarm does: its plan, subtasks, merges. Durable: the journal keeps it."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from codetether_ray.core.codec import JsonObject
from codetether_ray.core.spec import TurnResult

SubtaskStatus = Literal[
    "pending",
    "queued",
    "running",
    "completed",
    "failed",
    "blocked",
    "cancelled",
    "interrupted",
    "timed_out",
]
"""`cancelled`: somebody ended this very subtask, and it stays so. `interrupted`: the whole swarm
was stopped; it goes on with the swarm. (Old journals say `cancelled` without a result for it.)"""


@dataclass(frozen=True, slots=True, kw_only=True)
class SwarmStarted:
    """A swarm began on `base` (a commit; empty outside git)."""

    tag: ClassVar[str] = "swarm.started"
    task: str
    strategy: str
    base: str = ""
    base_note: str = ""
    rules: int = 1
    """Version of the rules that decide it (`swarm.rules.RULES`); the first bore no number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SwarmContinued:
    """A swarm was taken up again by other rules than those recorded last."""

    tag: ClassVar[str] = "swarm.continued"
    rules: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanMade:
    """The plan as accepted: each subtask as the swarm's plan encodes it."""

    tag: ClassVar[str] = "swarm.planned"
    subtasks: tuple[JsonObject, ...]
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SubtaskChanged:
    """A subtask moved on. `agent` is the agent's path."""

    tag: ClassVar[str] = "swarm.subtask"
    id: str
    name: str
    status: SubtaskStatus
    agent: str = ""
    stage: int = 0
    detail: str = ""
    commit: str = ""
    branch: str = ""
    files: tuple[str, ...] = ()
    """Paths that its commit changed; none on a completed one means that it changed nothing."""
    result: TurnResult | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SubtaskMerged:
    """A subtask's commit was merged, or could not be."""

    tag: ClassVar[str] = "swarm.merged"
    id: str
    name: str
    status: Literal["merged", "resolved", "empty", "unmerged"]
    commit: str = ""
    conflicts: tuple[str, ...] = ()
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SwarmFinished:
    """A swarm ended; `result` is the JSON that `--json` prints."""

    tag: ClassVar[str] = "swarm.complete"
    outcome: str
    result: JsonObject


SwarmEvent = (
    SwarmStarted | SwarmContinued | PlanMade | SubtaskChanged | SubtaskMerged | SwarmFinished
)
