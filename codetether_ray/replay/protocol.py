"""Whether the records of a run fit together, whatever was decided: the second level of `verify`.

Each call has one result and each model call one end, results follow what they belong to, an
agent's records are numbered without a gap, and the sums that are recorded are those of the
records. Nothing here knows the rules by which an agent decides.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from codetether_ray.core.departure import Departure
from codetether_ray.core.events import (
    Compacted,
    Event,
    ModelFailed,
    ModelRequested,
    ModelResponded,
    Record,
    RunFinished,
    RunStarted,
    SwarmFinished,
    ToolFinished,
    ToolStarted,
    TreeFound,
    TurnFinished,
    TurnStarted,
)
from codetether_ray.core.usage import Usage

_MAIN = "main"


@dataclass(slots=True)
class _Agent:
    """What is open of one agent."""

    records: int = 0
    turn: int | None = None
    """The open one."""
    request: int | None = None
    """The step of the model call that has no end."""
    calls: dict[str, bool] = field(default_factory=dict)
    """Calls without a result, and whether they started."""
    done: set[str] = field(default_factory=set)
    used: dict[int, Usage] = field(default_factory=dict)
    """By turn, across its tries."""


class ProtocolCheck:
    """Follows a run; after the first departure it is of no more use."""

    def __init__(self) -> None:
        self._agents: dict[str, _Agent] = {}
        self._used = Usage()
        self._run_is_over = False
        self.commits: dict[str, int] = {}
        """Snapshots that are named, with the `seq` of the first record that names each."""
        self.records = 0

    @property
    def is_finished(self) -> bool:
        """Whether the run has come to its end."""
        return self._run_is_over

    def take(self, record: Record) -> Departure | None:
        """The departure that a record is, without its place in the run; None if it is none."""
        self.records += 1
        agent = self._agents.setdefault(record.agent, _Agent())
        if record.agent_seq != agent.records:
            what = "the records of the agent have a gap"
            return _odd(what, f"number {record.agent_seq}", f"number {agent.records}")
        agent.records += 1
        event = record.event
        if self._run_is_over and not isinstance(event, RunStarted):
            what = "something happens after the end of the run"
            return _odd(what, event.tag)
        check = _CHECKS.get(type(event))
        return check(self, agent, event) if check is not None else None

    # -- the run ----------------------------------------------------------------------------------

    def _run_started(self, agent: _Agent, event: RunStarted) -> Departure | None:
        self._run_is_over = False
        if not event.resumed and self.records > 1:
            return _odd("the run begins twice")
        return None

    def _run_finished(self, agent: _Agent, event: RunFinished) -> Departure | None:
        self._run_is_over = True
        main = self._agents.get(_MAIN)
        if event.is_success and main is not None and main.turn is not None:
            return _odd("the run ends well while its agent's turn is open", event.outcome)
        return None

    def _swarm_finished(self, agent: _Agent, event: SwarmFinished) -> Departure | None:
        said = event.result.get("usage")
        if not isinstance(said, dict):
            return None
        used = said.get("total_tokens")
        if isinstance(used, int) and used > self._used.total_tokens:
            what = "the swarm's tokens are not those of its records"
            return _odd(what, used, self._used.total_tokens)
        return None

    # -- turns ------------------------------------------------------------------------------------

    def _turn_started(self, agent: _Agent, event: TurnStarted) -> Departure | None:
        if agent.turn is not None:
            return _odd(f"turn {event.turn} starts while turn {agent.turn} is open")
        agent.turn, agent.request = event.turn, None
        return None

    def _turn_finished(self, agent: _Agent, event: TurnFinished) -> Departure | None:
        if agent.turn != event.turn:
            return _odd(f"turn {event.turn} ends and is not open")
        if agent.calls:
            return _odd("a turn ends while calls have no result", ", ".join(agent.calls))
        agent.turn = agent.request = None
        used = agent.used.get(event.turn, Usage())
        if event.result.usage != used:
            what = "the turn's usage is not the sum of its model calls"
            return _odd(what, event.result.usage, used)
        return None

    # -- model calls ------------------------------------------------------------------------------

    def _requested(self, agent: _Agent, event: ModelRequested) -> Departure | None:
        if agent.turn is None:
            return _odd("a model is asked outside a turn")
        if agent.calls:
            return _odd("a model is asked while calls have no result", ", ".join(agent.calls))
        agent.request = event.step
        return None

    def _responded(self, agent: _Agent, event: ModelResponded) -> Departure | None:
        if agent.request != event.step:
            return _odd("an answer comes to no open model call", event.step)
        agent.request = None
        self._use(agent, event.response.usage)
        if event.purpose == "compaction":
            return None
        for call in event.response.message.tool_calls:
            if call.id in agent.calls:
                return _odd("two calls have one id", call.id)
            agent.calls[call.id] = False
        return None

    def _failed(self, agent: _Agent, event: ModelFailed) -> Departure | None:
        if agent.request != event.step:
            return _odd("a failure comes to no open model call", event.step)
        agent.request = None
        self._use(agent, event.usage)
        return None

    def _compacted(self, agent: _Agent, event: Compacted) -> Departure | None:
        agent.request = None
        return None

    def _use(self, agent: _Agent, usage: Usage) -> None:
        self._used += usage
        if agent.turn is not None:
            agent.used[agent.turn] = agent.used.get(agent.turn, Usage()) + usage

    # -- tools ------------------------------------------------------------------------------------

    def _tool_started(self, agent: _Agent, event: ToolStarted) -> Departure | None:
        self._name_commit(event.snapshot)
        if event.call.id not in agent.calls:
            return _odd("a tool starts that nobody called", event.call.id)
        if agent.calls[event.call.id]:
            return _odd("a call starts twice", event.call.id)
        agent.calls[event.call.id] = True
        return None

    def _tool_finished(self, agent: _Agent, event: ToolFinished) -> Departure | None:
        self._name_commit(event.snapshot)
        id = event.result.call_id
        if id not in agent.calls:
            what = "a call gets a second result" if id in agent.done else "nobody made the call"
            return _odd(what, id)
        was_started = agent.calls.pop(id)
        agent.done.add(id)
        if not was_started and not event.result.is_error:
            return _odd("a call has a result and was never started", id)
        return None

    def _tree_found(self, agent: _Agent, event: TreeFound) -> Departure | None:
        self._name_commit(event.snapshot)
        return None

    def _name_commit(self, commit: str) -> None:
        if commit:
            self.commits.setdefault(commit, self.records - 1)


_CHECKS: Mapping[type[Event], Callable[[ProtocolCheck, _Agent, Any], Departure | None]] = (
    MappingProxyType(
        {
            RunStarted: ProtocolCheck._run_started,
            RunFinished: ProtocolCheck._run_finished,
            SwarmFinished: ProtocolCheck._swarm_finished,
            TurnStarted: ProtocolCheck._turn_started,
            TurnFinished: ProtocolCheck._turn_finished,
            ModelRequested: ProtocolCheck._requested,
            ModelResponded: ProtocolCheck._responded,
            ModelFailed: ProtocolCheck._failed,
            Compacted: ProtocolCheck._compacted,
            ToolStarted: ProtocolCheck._tool_started,
            ToolFinished: ProtocolCheck._tool_finished,
            TreeFound: ProtocolCheck._tree_found,
        }
    )
)


def _odd(what: str, recorded: object = "", expected: object = "") -> Departure:
    return Departure(
        level="protocol", what=what, recorded=str(recorded)[:200], expected=str(expected)[:200]
    )
