"""Every error of this project.

One root. All constructor arguments go to `super().__init__`, because an exception is rebuilt
from `args` when it crosses processes; `__str__` words the sentence: what happened, what helps.
`exit_code` is what the command line ends with.
"""

from typing import ClassVar


class CodetetherError(Exception):
    """Root of the project's errors."""

    exit_code: ClassVar[int] = 1


class ConfigError(CodetetherError):
    """A setting is wrong: where, what, and what to do."""

    exit_code = 2


class UsageError(CodetetherError):
    """A command was given arguments that make no sense together."""

    exit_code = 2


class NoModelError(CodetetherError):
    """No model was named and no provider has a key."""

    exit_code = 4

    def __str__(self) -> str:
        return (
            "no model to talk to: add a key with `codetether auth set anthropic`, or start an "
            "OpenAI-compatible server and use `--model local/MODEL`, or try `./scripts/demo`"
        )


class UnknownProviderError(CodetetherError):
    """A model reference names a provider that does not exist."""

    exit_code = 2

    def __init__(self, provider: str, known: tuple[str, ...]) -> None:
        super().__init__(provider, known)
        self.provider, self.known = provider, known

    def __str__(self) -> str:
        return f"no provider {self.provider!r}; there are {', '.join(self.known)}"


class CredentialsError(CodetetherError):
    """A provider has no key, or refused it."""

    exit_code = 4

    def __init__(self, provider: str, detail: str) -> None:
        super().__init__(provider, detail)
        self.provider, self.detail = provider, detail

    def __str__(self) -> str:
        fix = f"set one with `codetether auth set {self.provider}`"
        return f"{self.provider}: {self.detail}; {fix}"


class KeyAwayError(CodetetherError):
    """A run on a cluster needs a provider's key, and the command that has it is gone."""

    exit_code = 4

    def __init__(self, provider: str, run_id: str, verb: str) -> None:
        super().__init__(provider, run_id, verb)
        self.provider, self.run_id, self.verb = provider, run_id, verb

    def __str__(self) -> str:
        return (
            f"{self.provider}: its key is in no memory of the cluster any more, and the command "
            f"that had it is gone; `codetether {self.verb} --resume {self.run_id}` where the key "
            "is brings it back"
        )


class DecisionNeededError(CodetetherError):
    """A decision was needed and nobody could answer."""

    exit_code = 3


# -- models ---------------------------------------------------------------------------------------


class ModelError(CodetetherError):
    """A model call failed. `is_retryable` says whether the same call may work later."""

    is_retryable: ClassVar[bool] = False

    def __init__(self, provider: str, detail: str) -> None:
        super().__init__(provider, detail)
        self.provider, self.detail = provider, detail

    def __str__(self) -> str:
        return f"{self.provider}: {self.detail}"


class ModelRefusedError(ModelError):
    """The provider answered with a status that repeating cannot mend (400, 404, 413, 422 …)."""

    def __init__(self, provider: str, detail: str, status: int) -> None:
        CodetetherError.__init__(self, provider, detail, status)
        self.provider, self.detail, self.status = provider, detail, status

    def __str__(self) -> str:
        sentence = f"{self.provider} answered {self.status}: {self.detail}"
        if self.status == 404:
            sentence += f"; `codetether models --provider {self.provider}` lists models"
        return sentence


class ContextOverflowError(ModelError):
    """The prompt is longer than the model's window."""


class ModelUnavailableError(ModelError):
    """The provider is busy or broken (429, 5xx); `retry_after_s` where it said."""

    is_retryable = True

    def __init__(
        self, provider: str, detail: str, status: int, retry_after_s: float | None = None
    ) -> None:
        CodetetherError.__init__(self, provider, detail, status, retry_after_s)
        self.provider, self.detail = provider, detail
        self.status, self.retry_after_s = status, retry_after_s

    def __str__(self) -> str:
        return f"{self.provider} answered {self.status}: {self.detail}"


class QuotaSpentError(ModelError):
    """A day's (or month's) quota is spent; waiting minutes does not help."""

    def __init__(self, provider: str, detail: str, resets_in_s: float | None = None) -> None:
        CodetetherError.__init__(self, provider, detail, resets_in_s)
        self.provider, self.detail, self.resets_in_s = provider, detail, resets_in_s

    def __str__(self) -> str:
        sentence = f"{self.provider}: the quota is spent ({self.detail})"
        if self.resets_in_s is None:
            return sentence
        span = f"{self.resets_in_s:.0f} s"
        return f"{sentence}; it resets in {span}, and `--wait-quota TIME` waits for that"


class ConnectionLostError(ModelError):
    """The connection could not be made, or broke, or fell silent."""

    is_retryable = True


class MalformedResponseError(ModelError):
    """The provider's bytes are not its protocol."""

    is_retryable = True


class TapeError(CodetetherError):
    """A tape cannot be read: where, and why."""

    exit_code = 2

    def __init__(self, path: str, detail: str) -> None:
        super().__init__(path, detail)
        self.path, self.detail = path, detail

    def __str__(self) -> str:
        return f"cannot replay the tape {self.path}: {self.detail}"


class TapeDepartureError(CodetetherError):
    """A replayed run asked for something else than was recorded."""

    def __init__(self, agent: str, step: int, difference: str) -> None:
        super().__init__(agent, step, difference)
        self.agent, self.step, self.difference = agent, step, difference

    def __str__(self) -> str:
        return f"the run departs from its tape at {self.agent}, step {self.step}: {self.difference}"


# -- agents ---------------------------------------------------------------------------------------


class BudgetSpentError(CodetetherError):
    """A reservation does not fit what is left of the run's budget."""

    def __init__(self, what: str, limit: float, spent: float) -> None:
        super().__init__(what, limit, spent)
        self.what, self.limit, self.spent = what, limit, spent

    def __str__(self) -> str:
        more = "; the next call would go beyond it" if self.spent < self.limit else ""
        return (
            f"the run's budget of {self.limit:g} {self.what} is spent ({self.spent:g} used{more})"
        )


class UnknownPriceError(CodetetherError):
    """A budget in dollars was asked for a model whose price is unknown."""

    exit_code = 2

    def __init__(self, model: str) -> None:
        super().__init__(model)
        self.model = model

    def __str__(self) -> str:
        return f"the price of {self.model} is unknown, so --budget cannot hold; use --max-tokens N"


class AgentLostError(CodetetherError):
    """An agent's process died: an infrastructure fault, no verdict on its work."""

    def __init__(self, agent: str, reason: str) -> None:
        super().__init__(agent, reason)
        self.agent, self.reason = agent, reason

    def __str__(self) -> str:
        return f"the process of agent {self.agent} died: {self.reason}"


class NodeLostError(AgentLostError):
    """An agent's node is gone, with the agent's process and its tree: it goes on elsewhere."""

    def __init__(self, agent: str, reason: str, node: str = "") -> None:
        super().__init__(agent, reason)
        self.args = (agent, reason, node)
        self.node = node


class MemoryExceededError(AgentLostError):
    """An agent, its tools counted in, was ended because it took too much memory.

    An infrastructure fault: it goes on with more, elsewhere. 0 bytes: not known.
    """

    def __init__(self, agent: str, reason: str, peak_bytes: int = 0, limit_bytes: int = 0) -> None:
        super().__init__(agent, reason)
        self.args = (agent, reason, peak_bytes, limit_bytes)
        self.peak_bytes, self.limit_bytes = peak_bytes, limit_bytes

    def __str__(self) -> str:
        taken = f", at {self.peak_bytes / 1e9:.2g} GB" if self.peak_bytes else ""
        limit = f" of {self.limit_bytes / 1e9:.2g} GB" if self.limit_bytes else ""
        return f"agent {self.agent} was ended{taken}{limit}: {self.reason}"


class TreeLimitError(CodetetherError):
    """The run's tree of agents is as deep or as large as allowed."""

    def __init__(self, what: str, limit: int) -> None:
        super().__init__(what, limit)
        self.what, self.limit = what, limit

    def __str__(self) -> str:
        return f"no more agents: the limit of {self.limit} for {self.what} is reached"


class InfeasibleError(CodetetherError):
    """An agent asks for more than any node could ever give; `host` comes nearest."""

    def __init__(self, needs: str, largest: str, host: str = "") -> None:
        super().__init__(needs, largest, host)
        self.needs, self.largest, self.host = needs, largest, host

    def __str__(self) -> str:
        node = f"the largest node, {self.host}," if self.host else "the largest node"
        return f"an agent needs {self.needs}; {node} has {self.largest}"


class OverLimitError(InfeasibleError):
    """An agent asks for more than all agents of its run together may take."""

    def __init__(self, needs: str, most: str) -> None:
        super().__init__(needs, most)
        self.args = (needs, most)

    def __str__(self) -> str:
        return (
            f"an agent needs {self.needs}; all agents of the run together may take {self.largest}"
        )


class ClusterError(CodetetherError):
    """Ray could not be started or joined; the sentence says what to do."""


class RunLostError(ClusterError):
    """The process that a run lived in died; its journal has what was finished."""

    def __init__(self, run_id: str, reason: str, go_on: str = "") -> None:
        super().__init__(run_id, reason, go_on)
        self.run_id, self.reason, self.go_on = run_id, reason, go_on

    def __str__(self) -> str:
        how = f"; go on with: {self.go_on}" if self.go_on else ""
        return (
            f"the supervisor of {self.run_id} is gone ({self.reason}) and its agents with it; "
            f"finished work is kept{how}"
        )


class UnfinishedAnswerError(CodetetherError):
    """A model ended again and again without an answer: cut, empty, filtered."""


class InvalidAnswerError(CodetetherError):
    """A model's last message does not satisfy the schema that was asked for."""


# -- tools ----------------------------------------------------------------------------------------


class ToolError(CodetetherError):
    """For the model to read and act on; anything else a tool raises is ours to fix."""


class PathEscapesError(ToolError):
    """A path leads out of the agent's directory."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.path = path

    def __str__(self) -> str:
        return f"{self.path} is outside the workspace; use a path inside it"


# -- workspace, swarm -----------------------------------------------------------------------------


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


# -- journal, bus, stores -------------------------------------------------------------------------


class JournalError(CodetetherError):
    """The journal could not be written; nothing unacknowledged is promised."""


class JournalCorruptError(JournalError):
    """Bytes in the middle of a journal are damaged."""

    def __init__(self, run_id: str, segment: str, offset: int, detail: str) -> None:
        super().__init__(run_id, segment, offset, detail)
        self.run_id, self.segment, self.offset, self.detail = run_id, segment, offset, detail

    def __str__(self) -> str:
        where = f"at byte {self.offset} of {self.segment}"
        return f"the journal of {self.run_id} is damaged {where}: {self.detail}"


class HistoryError(JournalError):
    """An agent's recorded events contradict each other."""

    def __init__(self, agent: str, detail: str) -> None:
        super().__init__(agent, detail)
        self.agent, self.detail = agent, detail

    def __str__(self) -> str:
        return f"the history of agent {self.agent} is not sound: {self.detail}"


class RunBusyError(JournalError):
    """Another process writes this run; `stale_s` is how long it may be silent."""

    def __init__(self, run_id: str, holder: str, stale_s: float = 15.0) -> None:
        super().__init__(run_id, holder, stale_s)
        self.run_id, self.holder, self.stale_s = run_id, holder, stale_s

    def __str__(self) -> str:
        return (
            f"run {self.run_id} is in use by {self.holder}; stop it there or with "
            f"`codetether cancel {self.run_id}`, then resume (a process of this machine that hangs "
            f"can be taken over once it was silent for {self.stale_s:g} s)"
        )


class FencedError(JournalError):
    """A process that was replaced asked for something in the name of its agent."""

    def __init__(self, agent: str) -> None:
        super().__init__(agent)
        self.agent = agent

    def __str__(self) -> str:
        return f"another process took agent {self.agent} over; this one must stop"


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


class RunForgottenError(CodetetherError):
    """A run was removed for good by `codetether forget`."""

    exit_code = 2

    def __init__(self, run_id: str, when: str, by: str) -> None:
        super().__init__(run_id, when, by)
        self.run_id, self.when, self.by = run_id, when, by

    def __str__(self) -> str:
        return f"run {self.run_id} was forgotten on {self.when} by {self.by}; only hashes are left"


class UnknownRunError(CodetetherError):
    """There is no such run or session."""

    exit_code = 2

    def __init__(self, run_id: str) -> None:
        super().__init__(run_id)
        self.run_id = run_id

    def __str__(self) -> str:
        return f"no run {self.run_id!r}; `codetether runs` lists them"


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


# -- objectives and key results -------------------------------------------------------------------


class InvalidOkrError(CodetetherError):
    """An OKR, or a draft of one, is not sound: where, and what is wrong."""

    exit_code = 2

    def __init__(self, where: str, problem: str) -> None:
        super().__init__(where, problem)
        self.where, self.problem = where, problem

    def __str__(self) -> str:
        return f"{self.where}: {self.problem}" if self.where else self.problem


class UnknownOkrError(CodetetherError):
    """There is no such OKR, or run of one."""

    exit_code = 2

    def __init__(self, id: str, what: str = "OKR or run") -> None:
        super().__init__(id, what)
        self.id, self.what = id, what

    def __str__(self) -> str:
        return f"no {self.what} {self.id!r}; `codetether okr list` and `okr runs` show what there is"


class OkrTransitionError(CodetetherError):
    """A run of an OKR cannot become what was asked, being what it is."""

    def __init__(self, run_id: str, status: str, verb: str, detail: str = "") -> None:
        super().__init__(run_id, status, verb, detail)
        self.run_id, self.status, self.verb, self.detail = run_id, status, verb, detail

    def __str__(self) -> str:
        more = f" ({self.detail})" if self.detail else ""
        status = self.status.replace("_", " ")
        return f"run {self.run_id} cannot be {self.verb}: it is {status}{more}"


class NotApprovedError(OkrTransitionError):
    """A run shall begin that nobody approved."""

    def __str__(self) -> str:
        return (
            f"run {self.run_id} was not approved, so it cannot be {self.verb}; "
            f"`codetether okr approve --id {self.run_id}` approves it"
        )


class OkrChangedError(CodetetherError):
    """What somebody decided on is not what is stored: it was changed meanwhile."""

    def __init__(self, id: str, seen: int, stored: int) -> None:
        super().__init__(id, seen, stored)
        self.id, self.seen, self.stored = id, seen, stored

    def __str__(self) -> str:
        return (
            f"OKR {self.id} was changed meanwhile (version {self.stored}; yours is {self.seen}); "
            f"look at it again with `codetether okr status --id {self.id}`"
        )


class OkrStoreError(CodetetherError):
    """The store of OKRs cannot be read or written."""
