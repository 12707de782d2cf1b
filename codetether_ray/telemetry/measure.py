"""A run's records as measurements: a fold over what happened, which asks nobody anything."""

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any

from codetether_ray.core.events import (
    AgentPlaced,
    AgentRestarted,
    AgentStarted,
    Compacted,
    ModelFailed,
    ModelRequested,
    ModelResponded,
    Record,
    Retrying,
    RunFinished,
    RunStarted,
    SubtaskChanged,
    SubtaskMerged,
    ToolFinished,
    TurnFinished,
)
from codetether_ray.core.ids import run_kind
from codetether_ray.core.usage import Usage
from codetether_ray.ports.metrics import Metrics
from codetether_ray.telemetry import instruments as i
from codetether_ray.telemetry.kinds import kind_of, model_labels

_MOST_NAMES = 60
"""Values of one label that a run may bring; what comes later is called `other`."""
_TOO_MANY_REQUESTS = 429
_SERVER_ERROR = 500


class Measurer:
    """Takes a run's records one by one and tells what they come to.

    It keeps no more than which model each agent asks, and the names it has used as labels.
    """

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._models: dict[str, tuple[str, str]] = {}
        self._tools = _Names()
        self._names = _Names()

    def take(self, record: Record) -> None:
        """Measure one record, durable or live."""
        measure = _MEASURES.get(record.kind)
        if measure is not None:
            measure(self, record.agent, record.event, record)

    # -- the run and its agents -------------------------------------------------------------------

    def _run_started(self, _: str, event: RunStarted, record: Record) -> None:
        self._metrics.set(i.RUNS, 1, run_kind(record.correlation.run_id) or "other")

    def _run_finished(self, _: str, event: RunFinished, record: Record) -> None:
        kind = run_kind(record.correlation.run_id) or "other"
        self._metrics.set(i.RUNS, 0, kind)
        self._metrics.add(i.RUNS_FINISHED, 1, kind, event.outcome)

    def _agent_started(self, agent: str, event: AgentStarted, record: Record) -> None:
        self._metrics.add(i.AGENTS_STARTED, 1, event.spec.kind)
        self._tools.allow(tool.name for tool in event.tools)

    def _agent_restarted(self, agent: str, event: AgentRestarted, record: Record) -> None:
        self._metrics.add(i.AGENT_RESTARTS, 1, kind_of(agent))

    def _agent_placed(self, agent: str, event: AgentPlaced, record: Record) -> None:
        if event.took_ms >= 0:
            self._metrics.observe(i.SPAWN, event.took_ms / 1000, kind_of(agent))

    def _turn_finished(self, agent: str, event: TurnFinished, record: Record) -> None:
        kind = kind_of(agent)
        self._metrics.add(i.TURNS, 1, kind, event.result.outcome)
        self._metrics.observe(i.TURN, event.result.elapsed_s, kind)

    # -- models and tools -------------------------------------------------------------------------

    def _requested(self, agent: str, event: ModelRequested, record: Record) -> None:
        provider, model = model_labels(event.model)
        self._models[agent] = self._names(provider), self._names(model)

    def _responded(self, agent: str, event: ModelResponded, record: Record) -> None:
        model = self._model(agent)
        self._metrics.add(i.MODEL_REQUESTS, 1, *model, "ok")
        self._metrics.observe(i.MODEL, event.elapsed_ms / 1000, *model)
        self._spend(model, event.response.usage, event.response.cost_usd)

    def _failed(self, agent: str, event: ModelFailed, record: Record) -> None:
        model = self._model(agent)
        self._metrics.add(i.MODEL_REQUESTS, 1, *model, "failed")
        self._spend(model, event.usage, event.cost_usd)

    def _retrying(self, agent: str, event: Retrying, record: Record) -> None:
        self._metrics.add(i.RETRIES, 1, *self._model(agent), _reason(event.status))

    def _tool_finished(self, agent: str, event: ToolFinished, record: Record) -> None:
        tool = self._tools.known(event.result.name)
        outcome = "error" if event.result.is_error else "ok"
        outcome = "interrupted" if event.interrupted else outcome
        self._metrics.add(i.TOOL_CALLS, 1, tool, outcome)
        self._metrics.observe(i.TOOL, event.elapsed_ms / 1000, tool)

    def _compacted(self, agent: str, event: Compacted, record: Record) -> None:
        self._metrics.add(i.COMPACTIONS, 1, event.stage)

    # -- a swarm ----------------------------------------------------------------------------------

    def _subtask(self, _: str, event: SubtaskChanged, record: Record) -> None:
        self._metrics.add(i.SUBTASKS, 1, event.status)

    def _merged(self, _: str, event: SubtaskMerged, record: Record) -> None:
        self._metrics.add(i.MERGES, 1, event.status)

    # -- helpers ----------------------------------------------------------------------------------

    def _model(self, agent: str) -> tuple[str, str]:
        return self._models.get(agent, ("unknown", "unknown"))

    def _spend(self, model: tuple[str, str], usage: Usage, cost_usd: float | None) -> None:
        metrics = self._metrics
        for kind, count in (
            ("input", usage.prompt_tokens),
            ("output", usage.completion_tokens),
            ("cache_read", usage.cache_read_tokens),
            ("cache_write", usage.cache_write_tokens),
            ("reasoning", usage.reasoning_tokens),
        ):
            if count:
                metrics.add(i.TOKENS, count, *model, kind)
        if cost_usd is not None:
            metrics.add(i.COST, cost_usd, *model)
        elif usage.total_tokens:
            metrics.add(i.UNPRICED, 1, *model)


class _Names:
    """Values of a label, of which there are few: the first, or those that were allowed."""

    def __init__(self) -> None:
        self._known: set[str] = set()

    def __call__(self, name: str) -> str:
        """The name itself, as long as there is room for it."""
        if name not in self._known:
            self.allow((name,))
        return self.known(name)

    def allow(self, names: Iterable[str]) -> None:
        """Names that mean what they say."""
        for name in names:
            if len(self._known) < _MOST_NAMES:
                self._known.add(name)

    def known(self, name: str) -> str:
        """The name, if it was allowed: a model may call tools by any name it likes."""
        return name if name in self._known else "other"


def _reason(status: int | None) -> str:
    if status == _TOO_MANY_REQUESTS:
        return "rate_limit"
    if status is None:
        return "connection"
    return "server" if status >= _SERVER_ERROR else "other"


_Measure = Callable[[Measurer, str, Any, Record], None]
_MEASURES: Mapping[str, _Measure] = MappingProxyType(
    {
        RunStarted.tag: Measurer._run_started,
        RunFinished.tag: Measurer._run_finished,
        AgentStarted.tag: Measurer._agent_started,
        AgentRestarted.tag: Measurer._agent_restarted,
        AgentPlaced.tag: Measurer._agent_placed,
        TurnFinished.tag: Measurer._turn_finished,
        ModelRequested.tag: Measurer._requested,
        ModelResponded.tag: Measurer._responded,
        ModelFailed.tag: Measurer._failed,
        Retrying.tag: Measurer._retrying,
        ToolFinished.tag: Measurer._tool_finished,
        Compacted.tag: Measurer._compacted,
        SubtaskChanged.tag: Measurer._subtask,
        SubtaskMerged.tag: Measurer._merged,
    }
)
