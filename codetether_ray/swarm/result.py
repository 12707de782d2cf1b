"""What a swarm came to, truthfully, and the JSON that `--json` prints.

The JSON has the keys of the reference program, all of them measured here, and more beside them.
"""

from dataclasses import dataclass, field
from typing import Literal

from codetether_ray.core import errors
from codetether_ray.core.codec import JsonObject, JsonValue
from codetether_ray.core.events import SubtaskStatus
from codetether_ray.core.spec import TurnResult
from codetether_ray.core.usage import Usage
from codetether_ray.swarm.plan import Subtask
from codetether_ray.swarm.stats import stats

SwarmOutcome = Literal["success", "partial", "failed", "cancelled", "budget"]
MergeStatus = Literal["", "merged", "resolved", "empty", "unmerged"]
"""Empty: there was nothing to merge, because the subtask did not complete."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SubtaskResult:
    """How one subtask ended. Times are seconds since the swarm began; -1 where it never ran."""

    subtask: Subtask
    agent: str
    status: SubtaskStatus
    turn: TurnResult | None = None
    error: str = ""
    error_kind: str = ""
    branch: str = ""
    commit: str = ""
    files: tuple[str, ...] = ()
    merge: MergeStatus = ""
    conflicts: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    started_s: float = -1.0
    ended_s: float = -1.0

    @property
    def is_success(self) -> bool:
        """Whether the work was done (merged or not)."""
        return self.status == "completed"

    @property
    def is_landed(self) -> bool:
        """Whether the work was done and is in the run's main branch."""
        return self.is_success and self.merge in ("merged", "resolved", "empty")

    def to_json(self) -> JsonObject:
        """One entry of `subtask_results`."""
        turn = self.turn or TurnResult(outcome="failed", cost_usd=0.0)
        return {
            "subtask_id": self.subtask.id,
            "subagent_id": self.agent,
            "success": self.is_success,
            "result": turn.text,
            "steps": turn.steps,
            "tool_calls": turn.tool_calls,
            "execution_time_ms": round(turn.elapsed_s * 1000),
            "error": self.error or None,
            "artifacts": [{"artifact_type": "file", "name": f} for f in self.files],
            "name": self.subtask.name,
            "stage": self.subtask.stage,
            "dependencies": list(self.subtask.dependencies),
            "status": self.status,
            "outcome": self.turn.outcome if self.turn else None,
            "branch": self.branch or None,
            "commit": self.commit or None,
            "merge": self.merge or None,
            "conflicts": list(self.conflicts),
            "notes": list(self.notes),
            "usage": turn.usage.to_json(),
            "cost_usd": turn.cost_usd,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class SwarmResult:
    """The truth about a finished swarm."""

    swarm_id: str
    outcome: SwarmOutcome
    text: str = ""
    subtasks: tuple[SubtaskResult, ...] = ()
    error: str = ""
    error_kind: str = ""
    branch: str = ""
    base: str = ""
    commit: str = ""
    diffstat: str = ""
    usage: Usage = field(default_factory=Usage)
    """Of every agent: planner, sub-agents and their children, resolvers, synthesis."""
    cost_usd: float | None = None
    elapsed_s: float = 0.0
    notes: tuple[str, ...] = ()
    rate_limits: JsonObject = field(default_factory=dict)

    @property
    def is_success(self) -> bool:
        """Whether everything was done and merged."""
        return self.outcome == "success"

    def to_json(self) -> JsonObject:
        """The object that `--json` prints."""
        artifacts: list[JsonValue] = [
            {"artifact_type": "file", "name": name, "source_subagent": result.agent}
            for result in self.subtasks
            for name in result.files
        ]
        return {
            "success": self.is_success,
            "result": self.text,
            "subtask_results": [s.to_json() for s in self.subtasks],
            "stats": stats(self.subtasks, elapsed_s=self.elapsed_s, rate_limits=self.rate_limits),
            "artifacts": artifacts,
            "error": self.error or None,
            "outcome": self.outcome,
            "swarm_id": self.swarm_id,
            "branch": self.branch or None,
            "base": self.base or None,
            "commit": self.commit or None,
            "diffstat": self.diffstat,
            "usage": self.usage.to_json(),
            "cost_usd": self.cost_usd,
            "tokens": self.usage.total_tokens,
            "notes": list(self.notes),
        }


def exit_code(result: SwarmResult) -> int:
    """What the command ends with: 0 only for success; 3, 4 and 130 where they say more than 1."""
    if result.outcome == "success":
        return 0
    if result.error_kind:
        kind = getattr(errors, result.error_kind, errors.CodetetherError)
        return int(getattr(kind, "exit_code", 1))
    if result.outcome == "cancelled":
        return 130
    if any(s.turn and s.turn.outcome == "needs_decision" for s in result.subtasks):
        return errors.DecisionNeededError.exit_code
    return 1


def outcome_of(subtasks: tuple[SubtaskResult, ...]) -> SwarmOutcome:
    """What the subtasks come to, where the swarm was not cancelled."""
    if all(s.is_landed for s in subtasks):
        return "success"
    if any(_is_budget(s) for s in subtasks):
        return "budget"
    return "partial" if any(s.is_success for s in subtasks) else "failed"


def _is_budget(result: SubtaskResult) -> bool:
    return result.error_kind == "BudgetSpentError" or (
        result.turn is not None and result.turn.outcome == "budget"
    )
