"""What an agent does: its lives, turns, model calls, tools. Durable: the journal keeps it."""

from dataclasses import dataclass, field
from typing import ClassVar, Literal

from codetether_ray.core.messages import Message, ToolCall, ToolResult
from codetether_ray.core.models import ModelResponse, ToolSchema
from codetether_ray.core.spec import AgentSpec, TurnResult
from codetether_ray.core.usage import Usage


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionTerms:
    """All that an agent's decisions depend on beside its conversation and its spec.

    `decider` is the version of the rules (`agent.decide.DECIDER`), `room` the longest prompt in
    tokens, `effects` each tool's effect by name.
    """

    decider: int
    room: int
    effects: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentStarted:
    """An agent exists; the prompt prefix it will send for its whole life."""

    tag: ClassVar[str] = "agent.started"
    spec: AgentSpec
    system: str
    tools: tuple[ToolSchema, ...] = ()
    prefix_digest: str = ""
    """SHA-256 of the encoded system prompt and tools."""
    parts: tuple[str, ...] = ()
    """16 hex digits of the SHA-256 of the system prompt, and of each tool: which one is another."""
    terms: DecisionTerms | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentContinued:
    """An agent was rebuilt from its journal, on other terms than those recorded last."""

    tag: ClassVar[str] = "agent.continued"
    spec: AgentSpec
    terms: DecisionTerms


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnStarted:
    """A user message came in."""

    tag: ClassVar[str] = "turn.started"
    turn: int
    message: Message


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRequested:
    """A model call begins. Steps count through the agent's life, from 0."""

    tag: ClassVar[str] = "model.requested"
    step: int
    attempt: int
    model: str
    digest: str
    """SHA-256 over the messages sent, chained: tells two requests apart."""
    messages: int
    parts: tuple[str, ...] = ()
    """16 hex digits of the chained digest at each message from the last answer on."""
    purpose: Literal["step", "compaction"] = "step"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelResponded:
    """A model call finished; never asked again."""

    tag: ClassVar[str] = "model.responded"
    step: int
    response: ModelResponse
    elapsed_ms: int
    purpose: Literal["step", "compaction"] = "step"


@dataclass(frozen=True, slots=True, kw_only=True)
class Nudged:
    """The harness answered an unfinished model answer by a user message of its own."""

    tag: ClassVar[str] = "agent.nudged"
    step: int
    reason: Literal["length", "empty", "content_filter", "schema"]
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFailed:
    """A model call failed for good, or was cut off.

    `usage` is an estimate of what it took by then, which the provider bills; nothing, if nothing
    had been said. `cost_usd` is None where that is unknown.
    """

    tag: ClassVar[str] = "model.failed"
    step: int
    error_kind: str
    error: str
    usage: Usage = field(default_factory=Usage)
    cost_usd: float | None = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolStarted:
    """A tool with an effect is about to run (durable before the effect)."""

    tag: ClassVar[str] = "tool.started"
    step: int
    call: ToolCall
    effect: str
    policy: str = ""
    """The rule that let it run."""
    snapshot: str = ""
    """The commit that holds the tree before the effect; empty where no trees are kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolFinished:
    """A call got its one result; durable before the next model request."""

    tag: ClassVar[str] = "tool.finished"
    step: int
    result: ToolResult
    elapsed_ms: int = 0
    interrupted: bool = False
    """The tool had started when its process died; the result tells the model so."""
    snapshot: str = ""
    """The commit that holds the tree it left; empty where it changed nothing."""
    tree: str = ""
    """That commit's tree."""
    is_unkept: bool = False
    """The tree that it left could not be kept; an agent that goes on takes its tree as it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TreeFound:
    """A rebuilt agent found another tree than was recorded last, and goes on from this one."""

    tag: ClassVar[str] = "tree.found"
    snapshot: str
    """The commit that holds it."""
    text: str
    """What the model is told, as a message of the user."""
    files: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Compacted:
    """The conversation was shortened; never computed again.

    `results`: the tool results of these call ids are replaced by a short note. `summary`: all
    messages before index `keep_from` of the current list are replaced by it.
    """

    tag: ClassVar[str] = "compacted"
    step: int
    stage: Literal["results", "summary"]
    call_ids: tuple[str, ...] = ()
    summary: str = ""
    keep_from: int = 0
    usage: Usage = field(default_factory=Usage)
    cost_usd: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnFinished:
    """A turn ended."""

    tag: ClassVar[str] = "turn.finished"
    turn: int
    result: TurnResult


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentPlaced:
    """A life of an agent begins: in which process, where."""

    tag: ClassVar[str] = "agent.placed"
    attempt: int
    """0 for its first life."""
    node: str = ""
    """Id of the node; empty for the run's own."""
    host: str = ""
    process: str = ""
    """The process, told from all others of the run: `HOST:PID` or an actor's id."""
    served: int = 0
    """How many agents that process had served before: it was reset since."""
    memory_bytes: int = 0
    """What was set aside."""
    took_ms: int = -1
    """From its permit to its process being up; -1 where nobody looked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentRestarted:
    """An agent's process died and another took over from the journal."""

    tag: ClassVar[str] = "agent.restarted"
    attempt: int
    reason: str


AgentEvent = (
    AgentStarted
    | AgentContinued
    | TurnStarted
    | ModelRequested
    | ModelResponded
    | Nudged
    | ModelFailed
    | ToolStarted
    | ToolFinished
    | TreeFound
    | Compacted
    | TurnFinished
    | AgentPlaced
    | AgentRestarted
)
