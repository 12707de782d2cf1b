"""What the journal already knows of a swarm: the fold of its coordinator's events."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeGuard

from codetether_ray.core.events import (
    Event,
    PlanMade,
    SubtaskChanged,
    SubtaskMerged,
    SubtaskStatus,
    SwarmContinued,
    SwarmStarted,
)
from codetether_ray.core.spec import TurnResult
from codetether_ray.swarm.plan import Plan
from codetether_ray.swarm.result import SubtaskResult


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """The plan, and the subtasks that are settled: they are not done again."""

    rules: int | None = None
    """Version of the rules that decided last; None: it has not begun."""
    is_begun: bool = False
    """Some subtask was queued, so the plan needs no more approval."""
    plan: Plan | None = None
    settled: tuple[SubtaskResult, ...] = ()
    """Those that are done (and merged), and those that somebody cancelled."""
    setbacks: Mapping[str, int] = field(default_factory=dict)
    """How often a subtask failed or stayed unmerged, by its id."""

    @classmethod
    def of(cls, history: Sequence[Event]) -> "Memory":
        """Fold the coordinator's durable events."""
        plan: Plan | None = None
        rules: int | None = None
        settled: dict[str, SubtaskResult] = {}
        for event in history:
            if isinstance(event, (SwarmStarted, SwarmContinued)):
                rules = event.rules
            elif isinstance(event, PlanMade):
                plan = Plan.from_json(event.subtasks, event.warnings)
            elif isinstance(event, SubtaskChanged) and plan is not None:
                settled.pop(event.id, None)
                if event.status == "completed" or is_cancelled(event.status, event.result):
                    settled[event.id] = _settled(plan, event)
            elif isinstance(event, SubtaskMerged) and event.id in settled:
                merge = event.status if event.status != "unmerged" else ""
                known = settled[event.id]
                settled[event.id] = replace(known, merge=merge, conflicts=event.conflicts)
        begun = any(isinstance(event, SubtaskChanged) for event in history)
        return cls(
            rules=rules,
            is_begun=begun,
            plan=plan,
            settled=tuple(settled.values()),
            setbacks=Counter(e.id for e in history if _is_setback(e)),
        )


def is_cancelled(status: SubtaskStatus, turn: TurnResult | None) -> bool:
    """Whether somebody cancelled this very subtask.

    One that was cut off by the end of its swarm has no result of its own (and is `interrupted`,
    or `cancelled` in an old journal).
    """
    return status == "cancelled" and turn is not None and turn.outcome == "cancelled"


def _is_setback(event: Event) -> TypeGuard[SubtaskChanged | SubtaskMerged]:
    if isinstance(event, SubtaskMerged):
        return event.status == "unmerged"
    return isinstance(event, SubtaskChanged) and event.status == "failed"


def _settled(plan: Plan, event: SubtaskChanged) -> SubtaskResult:
    return SubtaskResult(
        subtask=plan.by_id[event.id],
        agent=event.agent,
        status=event.status,
        error=event.detail,
        turn=event.result,
        branch=event.branch,
        commit=event.commit,
        files=event.files,
        started_s=0.0,
        ended_s=0.0,
    )
