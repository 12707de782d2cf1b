"""Figures of a finished swarm, under the reference program's keys."""

from collections.abc import Sequence
from typing import Protocol

from codetether_ray.core.codec import JsonObject, JsonValue
from codetether_ray.core.spec import TurnResult
from codetether_ray.swarm.plan import Subtask


class Timed(Protocol):
    """What is counted: a subtask's result."""

    @property
    def subtask(self) -> Subtask:
        """What was to be done."""
        ...

    @property
    def turn(self) -> TurnResult | None:
        """What its agent came to."""
        ...

    @property
    def is_success(self) -> bool:
        """Whether it was done."""
        ...

    @property
    def started_s(self) -> float:
        """When its agent was admitted; -1 if never."""
        ...

    @property
    def ended_s(self) -> float:
        """When it ended."""
        ...


def stats(results: Sequence[Timed], *, elapsed_s: float, rate_limits: JsonObject) -> JsonObject:
    """The `stats` object: counts, times in milliseconds, one entry per stage."""
    ran = [r for r in results if r.started_s >= 0]
    sequential_s = sum(r.turn.elapsed_s for r in ran if r.turn)
    return {
        "subagents_spawned": len(ran),
        "subagents_completed": sum(r.is_success for r in results),
        "subagents_failed": sum(not r.is_success for r in ran),
        "total_tool_calls": sum(r.turn.tool_calls for r in ran if r.turn),
        "critical_path_length": _critical_path(results),
        "execution_time_ms": round(elapsed_s * 1000),
        "sequential_time_estimate_ms": round(sequential_s * 1000),
        "speedup_factor": round(sequential_s / elapsed_s, 3) if elapsed_s > 0 else 1.0,
        "stages": _stages(ran),
        "rate_limit_stats": rate_limits,
    }


def _steps(result: Timed) -> int:
    return result.turn.steps if result.turn else 0


def _critical_path(results: Sequence[Timed]) -> int:
    """The most steps along any chain of dependencies."""
    longest: dict[str, int] = {}
    for result in sorted(results, key=lambda r: r.subtask.stage):
        before = max((longest.get(d, 0) for d in result.subtask.dependencies), default=0)
        longest[result.subtask.id] = before + _steps(result)
    return max(longest.values(), default=0)


def _stages(ran: Sequence[Timed]) -> list[JsonValue]:
    """Per stage; its time runs from its first start to its last end (stages overlap)."""
    out: list[JsonValue] = []
    for stage in sorted({r.subtask.stage for r in ran}):
        members = [r for r in ran if r.subtask.stage == stage]
        began, ended = min(r.started_s for r in members), max(r.ended_s for r in members)
        out.append(
            {
                "stage": stage,
                "subagent_count": len(members),
                "max_steps": max(_steps(r) for r in members),
                "total_steps": sum(_steps(r) for r in members),
                "execution_time_ms": round(max(ended - began, 0.0) * 1000),
            }
        )
    return out
