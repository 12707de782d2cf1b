"""What a swarm is asked to do, as values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

from codetether_ray.core.spec import AgentKind, AgentSpec

Strategy = Literal["auto", "domain", "data", "stage", "none"]
STRATEGIES: tuple[Strategy, ...] = ("auto", "domain", "data", "stage", "none")


@dataclass(frozen=True, slots=True, kw_only=True)
class SwarmOptions:
    """The task and the terms."""

    task: str
    template: AgentSpec
    """What every agent of the swarm shares: model, correlation, limits, environment. Its path,
    kind, name, root, instructions, situation, tools and depth are replaced; its root is the
    directory that the planner and the synthesis see."""
    tools: Mapping[AgentKind, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}))
    """Tools by kind of agent; none for a kind that is not there."""
    strategy: Strategy = "auto"
    max_subagents: int = 100

    @property
    def swarm_id(self) -> str:
        """The id of this swarm."""
        return self.template.correlation.swarm_id or self.template.correlation.run_id
