"""One agent that waits for a permit or lives, as the runtime knows it, and how it may end."""

from dataclasses import dataclass, field, replace

from codetether_ray.core.messages import Message
from codetether_ray.core.spec import AgentSpec, TurnResult
from codetether_ray.local.family import Family
from codetether_ray.local.moves import Moves
from codetether_ray.local.overdue import Loan
from codetether_ray.ports.admission import Permit, Rank
from codetether_ray.ports.host import AgentProcess
from codetether_ray.ports.publisher import Publisher
from codetether_ray.ports.runtime import AgentStatus, Prepare


@dataclass(slots=True, eq=False)
class Hosted:
    """One agent that waits or lives."""

    spec: AgentSpec
    message: Message
    rank: Rank
    priority: int
    prepare: Prepare | None
    publisher: Publisher
    only_node: str | None = None
    """The one node that it can live on."""
    state: str = "queued"
    reason: str = ""
    started_at: float = 0.0
    admitted_s: float = 0.0
    attempts: int = 0
    deaths: int = 0
    """How often its process died of itself, and not with its node or for want of memory."""
    moves: Moves = field(default_factory=Moves)
    permit: Permit | None = None
    process: AgentProcess | None = None
    is_cancelled: bool = False
    parked: TurnResult | None = None
    """What its turn had come to when it began to wait for a quota."""
    loan: Loan = field(default_factory=Loan)
    family: Family = field(default_factory=Family)

    def status(self) -> AgentStatus:
        """How it stands, for who lists agents."""
        is_waiting = self.state == "running" and self.permit is not None and self.permit.is_lent
        return AgentStatus(
            path=self.spec.path,
            name=self.spec.name,
            state="waiting" if is_waiting else self.state,
            reason="waits for its children" if is_waiting else self.reason,
            started_at=self.started_at,
            attempts=self.attempts,
        )


def cancelled(parked: TurnResult | None = None) -> TurnResult:
    """The end of an agent that has no turn; what one had used before it waited stays true."""
    return replace(
        parked or TurnResult(outcome="cancelled"),
        outcome="cancelled",
        error="it was cancelled",
        error_kind="CancelledError",
        resumes_at=None,
    )


def with_children(result: TurnResult, children: tuple[TurnResult, ...]) -> TurnResult:
    """The result with what its children used added."""
    if not children:
        return result
    usage, cost = result.usage, result.cost_usd
    for child in children:
        usage += child.usage
        if child.usage.total_tokens:
            known = cost is not None and child.cost_usd is not None
            cost = (cost or 0.0) + (child.cost_usd or 0.0) if known else None
    return replace(result, usage=usage, cost_usd=cost)
