"""From a run's journal to a tape: `--record` is an export, so any finished run can become one."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from codetether_ray.core.events import (
    AgentStarted,
    Compacted,
    ModelRequested,
    ModelResponded,
    Nudged,
    Record,
    ToolFinished,
    TurnStarted,
)
from codetether_ray.core.messages import Message, ToolCall, ToolResult, tool_results, user
from codetether_ray.providers.tape_format import NORMALISERS, Normaliser, Tape, TapeEntry


def tape_from_records(
    records: Iterable[Record], normalisers: tuple[Normaliser, ...] = NORMALISERS, note: str = ""
) -> Tape:
    """The tape of the run whose journal holds `records`, in their order."""
    agents: dict[str, _Agent] = {}
    entries: list[TapeEntry] = []
    for record in records:
        agent = agents.setdefault(record.agent, _Agent(path=record.agent))
        entry = agent.take(record.event)
        if entry is not None:
            entries.append(entry)
    model = entries[0].model if entries else ""
    return Tape(entries=tuple(entries), model=model, normalisers=normalisers, note=note)


@dataclass(slots=True)
class _Agent:
    """One agent's conversation since its last answer, as its journal tells it."""

    path: str
    model: str = ""
    tools: tuple[str, ...] = ()
    turn: int = -1
    calls: tuple[ToolCall, ...] = ()
    results: dict[str, ToolResult] = field(default_factory=dict)
    heard: list[Message] = field(default_factory=list)
    is_cut: bool = False

    def take(self, event: Any) -> TapeEntry | None:
        change = _CHANGES.get(type(event))
        return None if change is None else change(self, event)

    def started(self, event: AgentStarted) -> None:
        self.model = event.spec.model
        self.tools = tuple(tool.name for tool in event.tools)

    def turn_started(self, event: TurnStarted) -> None:
        if event.turn != self.turn:  # a turn that is taken up again adds no message
            self.turn = event.turn
            self.heard.append(event.message)

    def nudged(self, event: Nudged) -> None:
        self.heard.append(user(event.text))

    def requested(self, event: ModelRequested) -> None:
        if "/" in event.model:
            self.model = event.model

    def tool_finished(self, event: ToolFinished) -> None:
        self.results[event.result.call_id] = event.result
        if len(self.results) == len(self.calls):
            ordered = (self.results[c.id] for c in self.calls if c.id in self.results)
            self.heard.append(tool_results(*ordered))
            self.results = {}

    def compacted(self, event: Compacted) -> None:
        self.is_cut = self.is_cut or event.stage == "summary"

    def responded(self, event: ModelResponded) -> TapeEntry:
        is_step = event.purpose == "step"
        entry = TapeEntry(
            agent=self.path,
            step=event.step,
            model=self.model,
            response=event.response,
            purpose=event.purpose,
            tools=self.tools if is_step else (),
            calls=tuple(_spelt(call) for call in self.calls) if is_step else (),
            heard=tuple(self.heard) if is_step else (),
            is_cut=self.is_cut,
        )
        message = event.response.message
        if is_step and (message.tool_calls or message.text.strip()):
            self.calls, self.heard, self.results = message.tool_calls, [], {}
        return entry


def _spelt(call: ToolCall) -> str:
    return f"{call.name} {call.arguments}"


_CHANGES: Mapping[type, Callable[[_Agent, Any], TapeEntry | None]] = MappingProxyType(
    {
        AgentStarted: _Agent.started,
        TurnStarted: _Agent.turn_started,
        Nudged: _Agent.nudged,
        ModelRequested: _Agent.requested,
        ToolFinished: _Agent.tool_finished,
        Compacted: _Agent.compacted,
        ModelResponded: _Agent.responded,
    }
)
