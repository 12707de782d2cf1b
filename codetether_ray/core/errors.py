"""Every error of this project; everybody takes them from here.

One root (`root_error`, which says how an error is made). Those of models, agents, runs and OKRs
stand with their noun; the others follow.
"""

from codetether_ray.core.access_errors import (
    AccessError,
    AuthUnavailableError,
    ForbiddenError,
    TooManyFailuresError,
    UnauthenticatedError,
)
from codetether_ray.core.agent_errors import (
    AgentLostError,
    BudgetSpentError,
    InfeasibleError,
    InvalidAnswerError,
    MemoryExceededError,
    NodeLostError,
    OverLimitError,
    PathEscapesError,
    ToolError,
    TreeLimitError,
    UnfinishedAnswerError,
    UnknownPriceError,
)
from codetether_ray.core.ingress_errors import (
    AddressError,
    PortTakenError,
    ServesAlreadyError,
    ServesHereError,
)
from codetether_ray.core.model_errors import (
    ConnectionLostError,
    ContextOverflowError,
    CredentialsError,
    KeyAwayError,
    MalformedResponseError,
    ModelError,
    ModelRefusedError,
    ModelUnavailableError,
    NoModelError,
    QuotaSpentError,
    TapeDepartureError,
    TapeError,
    UnknownProviderError,
)
from codetether_ray.core.okr_errors import (
    DraftingFailedError,
    InvalidOkrError,
    NotApprovedError,
    OkrChangedError,
    OkrStoreError,
    OkrTransitionError,
    UnknownOkrError,
)
from codetether_ray.core.peer_errors import PeerAccessError, PeerError
from codetether_ray.core.root_error import CodetetherError
from codetether_ray.core.run_errors import (
    ClusterError,
    FencedError,
    HistoryError,
    JournalCorruptError,
    JournalError,
    RunBusyError,
    RunForgottenError,
    RunLostError,
    UnknownRunError,
)
from codetether_ray.core.task_errors import TaskStoreError
from codetether_ray.core.work_errors import (
    UnknownWorkerError,
    UnknownWorkError,
    WorkStoreError,
    WorkTakenError,
)

__all__ = [
    "AccessError",
    "AddressError",
    "AgentLostError",
    "ArchiveError",
    "ArchiveUnreachableError",
    "AuditError",
    "AuthUnavailableError",
    "BudgetSpentError",
    "ClusterError",
    "CodetetherError",
    "ConfigError",
    "ConnectionLostError",
    "ContextOverflowError",
    "CredentialsError",
    "DecisionNeededError",
    "DraftingFailedError",
    "FencedError",
    "ForbiddenError",
    "HistoryError",
    "InfeasibleError",
    "InvalidAnswerError",
    "InvalidOkrError",
    "JournalCorruptError",
    "JournalError",
    "KeyAwayError",
    "MalformedResponseError",
    "MemoryExceededError",
    "ModelError",
    "ModelRefusedError",
    "ModelUnavailableError",
    "NoModelError",
    "NodeLostError",
    "NotApprovedError",
    "OkrChangedError",
    "OkrStoreError",
    "OkrTransitionError",
    "OverLimitError",
    "ParentsConflictError",
    "PathEscapesError",
    "PeerAccessError",
    "PeerError",
    "PlanError",
    "PlannerFailedError",
    "PortTakenError",
    "PrdBusyError",
    "PrdError",
    "PrdFileError",
    "PrdGoneError",
    "QuotaSpentError",
    "RunBusyError",
    "RunForgottenError",
    "RunLostError",
    "SecretStoreError",
    "ServesAlreadyError",
    "ServesHereError",
    "TapeDepartureError",
    "TapeError",
    "TaskStoreError",
    "TooManyFailuresError",
    "TooManyPollsError",
    "ToolError",
    "TreeLimitError",
    "UnauthenticatedError",
    "UnfinishedAnswerError",
    "UnknownOkrError",
    "UnknownPriceError",
    "UnknownProviderError",
    "UnknownRunError",
    "UnknownWorkError",
    "UnknownWorkerError",
    "UsageError",
    "WorkStoreError",
    "WorkTakenError",
    "WorkspaceError",
]


class ConfigError(CodetetherError):
    """A setting is wrong: where, what, and what to do."""

    exit_code = 2


class UsageError(CodetetherError):
    """A command was given arguments that make no sense together."""

    exit_code = 2


class DecisionNeededError(CodetetherError):
    """A decision was needed and nobody could answer."""

    exit_code = 3


class WorkspaceError(CodetetherError):
    """Git or the file system said no."""


class ParentsConflictError(WorkspaceError):
    """The commits that a worktree should start from cannot be merged without a decision."""

    def __init__(self, files: tuple[str, ...]) -> None:
        super().__init__(files)
        self.files = files

    def __str__(self) -> str:
        return f"the commits to start from conflict in {', '.join(self.files)}"


class PlanError(CodetetherError):
    """A plan cannot be accepted: the sentence says what is wrong, for the model and the user."""


class PlannerFailedError(CodetetherError):
    """The agent that makes a swarm's plan did not end its turn well."""

    def __init__(self, outcome: str, error_kind: str, detail: str) -> None:
        super().__init__(outcome, error_kind, detail)
        self.outcome, self.error_kind, self.detail = outcome, error_kind, detail

    def __str__(self) -> str:
        return f"no plan was made: the planner ended with {self.outcome} ({self.detail})"


class PrdError(CodetetherError):
    """A PRD cannot be used: a sentence for each thing that is wrong, with its JSON path."""

    exit_code = 2

    def __init__(self, problems: tuple[str, ...], source: str = "") -> None:
        super().__init__(problems, source)
        self.problems, self.source = problems, source

    def __str__(self) -> str:
        where = f"{self.source}: " if self.source else ""
        first, others = self.problems[0], len(self.problems) - 1
        more = f" (and {others} more problem{'s' if others > 1 else ''})" if others else ""
        return f"{where}{first}{more}"


class PrdBusyError(CodetetherError):
    """Another process works on the same PRD."""

    def __init__(self, path: str, holder: str) -> None:
        super().__init__(path, holder)
        self.path, self.holder = path, holder

    def __str__(self) -> str:
        return f"{self.path} is being worked on by {self.holder}; wait for it, or end it"


class PrdFileError(CodetetherError):
    """The file of a PRD cannot be read or written."""

    exit_code = 2

    def __init__(self, path: str, detail: str) -> None:
        super().__init__(path, detail)
        self.path, self.detail = path, detail

    def __str__(self) -> str:
        return f"{self.path}: {self.detail}"


class PrdGoneError(PrdFileError):
    """The file of a PRD was taken away under who works on it."""

    def __init__(self, path: str, detail: str = "") -> None:
        words = (
            "it was deleted while it was being worked on; put it back (`git checkout` has it, "
            "where it is tracked), and resume the run"
        )
        super().__init__(path, detail or words)


class AuditError(CodetetherError):
    """The audit log cannot be written, so nothing that must be audited may be done."""


class ArchiveError(CodetetherError):
    """The archive said no, or holds something else than it should."""


class ArchiveUnreachableError(ArchiveError):
    """The archive did not answer, or not well; the same may work later."""

    def __init__(self, place: str, reason: str) -> None:
        super().__init__(place, reason)
        self.place, self.reason = place, reason

    def __str__(self) -> str:
        return f"the archive {self.place} cannot be reached: {self.reason}"


class TooManyPollsError(CodetetherError):
    """The bus holds as many parked polls as it may."""

    def __init__(self, limit: int) -> None:
        super().__init__(limit)
        self.limit = limit

    def __str__(self) -> str:
        return f"the bus already holds {self.limit} waiting polls; share one per process"


class SecretStoreError(CodetetherError):
    """The secret store cannot be read or written."""

    exit_code = 4
