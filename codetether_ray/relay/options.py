"""What a relay is asked to do, as values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from codetether_ray.core.spec import AgentKind, AgentSpec
from codetether_ray.relay.profiles import DEFAULT_COUNT

DEFAULT_ROUNDS = 3
MOST_SPECIALISTS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayOptions:
    """The task and the terms."""

    task: str
    template: AgentSpec
    """What every agent of the relay shares: model, correlation, limits, environment. Its path,
    kind, name, root, instructions, tools and depth are replaced."""
    count: int = DEFAULT_COUNT
    rounds: int = DEFAULT_ROUNDS
    tools: Mapping[AgentKind, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}))
    """Tools by kind of agent; none for a kind that is not there."""
    objective: str = ""
    """What the team works towards beside the task, and how that is measured; empty without."""

    @property
    def relay_id(self) -> str:
        """The id of this relay."""
        return self.template.correlation.relay_id or self.template.correlation.run_id
