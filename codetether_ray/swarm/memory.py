"""What the journal already knows of a swarm: the fold of its coordinator's events."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeGuard

from codetether_ray.core.events import Event, PlanMade, SubtaskChanged, SubtaskMerged, SwarmStarted
from codetether_ray.swarm.plan import Plan
from codetether_ray.swarm.result import SubtaskResult


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """The plan, and the subtasks that are done (and merged): they are not done again."""

    is_started: bool = False
    is_begun: bool = False
    """Some subtask was queued, so the plan needs no more approval."""
    plan: Plan | None = None
    completed: tuple[SubtaskResult, ...] = ()
    setbacks: Mapping[str, int] = field(default_factory=dict)
    """How often a subtask failed or stayed unmerged, by its id."""

    @classmethod
    def of(cls, history: Sequence[Event]) -> "Memory":
        """Fold the coordinator's durable events."""
        plan: Plan | None = None
        done: dict[str, SubtaskResult] = {}
        for event in history:
            if isinstance(event, PlanMade):
                plan = Plan.from_json(event.subtasks, event.warnings)
            elif isinstance(event, SubtaskChanged) and plan is not None:
                done.pop(event.id, None)
                if event.status == "completed":
                    done[event.id] = _completed(plan, event)
            elif isinstance(event, SubtaskMerged) and event.id in done:
                merge = event.status if event.status != "unmerged" else ""
                done[event.id] = replace(done[event.id], merge=merge, conflicts=event.conflicts)
        started = any(isinstance(event, SwarmStarted) for event in history)
        begun = any(isinstance(event, SubtaskChanged) for event in history)
        return cls(
            is_started=started,
            is_begun=begun,
            plan=plan,
            completed=tuple(done.values()),
            setbacks=Counter(e.id for e in history if _is_setback(e)),
        )


def _is_setback(event: Event) -> TypeGuard[SubtaskChanged | SubtaskMerged]:
    if isinstance(event, SubtaskMerged):
        return event.status == "unmerged"
    return isinstance(event, SubtaskChanged) and event.status == "failed"


def _completed(plan: Plan, event: SubtaskChanged) -> SubtaskResult:
    return SubtaskResult(
        subtask=plan.by_id[event.id],
        agent=event.agent,
        status="completed",
        turn=event.result,
        branch=event.branch,
        commit=event.commit,
        files=event.files,
        started_s=0.0,
        ended_s=0.0,
    )
