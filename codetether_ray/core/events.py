"""What happened. Durable events go to the journal, live ones only to the bus.

An event's `tag` is its kind in the journal and on the bus. The events themselves stand with their
noun (`run_events`, `agent_events`, `swarm_events`, `live_events`); everybody takes them from here.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from types import MappingProxyType

from codetether_ray.core.agent_events import (
    AgentContinued,
    AgentEvent,
    AgentPlaced,
    AgentRestarted,
    AgentStarted,
    Compacted,
    DecisionTerms,
    ModelFailed,
    ModelRequested,
    ModelResponded,
    Nudged,
    ToolFinished,
    ToolStarted,
    TreeFound,
    TurnFinished,
    TurnStarted,
)
from codetether_ray.core.child_events import ChildEvent, ChildRunFinished, ChildRunStarted
from codetether_ray.core.codec import JsonObject, decode, encode_object
from codetether_ray.core.jsontext import json_text, untagged_text
from codetether_ray.core.live_events import (
    LiveEvent,
    Queued,
    ReasoningStreamed,
    Retrying,
    TextStreamed,
    ToolOutput,
    Warned,
)
from codetether_ray.core.ralph_events import (
    AttemptEnded,
    AttemptFaulted,
    AttemptStarted,
    CriterionJudged,
    DiagnosisMade,
    GateRun,
    RalphContinued,
    RalphEvent,
    RalphFinished,
    RalphStarted,
    StoryEnded,
    StoryMerged,
)
from codetether_ray.core.relay_events import (
    KrMeasured,
    OkrAnswered,
    RelayContinued,
    RelayEvent,
    RelayFinished,
    RelayStarted,
    TeamFormed,
    TurnBegun,
    TurnDone,
)
from codetether_ray.core.run_events import (
    ApprovalGiven,
    RunEvent,
    RunFinished,
    RunStarted,
)
from codetether_ray.core.spec import Correlation
from codetether_ray.core.swarm_events import (
    PlanMade,
    SubtaskChanged,
    SubtaskMerged,
    SubtaskStatus,
    SwarmContinued,
    SwarmEvent,
    SwarmFinished,
    SwarmStarted,
)

__all__ = [
    "DURABLE",
    "LIVE",
    "AgentContinued",
    "AgentEvent",
    "AgentPlaced",
    "AgentRestarted",
    "AgentStarted",
    "ApprovalGiven",
    "AttemptEnded",
    "AttemptFaulted",
    "AttemptStarted",
    "ChildEvent",
    "ChildRunFinished",
    "ChildRunStarted",
    "Compacted",
    "CriterionJudged",
    "DecisionTerms",
    "DiagnosisMade",
    "DurableEvent",
    "Event",
    "GateRun",
    "KrMeasured",
    "LiveEvent",
    "ModelFailed",
    "ModelRequested",
    "ModelResponded",
    "Nudged",
    "OkrAnswered",
    "PlanMade",
    "Queued",
    "RalphContinued",
    "RalphEvent",
    "RalphFinished",
    "RalphStarted",
    "ReasoningStreamed",
    "Record",
    "RelayContinued",
    "RelayEvent",
    "RelayFinished",
    "RelayStarted",
    "Retrying",
    "RunEvent",
    "RunFinished",
    "RunStarted",
    "StoryEnded",
    "StoryMerged",
    "SubtaskChanged",
    "SubtaskMerged",
    "SubtaskStatus",
    "SwarmContinued",
    "SwarmEvent",
    "SwarmFinished",
    "SwarmStarted",
    "TeamFormed",
    "TextStreamed",
    "ToolFinished",
    "ToolOutput",
    "ToolStarted",
    "TreeFound",
    "TurnBegun",
    "TurnDone",
    "TurnFinished",
    "TurnStarted",
    "Warned",
    "correlation_members",
    "is_durable",
]

DurableEvent = RunEvent | AgentEvent | SwarmEvent | ChildEvent | RalphEvent | RelayEvent
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

    @property
    def kind(self) -> str:
        """The event's tag."""
        return self.event.tag

    def numbered(
        self, seq: int, agent_seq: int, time: float | None = None, payload: str = ""
    ) -> "Record":
        """The record as a journal keeps it; `time` and `payload` where they are known by now."""
        return Record(
            correlation=self.correlation,
            agent=self.agent,
            event=self.event,
            time=self.time if time is None else time,
            seq=seq,
            agent_seq=agent_seq,
            payload=payload or self.payload,
        )

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
            f'"agent":{json_text(self.agent)},"kind":"{self.kind}",'
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
