"""What a swarm was asked for, complete."""

from dataclasses import dataclass, replace
from typing import ClassVar

from codetether_ray.bootstrap.run_request import RunRequest
from codetether_ray.core.ids import RunKind
from codetether_ray.core.spec import Correlation
from codetether_ray.swarm.options import STRATEGIES, Strategy, SwarmOptions

ASK_ABOVE = 20
"""A plan of more sub-agents than this needs somebody's word."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SwarmRequest(RunRequest):
    """The task and the terms."""

    kind: ClassVar[RunKind] = "swarm"
    verb: ClassVar[str] = "swarm"

    swarm_id: str
    task: str
    strategy: str = "auto"
    max_subagents: int = 100
    ask_above: int | None = ASK_ABOVE
    """Ask before a plan of more sub-agents is begun; None: never."""
    is_planned: bool = False
    """This try has begun, and made its plan, in the process of its driver."""

    @property
    def run_id(self) -> str:
        """The swarm's id."""
        return self.swarm_id

    @property
    def title(self) -> str:
        """Its task."""
        return self.task

    def needs_approval(self, subagents: int) -> bool:
        """Whether somebody must agree to a plan of so many sub-agents."""
        return self.ask_above is not None and subagents > self.ask_above

    @property
    def correlation(self) -> Correlation:
        """The ids of its events."""
        return replace(self.origin, swarm_id=self.swarm_id)

    def options(self) -> SwarmOptions:
        """The same in the coordinator's words."""
        return SwarmOptions(
            task=self.task,
            template=self.template("swarm"),
            tools=self.tools(),
            strategy=_strategy(self.strategy),
            max_subagents=self.max_subagents,
        )


def _strategy(name: str) -> Strategy:
    return next((known for known in STRATEGIES if known == name), "auto")
