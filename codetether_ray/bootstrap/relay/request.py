"""What a relay was asked for, complete."""

from dataclasses import dataclass, replace
from typing import ClassVar

from codetether_ray.bootstrap.run_request import RunRequest
from codetether_ray.core.ids import RunKind
from codetether_ray.core.spec import Correlation
from codetether_ray.relay.options import DEFAULT_ROUNDS, RelayOptions
from codetether_ray.relay.profiles import DEFAULT_COUNT

TIMEOUT_S = 1_800.0
"""How long one member's turn may take, where nobody says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayRequest(RunRequest):
    """The task and the terms."""

    kind: ClassVar[RunKind] = "relay"
    verb: ClassVar[str] = "run"

    relay_id: str
    task: str
    count: int = DEFAULT_COUNT
    rounds: int = DEFAULT_ROUNDS
    is_gated: bool = False
    """Whether it works towards an OKR, which somebody has to approve first (`/go`)."""
    is_approved: bool = False
    """`--yes`: whoever asked approves what is drafted beforehand."""
    okr_run_id: str = ""
    """The run of an OKR that is there already; empty: one is drafted from the task."""

    @property
    def run_id(self) -> str:
        """The relay's id."""
        return self.relay_id

    @property
    def title(self) -> str:
        """Its task."""
        return self.task

    @property
    def correlation(self) -> Correlation:
        """The ids of its events."""
        return replace(self.origin, relay_id=self.relay_id)

    def options(self, correlation: Correlation, objective: str = "") -> RelayOptions:
        """The same in the coordinator's words."""
        return RelayOptions(
            task=self.task,
            template=replace(self.template("relay", "member"), correlation=correlation),
            count=self.count,
            rounds=self.rounds,
            tools=self.tools(),
            objective=objective,
        )
