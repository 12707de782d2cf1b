"""What an agent is made from, and what a turn of it comes to. Values only: they travel."""

from dataclasses import dataclass, field
from typing import Literal

from codetether_ray.core.usage import Usage

AgentKind = Literal["main", "planner", "subagent", "resolver", "synthesis", "member", "aide"]
"""`member`: of a relay, whose agents take turns in one tree. `aide`: answers one question."""

Outcome = Literal[
    "completed",
    "max_steps",
    "budget",
    "stuck",
    "timeout",
    "cancelled",
    "needs_decision",
    "waiting",
    "failed",
]
"""How a turn ended; only `completed` is success. `waiting`: a quota, to be resumed later."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Correlation:
    """Which run, session, swarm, task, goal a thing belongs to. Ids; empty where there is none."""

    run_id: str
    session_id: str = ""
    swarm_id: str = ""
    task_id: str = ""
    okr_id: str = ""
    okr_run_id: str = ""
    relay_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentSpec:
    """One agent, complete: everything that is not a secret and not a handle."""

    path: str
    kind: AgentKind
    name: str
    model: str
    """`provider/model`."""
    root: str
    """The directory that the agent works in and may not leave."""
    correlation: Correlation
    instructions: str = ""
    """The role, for the system prompt's stable part."""
    situation: str = ""
    """What varies (date, git base, siblings): sent last, in the first user message."""
    tools: tuple[str, ...] = ()
    """Names of the tools it gets; sorted by the registry."""
    max_steps: int = 50
    max_tool_calls: int = 500
    timeout_s: float | None = None
    """Wall time of a turn, waiting for children not counted."""
    max_output_tokens: int = 8192
    temperature: float | None = None
    depth: int = 0
    max_depth: int = 3
    cpus: float = 0.0
    """CPUs that Ray reserves for its actor; 0 because agents mostly wait."""
    memory_bytes: int = 200_000_000
    """What admission reserves for the agent with its tool processes. A sub-agent's commands may
    take no more than that together."""
    may_grow: bool = False
    """Whether it goes on elsewhere with more memory where its commands took too much; otherwise
    the model is told that they were ended."""
    env: tuple[tuple[str, str], ...] = ()
    """Extra variables of its tool processes (never secrets)."""
    output_schema: str | None = None
    """JSON text of the schema that the last message must satisfy."""
    retry_for_s: float = 300.0
    wait_quota_s: float = 0.0
    files: tuple[str, ...] = ()
    """Paths that its plan says it will touch."""
    base_url: str = ""
    """Overrides the provider's address (not secret)."""
    context_window: int | None = None
    """Tokens that the model takes, where the user knows better than our table."""
    finished_turns: int | None = None
    """How many finished turns its journal held when the caller asked for a new one. A turn that
    was finished later, with the same message, is this one and is not run again. None: the last
    turn of the journal is this one if it has the same message."""
    data_dir: str = ""
    """Where runs, keys and worktrees are kept; empty for this user's default."""
    hub: str = ""
    """The run's hub repository, which keeps the trees; empty for the one in `data_dir`."""
    node: str = ""
    """Id of the node that it lives on, its tree too; empty for its supervisor's. A spec that comes
    to a runtime with one stays there; otherwise admission chooses."""
    labels: tuple[tuple[str, str], ...] = ()
    """What its node must be labelled with."""
    placement: Literal["spread", "pack"] = "spread"
    """Where it goes of several nodes: where least is reserved, or where the run's files are."""
    principal: str = ""
    """Who asked for it; processes that are used again and fair shares are told apart by it."""
    tree: str = ""
    """Path of the agent that `root` was made for, which alone may put its files back; empty where
    `root` is the user's own directory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnResult:
    """The truth about a finished turn."""

    outcome: Outcome
    text: str = ""
    usage: Usage = field(default_factory=Usage)
    cost_usd: float | None = None
    """None where a model's price is unknown."""
    steps: int = 0
    tool_calls: int = 0
    elapsed_s: float = 0.0
    error: str = ""
    error_kind: str = ""
    """Class name of the error, where `outcome` is not `completed`."""
    resumes_at: float | None = None
    """When to go on (seconds since the epoch), where `outcome` is `waiting` and it is known."""

    @property
    def is_success(self) -> bool:
        """Whether the work was done."""
        return self.outcome == "completed"
