"""What a relay was asked for, complete."""

from dataclasses import dataclass, replace
from typing import ClassVar

from codetether_ray.bootstrap.run_request import RunRequest
from codetether_ray.core.ids import RunKind
from codetether_ray.core.spec import Correlation
from codetether_ray.okr.stamps import seeded
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
    okr_id: str = ""
    """The OKR of that run."""

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
        """The ids of its events; of a draft, those that it will have."""
        return self.correlated(1)

    def correlated(self, number: int) -> Correlation:
        """The same, where the objective is the draft of that number (from 1)."""
        ids = replace(self.origin, relay_id=self.relay_id)
        if self.okr_run_id:
            return replace(ids, okr_id=self.okr_id or ids.okr_id, okr_run_id=self.okr_run_id)
        if not self.is_gated:
            return ids
        new_id = seeded(self.relay_id)
        return replace(ids, okr_id=new_id(f"{number}/okr"), okr_run_id=new_id(f"{number}/run"))

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
