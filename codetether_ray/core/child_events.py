"""Runs that a run's agents start, as the parent's journal tells them. Durable."""

from dataclasses import dataclass, field
from typing import ClassVar

from codetether_ray.core.usage import Usage


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildRunStarted:
    """An agent's call starts a run, or takes up the one that it had started."""

    tag: ClassVar[str] = "child.started"

    run_id: str
    kind: str
    agent: str
    """Path of the agent that asked for it."""
    call_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildRunFinished:
    """A child run has ended. Usage and cost are of all its tries: what is said last counts."""

    tag: ClassVar[str] = "child.finished"

    run_id: str
    kind: str
    agent: str
    call_id: str
    outcome: str
    usage: Usage = field(default_factory=Usage)
    cost_usd: float | None = 0.0


ChildEvent = ChildRunStarted | ChildRunFinished
