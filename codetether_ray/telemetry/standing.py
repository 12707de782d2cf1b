"""How a run stands, for who looks at many: each agent's state, what it does, what it has used.

A fold over the durable records alone, so that it can be told of any run from its journal.
"""

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from codetether_ray.core.codec import JsonObject, JsonValue
from codetether_ray.core.events import (
    AgentPlaced,
    AgentRestarted,
    AgentStarted,
    AttemptStarted,
    ModelFailed,
    ModelRequested,
    ModelResponded,
    PlanMade,
    RalphContinued,
    RalphStarted,
    Record,
    RelayFinished,
    RelayStarted,
    RunFinished,
    RunStarted,
    StoryEnded,
    SubtaskChanged,
    SubtaskMerged,
    ToolFinished,
    ToolStarted,
    TurnBegun,
    TurnFinished,
    TurnStarted,
)
from codetether_ray.core.messages import ToolCall
from codetether_ray.core.usage import Usage
from codetether_ray.telemetry.kinds import kind_of

SILENT_S = 60.0
"""A running agent of which nothing was recorded for so long is marked."""
_SAME = 3
"""So many like rounds of calls in a row are a circle."""
_ENDED = frozenset({"completed", "failed", "blocked", "cancelled", "interrupted", "timed_out"})


@dataclass(slots=True)
class AgentStanding:
    """One agent."""

    path: str
    name: str = ""
    state: str = "starting"
    doing: str = ""
    """`model`, a tool's name, or nothing."""
    last_event: float = 0.0
    steps: int = 0
    usage: Usage = field(default_factory=Usage)
    cost_usd: float | None = 0.0
    host: str = ""
    restarts: int = 0
    running: dict[str, str] = field(default_factory=dict)
    rounds: deque[tuple[tuple[str, str], ...]] = field(default_factory=lambda: deque(maxlen=_SAME))

    @property
    def is_over(self) -> bool:
        """Whether nothing more is to come of it."""
        return self.state in _ENDED

    @property
    def is_stuck(self) -> bool:
        """Whether it makes the same calls over and over."""
        rounds = self.rounds
        alike = len(rounds) == _SAME and all(found == rounds[0] for found in rounds)
        return not self.is_over and alike and bool(rounds[0])

    def spend(self, usage: Usage, cost_usd: float | None) -> None:
        """Count a model call; one of unknown price makes the cost unknown."""
        self.usage += usage
        known = self.cost_usd is not None and cost_usd is not None
        self.cost_usd = (self.cost_usd or 0.0) + (cost_usd or 0.0) if known else None

    def called(self, calls: tuple[ToolCall, ...]) -> None:
        """Note the calls of an answer."""
        self.rounds.append(tuple((call.name, call.arguments) for call in calls))

    def to_json(self, now: float) -> JsonObject:
        """All of it; `age_s` is how long ago its last event was."""
        age_s = max(now - self.last_event, 0.0)
        is_silent = self.state == "running" and age_s > SILENT_S and not self.running
        return {
            "path": self.path,
            "name": self.name or self.path,
            "kind": kind_of(self.path),
            "state": self.state,
            "doing": self.doing,
            "age_s": round(age_s, 1),
            "silent": is_silent,
            "stuck": self.is_stuck,
            "steps": self.steps,
            "tokens": self.usage.total_tokens,
            "cost_usd": None if self.cost_usd is None else round(self.cost_usd, 6),
            "host": self.host,
            "restarts": self.restarts,
        }


class Standing:
    """Takes a run's records in order; `to_json` says how it stands."""

    def __init__(self) -> None:
        self.agents: dict[str, AgentStanding] = {}
        self.subtasks: dict[str, str] = {}
        self.phase = ""
        self._of_subtask: dict[str, str] = {}

    def take(self, record: Record) -> None:
        """Take one record in."""
        step = _STEPS.get(type(record.event))
        if step is not None:
            step(self, record, record.event)

    def to_json(self, now: float, most: int) -> JsonObject:
        """The sums, and the `most` agents that say most: those at work, then the last to end."""
        agents = sorted(self.agents.values(), key=lambda a: (a.is_over, -a.last_event, a.path))
        counts: dict[str, int] = {}
        for agent in agents:
            counts[agent.state] = counts.get(agent.state, 0) + 1
        costs = [agent.cost_usd for agent in agents]
        listed: JsonValue = [agent.to_json(now) for agent in agents[:most]]
        states: JsonValue = dict(sorted(counts.items()))
        return {
            "phase": self.phase,
            "subtasks": len(self.subtasks),
            "subtasks_done": sum(state in _ENDED for state in self.subtasks.values()),
            "agents_by_state": states,
            "agents_count": len(agents),
            "tokens": sum(agent.usage.total_tokens for agent in agents),
            "cost_usd": None if None in costs else round(sum(cost or 0.0 for cost in costs), 6),
            "agents": listed,
        }

    # -- what happened ----------------------------------------------------------------------------

    def _run_started(self, record: Record, event: RunStarted) -> None:
        self.phase = "planning" if event.kind == "swarm" else "working"

    def _run_finished(self, record: Record, event: RunFinished) -> None:
        self.phase = event.outcome

    def _planned(self, record: Record, event: PlanMade) -> None:
        self.phase = "working"
        self.subtasks = {str(subtask.get("id", "")): "pending" for subtask in event.subtasks}

    def _subtask(self, record: Record, event: SubtaskChanged) -> None:
        self.subtasks[event.id] = event.status
        path = event.agent or self._of_subtask.get(event.id, "")
        if path:
            self._of_subtask[event.id] = path
            agent = self._agent(path, record.time)
            agent.name, agent.state = event.name, event.status
            if agent.is_over:
                agent.doing = ""

    def _merged(self, record: Record, event: SubtaskMerged) -> None:
        self.phase = "merging"

    def _stories(self, record: Record, event: RalphStarted | RalphContinued) -> None:
        self.phase = "working"
        for story in event.stories:
            id = str(story.get("id", ""))
            passes = story.get("passes") is True
            self.subtasks[id] = "completed" if passes else self.subtasks.get(id, "pending")

    def _attempt(self, record: Record, event: AttemptStarted) -> None:
        self.subtasks[event.story] = "running"

    def _story(self, record: Record, event: StoryEnded) -> None:
        states = {"passed": "completed", "failed": "pending", "blocked": "blocked"}
        self.subtasks[event.story] = states[event.status]

    def _relay(self, record: Record, event: RelayStarted) -> None:
        self.phase = "forming a team"

    def _turn(self, record: Record, event: TurnBegun) -> None:
        self.phase = f"round {event.round}, @{event.member}'s turn"

    def _relay_over(self, record: Record, event: RelayFinished) -> None:
        self.phase = event.outcome

    def _started(self, record: Record, event: AgentStarted) -> None:
        agent = self._agent(record.agent, record.time)
        agent.name, agent.state = event.spec.name, "running"

    def _placed(self, record: Record, event: AgentPlaced) -> None:
        self._agent(record.agent, record.time).host = event.host

    def _restarted(self, record: Record, event: AgentRestarted) -> None:
        agent = self._agent(record.agent, record.time)
        agent.restarts, agent.doing = agent.restarts + 1, "restarting"
        agent.running.clear()

    def _turn_started(self, record: Record, event: TurnStarted) -> None:
        self._agent(record.agent, record.time).state = "running"

    def _turn_finished(self, record: Record, event: TurnFinished) -> None:
        agent = self._agent(record.agent, record.time)
        outcome = event.result.outcome
        agent.state = "completed" if event.result.is_success else _state_of(outcome)
        agent.doing = "" if event.result.is_success else outcome
        agent.running.clear()

    def _requested(self, record: Record, event: ModelRequested) -> None:
        agent = self._agent(record.agent, record.time)
        agent.state, agent.doing = "running", "model"

    def _responded(self, record: Record, event: ModelResponded) -> None:
        agent, response = self._agent(record.agent, record.time), event.response
        agent.steps += event.purpose == "step"
        agent.spend(response.usage, response.cost_usd)
        calls = response.message.tool_calls
        agent.called(calls)
        agent.doing = calls[0].name if calls else ""

    def _failed(self, record: Record, event: ModelFailed) -> None:
        agent = self._agent(record.agent, record.time)
        agent.spend(event.usage, event.cost_usd)
        agent.doing = event.error_kind

    def _tool_started(self, record: Record, event: ToolStarted) -> None:
        agent = self._agent(record.agent, record.time)
        agent.running[event.call.id] = event.call.name
        agent.doing = event.call.name

    def _tool_finished(self, record: Record, event: ToolFinished) -> None:
        agent = self._agent(record.agent, record.time)
        agent.running.pop(event.result.call_id, None)
        agent.doing = next(iter(agent.running.values()), event.result.name)

    def _agent(self, path: str, now: float) -> AgentStanding:
        found = self.agents.get(path)
        if found is None:
            found = self.agents[path] = AgentStanding(path)
        found.last_event = now
        return found


def _state_of(outcome: str) -> str:
    return outcome if outcome in ("cancelled", "waiting") else "failed"


_Step = Callable[[Standing, Record, Any], None]
_STEPS: Mapping[type, _Step] = MappingProxyType(
    {
        RunStarted: Standing._run_started,
        RunFinished: Standing._run_finished,
        PlanMade: Standing._planned,
        SubtaskChanged: Standing._subtask,
        SubtaskMerged: Standing._merged,
        RalphStarted: Standing._stories,
        RalphContinued: Standing._stories,
        AttemptStarted: Standing._attempt,
        StoryEnded: Standing._story,
        RelayStarted: Standing._relay,
        TurnBegun: Standing._turn,
        RelayFinished: Standing._relay_over,
        AgentStarted: Standing._started,
        AgentPlaced: Standing._placed,
        AgentRestarted: Standing._restarted,
        TurnStarted: Standing._turn_started,
        TurnFinished: Standing._turn_finished,
        ModelRequested: Standing._requested,
        ModelResponded: Standing._responded,
        ModelFailed: Standing._failed,
        ToolStarted: Standing._tool_started,
        ToolFinished: Standing._tool_finished,
    }
)
KINDS: frozenset[str] = frozenset(vars(kind)["tag"] for kind in _STEPS)
"""The kinds of records that count; others need not be built."""
