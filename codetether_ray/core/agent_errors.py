"""What goes wrong with an agent: its process, its limits, its answer, its tools."""

from codetether_ray.core.root_error import CodetetherError


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


class UnfinishedAnswerError(CodetetherError):
    """A model ended again and again without an answer: cut, empty, filtered."""


class InvalidAnswerError(CodetetherError):
    """A model's last message does not satisfy the schema that was asked for."""


class ToolError(CodetetherError):
    """For the model to read and act on; anything else a tool raises is ours to fix."""


class PathEscapesError(ToolError):
    """A path leads out of the agent's directory."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.path = path

    def __str__(self) -> str:
        return f"{self.path} is outside the workspace; use a path inside it"
