"""Runs that an agent's turn starts: a swarm, or Ralph on a PRD, in the agent's own directory."""

from dataclasses import dataclass, field
from typing import Literal, Protocol

from codetether_ray.core.spec import AgentSpec
from codetether_ray.core.usage import Usage

ChildKind = Literal["swarm", "ralph"]
RalphAction = Literal["run", "status", "create-prd"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SwarmWish:
    """A task to be split among agents."""

    task: str
    max_subagents: int | None = None
    """None: as the settings say, and no more than nobody has to agree to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RalphWish:
    """A PRD to be worked on (`run`), told about (`status`) or begun (`create-prd`)."""

    action: RalphAction
    prd: str = "prd.json"
    """Its path, from the agent's directory."""
    project: str = ""
    feature: str = ""
    max_iterations: int | None = None


ChildWish = SwarmWish | RalphWish


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildResult:
    """What a child run came to. `text` is for the model that asked for it."""

    run_id: str
    """Empty where nothing ran: a status, a template."""
    outcome: str
    is_success: bool
    text: str
    usage: Usage = field(default_factory=Usage)
    """Of the whole run, earlier tries included."""
    cost_usd: float | None = 0.0


class ChildRuns(Protocol):
    """Starts runs for one run's agents.

    A child's id derives from the run, the agent and the call: a parent that is resumed finds its
    child again, and none is started twice. What a child spends is its parent's.
    """

    async def run(self, parent: AgentSpec, call_id: str, wish: ChildWish) -> ChildResult:
        """Do a run in the parent's directory, and deliver what it made there.

        The parent's permit is lent meanwhile; cancelling the parent cancels the run.

        Raises:
            TreeLimitError: runs may not be nested deeper.
            ToolError: it cannot be done; the text is for the model.
        """
        ...
