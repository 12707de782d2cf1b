"""What a Ralph run is asked to do, as values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from codetether_ray.core.spec import AgentKind, AgentSpec

MAX_ITERATIONS = 10
GATE_TIMEOUT_S = 1800.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RalphOptions:
    """The terms; the stories are in the PRD."""

    prd: str
    """The PRD's path, as people are told of it."""
    template: AgentSpec
    """What every agent of the run shares: model, correlation, limits. Its path, kind, name, root,
    instructions, situation, tools and depth are replaced."""
    tools: Mapping[AgentKind, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}))
    diagnosis_tools: tuple[str, ...] = ()
    """Tools that read; of the agent that looks for the cause of like failures."""
    max_iterations: int = MAX_ITERATIONS
    """How many attempts, of all stories together."""
    parallel: int | None = None
    """How many stories at once; None: as many as are admitted."""
    gate_timeout_s: float = GATE_TIMEOUT_S

    @property
    def run_id(self) -> str:
        """The id of this run."""
        return self.template.correlation.run_id

    @property
    def okr_id(self) -> str:
        """The objective that it serves; empty for none."""
        return self.template.correlation.okr_id
