"""A run's records as spans: run, subtask, an agent's turn, its model calls and tool calls.

Names and attributes are those of OpenTelemetry's conventions for generative AI; what has none there
is called `codetether.…`. No text that a person or a model wrote is in them.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from codetether_ray.core.events import (
    AgentContinued,
    AgentPlaced,
    AgentRestarted,
    AgentStarted,
    ModelFailed,
    ModelRequested,
    ModelResponded,
    Record,
    RunFinished,
    RunStarted,
    SubtaskChanged,
    ToolFinished,
    ToolStarted,
    TurnFinished,
    TurnStarted,
)
from codetether_ray.core.ids import run_kind
from codetether_ray.core.spec import AgentSpec
from codetether_ray.telemetry.identity import (
    Parent,
    RunTrace,
    model_span,
    parse_traceparent,
    span_id,
    tool_span,
    trace_id,
)
from codetether_ray.telemetry.kinds import kind_of, model_labels
from codetether_ray.telemetry.span import Open, Span, Traced, Value, note_spent

_PROVIDERS = MappingProxyType(
    {
        "bedrock": "aws.bedrock",
        "gemini": "gcp.gemini",
        "google": "gcp.gemini",
        "xai": "x_ai",
        "mistral": "mistral_ai",
    }
)
"""Ours that the conventions name otherwise."""
_OVER = frozenset({"completed", "failed", "blocked", "cancelled", "timed_out"})
_IDS = MappingProxyType(
    {
        "swarm_id": "codetether.swarm.id",
        "task_id": "codetether.task.id",
        "relay_id": "codetether.relay.id",
        "okr_id": "codetether.okr.id",
        "okr_run_id": "codetether.okr_run.id",
    }
)
"""Attributes of the ids that a record has beside its run's."""


class SpanFold:
    """Takes a run's durable records in order, and gives each span when it ends.

    A run that is resumed is folded from its first record; what had ended before is the caller's
    to leave out. Each try that came to an end has a root span of its own, all in one trace.
    """

    def __init__(self, run_id: str) -> None:
        self._run_id = run_id
        self._trace = trace_id(run_id)
        self._outer: Parent | None = None
        self._try = 0
        self._root: Open | None = None
        self._subtasks: dict[str, Open] = {}
        self._of_agent: dict[str, str] = {}
        self._agents: dict[str, Traced] = {}

    @property
    def is_sampled(self) -> bool:
        """Whether the outer trace, where there is one, is kept by whoever began it."""
        return self._outer is None or self._outer.is_sampled

    def trace(self, outer: str = "") -> RunTrace:
        """The run's trace; `outer` is the `traceparent` of one that is about to begin."""
        above = self._outer or parse_traceparent(outer)
        if above is None:
            return RunTrace(self._run_id, self._trace)
        return RunTrace(self._run_id, above.trace_id, above.is_sampled)

    def take(self, record: Record) -> Iterator[Span]:
        """The spans that end with this record."""
        step = _STEPS.get(record.kind)
        if step is not None:
            ids = _ids_of(record)
            for span in step(self, record, record.event):
                yield replace(span, attributes={**ids, **span.attributes}) if ids else span

    # -- the run ----------------------------------------------------------------------------------

    def _run_started(self, record: Record, event: RunStarted) -> Iterator[Span]:
        if self._root is not None:  # a try that was cut off goes on
            return
        if self._outer is None and event.traceparent:
            self._outer = parse_traceparent(event.traceparent)
        if self._outer is not None:
            self._trace = self._outer.trace_id
        kind = run_kind(self._run_id) or event.kind
        self._root = Open(
            id=self._id("run", f"run {self._try}"),
            parent=self._outer.span_id if self._outer is not None else 0,
            name=f"invoke_workflow {kind}",
            start=record.time,
            attributes={
                "gen_ai.operation.name": "invoke_workflow",
                "gen_ai.workflow.name": kind,
                "gen_ai.conversation.id": self._run_id,
                "codetether.run.id": self._run_id,
                "codetether.run.kind": kind,
                "codetether.run.try": self._try,
            },
        )
        yield from ()

    def _run_finished(self, record: Record, event: RunFinished) -> Iterator[Span]:
        for agent in self._agents.values():
            yield from self._cut_off(agent, record.time, "cancelled")
        for subtask in self._subtasks.values():
            yield self._ended(subtask, record.time, error="interrupted")
        self._subtasks.clear()
        if self._root is not None:
            error = "" if event.is_success else event.outcome
            self._root.attributes["codetether.outcome"] = event.outcome
            yield self._ended(self._root, record.time, error=error)
        self._root = None
        self._try += 1

    def _subtask(self, record: Record, event: SubtaskChanged) -> Iterator[Span]:
        if event.agent:
            self._of_agent[event.agent] = event.id
        if event.status in _OVER:
            found = self._subtasks.pop(event.id, None)
            if found is not None:
                found.attributes["codetether.outcome"] = event.status
                good = event.status == "completed"
                yield self._ended(found, record.time, error="" if good else event.status)
        elif event.status != "pending" and event.id not in self._subtasks:
            self._subtasks[event.id] = Open(
                id=self._id("run", f"subtask {self._try} {event.id}"),
                parent=self._root.id if self._root is not None else 0,
                name=f"subtask {event.id}",
                start=record.time,
                attributes={
                    "codetether.run.id": self._run_id,
                    "codetether.subtask.id": event.id,
                    "codetether.subtask.stage": event.stage,
                },
            )

    # -- agents -----------------------------------------------------------------------------------

    def _agent_started(
        self, record: Record, event: AgentStarted | AgentContinued
    ) -> Iterator[Span]:
        self._know(self._agent(record.agent), event.spec)
        yield from ()

    def _placed(self, record: Record, event: AgentPlaced) -> Iterator[Span]:
        agent = self._agent(record.agent)
        agent.place = {"codetether.attempt": event.attempt}
        if event.node:
            agent.place["codetether.node.id"] = event.node
        if event.host:
            agent.place["host.name"] = event.host
        if agent.turn is not None:
            agent.turn.attributes.update(agent.place)
        yield from ()

    def _restarted(self, record: Record, event: AgentRestarted) -> Iterator[Span]:
        agent = self._agent(record.agent)
        if agent.model_call is not None:
            yield self._ended(agent.model_call, record.time, error="AgentLostError")
            agent.model_call = None

    def _turn_started(self, record: Record, event: TurnStarted) -> Iterator[Span]:
        agent = self._agent(record.agent)
        provider, model = model_labels(agent.model)
        agent.turn = Open(
            id=self._id(agent.path, f"turn {event.turn}"),
            parent=self._above(agent.path),
            name=f"invoke_agent {agent.name or agent.path}",
            start=record.time,
            attributes={
                "gen_ai.operation.name": "invoke_agent",
                "gen_ai.provider.name": _PROVIDERS.get(provider, provider),
                "gen_ai.request.model": model,
                "gen_ai.agent.id": f"{self._run_id}/{agent.path}",
                "gen_ai.agent.name": agent.name or agent.path,
                "gen_ai.conversation.id": self._run_id,
                "codetether.agent.path": agent.path,
                "codetether.agent.kind": kind_of(agent.path),
                "codetether.turn": event.turn,
                **agent.place,
            },
        )
        yield from ()

    def _turn_finished(self, record: Record, event: TurnFinished) -> Iterator[Span]:
        agent, result = self._agent(record.agent), event.result
        turn, agent.turn = agent.turn, None
        if turn is None:
            return
        yield from self._cut_off(agent, record.time, result.error_kind or "cancelled")
        turn.attributes["codetether.outcome"] = result.outcome
        turn.attributes["codetether.steps"] = result.steps
        turn.attributes["codetether.tool_calls"] = result.tool_calls
        note_spent(turn.attributes, result.usage, result.cost_usd)
        error = "" if result.is_success else result.error_kind or result.outcome
        yield self._ended(turn, record.time, error=error)

    # -- what an agent does -----------------------------------------------------------------------

    def _requested(self, record: Record, event: ModelRequested) -> Iterator[Span]:
        agent = self._agent(record.agent)
        if agent.model_call is not None:  # its answer was lost with a process
            yield self._ended(agent.model_call, record.time, error="AgentLostError")
        agent.model = event.model
        provider, model = model_labels(event.model)
        agent.model_call = Open(
            id=self._id(agent.path, model_span(event.purpose, event.step, event.attempt)),
            parent=self._own(agent),
            name=f"chat {model}",
            start=record.time,
            is_client=True,
            attributes={
                "gen_ai.operation.name": "chat",
                "gen_ai.provider.name": _PROVIDERS.get(provider, provider),
                "gen_ai.request.model": model,
                "gen_ai.request.stream": True,
                "gen_ai.conversation.id": self._run_id,
                "codetether.agent.path": agent.path,
                "codetether.step": event.step,
                "codetether.purpose": event.purpose,
            },
        )

    def _responded(self, record: Record, event: ModelResponded) -> Iterator[Span]:
        agent, response = self._agent(record.agent), event.response
        call, agent.model_call = agent.model_call, None
        if call is None:
            return
        note_spent(call.attributes, response.usage, response.cost_usd)
        call.attributes["gen_ai.response.finish_reasons"] = (response.finish_reason,)
        if response.response_id:
            call.attributes["gen_ai.response.id"] = response.response_id
        yield self._ended(call, record.time)

    def _failed(self, record: Record, event: ModelFailed) -> Iterator[Span]:
        agent = self._agent(record.agent)
        call, agent.model_call = agent.model_call, None
        if call is not None:
            note_spent(call.attributes, event.usage, event.cost_usd)
            yield self._ended(call, record.time, error=event.error_kind)

    def _tool_started(self, record: Record, event: ToolStarted) -> Iterator[Span]:
        agent = self._agent(record.agent)
        agent.tools[event.call.id] = self._tool(agent, event.call.id, event.call.name, record.time)
        agent.tools[event.call.id].attributes["codetether.tool.effect"] = event.effect
        yield from ()

    def _tool_finished(self, record: Record, event: ToolFinished) -> Iterator[Span]:
        agent, result = self._agent(record.agent), event.result
        began = record.time - event.elapsed_ms / 1000
        call = agent.tools.pop(result.call_id, None)
        if call is None:  # it has no effect, and its beginning is not recorded
            call = self._tool(agent, result.call_id, result.name, began)
        error = "interrupted" if event.interrupted else "ToolError" if result.is_error else ""
        yield self._ended(call, record.time, error=error)

    # -- helpers ----------------------------------------------------------------------------------

    def _tool(self, agent: Traced, call_id: str, name: str, start: float) -> Open:
        return Open(
            id=self._id(agent.path, tool_span(call_id)),
            parent=self._own(agent),
            name=f"execute_tool {name}",
            start=start,
            attributes={
                "gen_ai.operation.name": "execute_tool",
                "gen_ai.tool.name": name,
                "gen_ai.tool.call.id": call_id,
                "gen_ai.tool.type": "function",
                "gen_ai.conversation.id": self._run_id,
                "codetether.agent.path": agent.path,
            },
        )

    def _cut_off(self, agent: Traced, now: float, error: str) -> Iterator[Span]:
        """End what an agent was doing, its turn included."""
        found = [agent.model_call, *agent.tools.values(), agent.turn]
        agent.model_call = agent.turn = None
        agent.tools.clear()
        for span in found:
            if span is not None:
                yield self._ended(span, now, error=error)

    def _ended(self, span: Open, end: float, *, error: str = "") -> Span:
        if error:
            span.attributes["error.type"] = error
        return Span(
            trace_id=self._trace,
            span_id=span.id,
            parent_id=span.parent,
            name=span.name,
            start=span.start,
            end=max(end, span.start),
            is_client=span.is_client,
            attributes=span.attributes,
            error=error,
        )

    def _agent(self, path: str) -> Traced:
        found = self._agents.get(path)
        if found is None:
            found = self._agents[path] = Traced(path)
        return found

    def _know(self, agent: Traced, spec: AgentSpec) -> None:
        agent.name, agent.model = spec.name, spec.model

    def _above(self, path: str) -> int:
        """The span that an agent's turn is in: its parent's turn, its subtask, or the run."""
        parent = path.rpartition("/")[0]
        above = self._agents.get(parent)
        if above is not None and above.turn is not None:
            return above.turn.id
        subtask = self._subtasks.get(self._of_agent.get(path, ""))
        if subtask is not None:
            return subtask.id
        return self._root.id if self._root is not None else 0

    def _own(self, agent: Traced) -> int:
        return agent.turn.id if agent.turn is not None else self._above(agent.path)

    def _id(self, agent: str, what: str) -> int:
        return span_id(self._run_id, agent, what)


def _ids_of(record: Record) -> dict[str, Value]:
    ids = {name: getattr(record.correlation, member) for member, name in _IDS.items()}
    return {name: id for name, id in ids.items() if id}


_Step = Callable[[SpanFold, Record, Any], Iterator[Span]]
_STEPS: Mapping[str, _Step] = MappingProxyType(
    {
        RunStarted.tag: SpanFold._run_started,
        RunFinished.tag: SpanFold._run_finished,
        SubtaskChanged.tag: SpanFold._subtask,
        AgentStarted.tag: SpanFold._agent_started,
        AgentContinued.tag: SpanFold._agent_started,
        AgentPlaced.tag: SpanFold._placed,
        AgentRestarted.tag: SpanFold._restarted,
        TurnStarted.tag: SpanFold._turn_started,
        TurnFinished.tag: SpanFold._turn_finished,
        ModelRequested.tag: SpanFold._requested,
        ModelResponded.tag: SpanFold._responded,
        ModelFailed.tag: SpanFold._failed,
        ToolStarted.tag: SpanFold._tool_started,
        ToolFinished.tag: SpanFold._tool_finished,
    }
)
KINDS: frozenset[str] = frozenset(_STEPS)
"""The kinds of records that make spans."""
