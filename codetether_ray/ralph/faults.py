"""What is no fault of a story: an attempt that it broke counts as none."""

from codetether_ray.core.errors import BudgetSpentError, CodetetherError
from codetether_ray.core.spec import TurnResult

_PASSING = frozenset(
    {
        "AgentLostError",
        "ClusterError",
        "ConnectionLostError",
        "MalformedResponseError",
        "MemoryExceededError",
        "ModelUnavailableError",
        "NodeLostError",
        "WorkspaceError",
    }
)
"""Kinds of errors that may be gone the next time."""
_LASTING = frozenset(
    {
        "ConfigError",
        "CredentialsError",
        "InfeasibleError",
        "KeyAwayError",
        "ModelRefusedError",
        "NoModelError",
        "OverLimitError",
        "PrdError",
        "PrdGoneError",
        "QuotaSpentError",
        "TapeDepartureError",
        "TapeError",
        "ToolError",
        "TreeLimitError",
        "UnknownProviderError",
    }
)
"""Kinds that stay until somebody does something; the run stops, and can be resumed."""


class FaultError(CodetetherError):
    """Something beside the story broke. `is_passing`: it may be gone the next time."""

    def __init__(self, detail: str, error_kind: str, is_passing: bool) -> None:
        super().__init__(detail, error_kind, is_passing)
        self.detail, self.error_kind, self.is_passing = detail, error_kind, is_passing

    def __str__(self) -> str:
        return self.detail


class BudgetOverError(FaultError):
    """The run's budget is spent; what is open stays open."""

    def __init__(self, detail: str) -> None:
        CodetetherError.__init__(self, detail)
        self.detail, self.error_kind, self.is_passing = detail, "BudgetSpentError", False


def refuse_unfinished(turn: TurnResult) -> None:
    """Let a turn pass that is the agent's own, however it ended.

    Raises:
        FaultError: something else ended it.
        BudgetOverError: the budget did.
    """
    if turn.outcome == "budget":
        raise BudgetOverError(turn.error or "the run's budget is spent")
    fault = fault_of(turn)
    if fault is not None:
        raise fault


def fault_of(turn: TurnResult) -> FaultError | None:
    """The fault that ended a turn; None if the turn is the story's own."""
    if turn.outcome == "waiting":
        return FaultError(turn.error or "a quota is spent", "QuotaSpentError", False)
    if turn.outcome != "failed":
        return None
    kind = turn.error_kind
    if kind in _PASSING or kind in _LASTING:
        return FaultError(turn.error or kind, kind, kind in _PASSING)
    return None


def fault_from(error: CodetetherError) -> FaultError:
    """What was raised beside an agent's turn, as a fault."""
    if isinstance(error, FaultError):
        return error
    if isinstance(error, BudgetSpentError):
        return BudgetOverError(str(error))
    kind = type(error).__name__
    return FaultError(str(error), kind, kind not in _LASTING)
