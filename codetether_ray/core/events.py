"""What happened. Durable events go to the journal, live ones only to the bus.

An event's `tag` is its kind in the journal and on the bus.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from types import MappingProxyType
from typing import ClassVar, Literal

from codetether_ray.core.codec import JsonObject, decode, encode_object
from codetether_ray.core.jsontext import json_text, untagged_text
from codetether_ray.core.messages import Message, ToolCall, ToolResult
from codetether_ray.core.models import ModelResponse, ToolSchema
from codetether_ray.core.spec import AgentSpec, Correlation, TurnResult
from codetether_ray.core.usage import Usage

SubtaskStatus = Literal[
    "pending",
    "queued",
    "running",
    "completed",
    "failed",
    "blocked",
    "cancelled",
    "interrupted",
    "timed_out",
]
"""`cancelled`: somebody ended this very subtask, and it stays so. `interrupted`: the whole swarm
was stopped; it goes on with the swarm. (Old journals say `cancelled` without a result for it.)"""


# -- durable: the journal -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStarted:
    """A run began (or, with `resumed`, went on). `command` is its kind and task, for listings."""

    tag: ClassVar[str] = "run.started"
    kind: str
    title: str
    directory: str
    model: str = ""
    command: JsonObject = field(default_factory=dict)
    resumed: bool = False
    version: str = ""
    traceparent: str = ""
    """The span of somebody else's trace that the run is part of (W3C Trace Context)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFinished:
    """A run ended. `outcome` is truthful; `summary` is the result object."""

    tag: ClassVar[str] = "run.finished"
    outcome: str
    summary: JsonObject = field(default_factory=dict)


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
class ApprovalGiven:
    """Somebody decided; asked for again only if `digest` (of what was decided on) changed."""

    tag: ClassVar[str] = "approval"
    subject: str
    """What was asked about: `plan`."""
    digest: str
    is_granted: bool
    by: str = ""
    """Who decided: `user`, or the rule that did."""


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


@dataclass(frozen=True, slots=True, kw_only=True)
class SwarmStarted:
    """A swarm began on `base` (a commit; empty outside git)."""

    tag: ClassVar[str] = "swarm.started"
    task: str
    strategy: str
    base: str = ""
    base_note: str = ""
    rules: int = 1
    """Version of the rules that decide it (`swarm.rules.RULES`); the first bore no number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SwarmContinued:
    """A swarm was taken up again by other rules than those recorded last."""

    tag: ClassVar[str] = "swarm.continued"
    rules: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanMade:
    """The plan as accepted: each subtask as the swarm's plan encodes it."""

    tag: ClassVar[str] = "swarm.planned"
    subtasks: tuple[JsonObject, ...]
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SubtaskChanged:
    """A subtask moved on. `agent` is the agent's path."""

    tag: ClassVar[str] = "swarm.subtask"
    id: str
    name: str
    status: SubtaskStatus
    agent: str = ""
    stage: int = 0
    detail: str = ""
    commit: str = ""
    branch: str = ""
    files: tuple[str, ...] = ()
    """Paths that its commit changed; none on a completed one means that it changed nothing."""
    result: TurnResult | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SubtaskMerged:
    """A subtask's commit was merged, or could not be."""

    tag: ClassVar[str] = "swarm.merged"
    id: str
    name: str
    status: Literal["merged", "resolved", "empty", "unmerged"]
    commit: str = ""
    conflicts: tuple[str, ...] = ()
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SwarmFinished:
    """A swarm ended; `result` is the JSON that `--json` prints."""

    tag: ClassVar[str] = "swarm.complete"
    outcome: str
    result: JsonObject


# -- live: the bus only ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class TextStreamed:
    """A piece of answer text."""

    tag: ClassVar[str] = "text"
    step: int
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReasoningStreamed:
    """A piece of thinking."""

    tag: ClassVar[str] = "reasoning"
    step: int
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolOutput:
    """A piece of a running tool's output."""

    tag: ClassVar[str] = "tool.output"
    call_id: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Retrying:
    """A model call failed and is tried again in `next_in_s`."""

    tag: ClassVar[str] = "model.retrying"
    step: int
    attempt: int
    next_in_s: float
    reason: str
    status: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Queued:
    """An agent waits, without a process; `reason` says for what, `next_in_s` how long if known."""

    tag: ClassVar[str] = "agent.queued"
    reason: str
    next_in_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Warned:
    """Something a person should know, in one sentence."""

    tag: ClassVar[str] = "warning"
    text: str


DurableEvent = (
    RunStarted
    | RunFinished
    | AgentStarted
    | AgentContinued
    | TurnStarted
    | ModelRequested
    | ModelResponded
    | Nudged
    | ModelFailed
    | ToolStarted
    | ToolFinished
    | TreeFound
    | ApprovalGiven
    | Compacted
    | TurnFinished
    | AgentPlaced
    | AgentRestarted
    | SwarmStarted
    | SwarmContinued
    | PlanMade
    | SubtaskChanged
    | SubtaskMerged
    | SwarmFinished
)
LiveEvent = TextStreamed | ReasoningStreamed | ToolOutput | Retrying | Queued | Warned
Event = DurableEvent | LiveEvent

DURABLE: Mapping[str, type] = MappingProxyType({c.tag: c for c in DurableEvent.__args__})
LIVE: Mapping[str, type] = MappingProxyType({c.tag: c for c in LiveEvent.__args__})


@lru_cache(maxsize=4096)
def correlation_members(correlation: Correlation) -> str:
    """The members of a correlation as JSON text, each followed by a comma."""
    return json_text(correlation)[1:-1] + ","


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One event as the journal holds it and the bus carries it.

    `seq` is dense in a run's journal (-1 before it is appended, and always for live events);
    `agent_seq` counts the durable events of one agent from 0.
    """

    correlation: Correlation
    agent: str
    event: Event
    time: float
    """Seconds since the epoch."""
    seq: int = -1
    agent_seq: int = -1
    payload: str = field(default="", compare=False, repr=False)
    """The event's JSON text, kept by whoever made it first; empty where nobody has."""

    def payload_text(self) -> str:
        """The event's JSON text, without its `type`.

        Raises:
            TypeError, ValueError: it has no JSON form (NaN is none).
        """
        if self.payload:
            return self.payload
        return untagged_text(self.event)

    def to_text(self) -> str:
        """`to_json`'s object as JSON text."""
        return (
            f'{{{correlation_members(self.correlation)}"seq":{self.seq},'
            f'"agent_seq":{self.agent_seq},"time":{round(self.time, 6)!r},'
            f'"agent":{json_text(self.agent)},"kind":"{self.event.tag}",'
            f'"payload":{self.payload_text()}}}'
        )

    def to_json(self) -> JsonObject:
        """The record's JSON: `kind` and `payload` hold the event."""
        payload = encode_object(self.event)
        kind = payload.pop("type")
        return {
            **encode_object(self.correlation),
            "seq": self.seq,
            "agent_seq": self.agent_seq,
            "time": round(self.time, 6),
            "agent": self.agent,
            "kind": kind,
            "payload": payload,
        }

    @classmethod
    def from_json(cls, data: JsonObject) -> "Record":
        """Read `to_json`'s form.

        Raises:
            ValueError: the kind is unknown or a member is missing.
        """
        kind = str(data.get("kind"))
        event_class = DURABLE.get(kind) or LIVE.get(kind)
        if event_class is None:
            raise ValueError(f"unknown event kind {kind!r}")
        return cls(
            correlation=decode(Correlation, data),
            agent=str(data["agent"]),
            event=decode(event_class, data["payload"]),
            time=float(data["time"]),  # type: ignore[arg-type]
            seq=int(data.get("seq", -1)),  # type: ignore[arg-type]
            agent_seq=int(data.get("agent_seq", -1)),  # type: ignore[arg-type]
        )


def is_durable(event: Event) -> bool:
    """Whether an event belongs in the journal."""
    return event.tag in DURABLE
