"""Sums over the records of any number of runs: models, tools, files, days."""

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

from codetether_ray.core.codec import JsonObject, JsonValue
from codetether_ray.core.events import (
    AgentStarted,
    ModelFailed,
    ModelRequested,
    ModelResponded,
    Record,
    RunStarted,
    SubtaskChanged,
    ToolFinished,
    ToolStarted,
)
from codetether_ray.core.messages import ToolCall
from codetether_ray.core.usage import Usage

KINDS: frozenset[str] = frozenset(
    kind.tag
    for kind in (
        AgentStarted,
        ModelFailed,
        ModelRequested,
        ModelResponded,
        RunStarted,
        SubtaskChanged,
        ToolFinished,
        ToolStarted,
    )
)
"""The kinds of records that count; others need not be built."""

_PATCHED = re.compile(r"^(?:\*\*\* (?:Add|Update|Delete) File: |\+\+\+ (?:b/)?)(.+?)\s*$", re.M)
_WRITES, _SHELL = "write", "shell"


@dataclass(slots=True)
class Spent:
    """What model calls came to. A call without a known price counts in `unpriced` alone."""

    calls: int = 0
    failed: int = 0
    usage: Usage = field(default_factory=Usage)
    cost_usd: float = 0.0
    unpriced: int = 0

    def add(self, usage: Usage, cost_usd: float | None, *, is_answer: bool) -> None:
        """Count one call."""
        self.calls += is_answer
        self.failed += not is_answer
        self.usage += usage
        if cost_usd is None:
            self.unpriced += 1
        else:
            self.cost_usd += cost_usd

    def to_json(self) -> JsonObject:
        """All numbers; the cost is null where not one call has a price."""
        is_known = self.unpriced < self.calls + self.failed or not self.unpriced
        usage = self.usage
        return {
            "calls": self.calls,
            "failed": self.failed,
            "tokens": usage.total_tokens,
            "prompt_tokens": usage.prompt_tokens,
            "completion_tokens": usage.completion_tokens,
            "cache_read_tokens": usage.cache_read_tokens,
            "cache_write_tokens": usage.cache_write_tokens,
            "reasoning_tokens": usage.reasoning_tokens,
            "cost_usd": round(self.cost_usd, 6) if is_known else None,
            "unpriced_calls": self.unpriced,
        }


@dataclass(slots=True)
class Used:
    """How a tool was used."""

    calls: int = 0
    failures: int = 0
    interrupted: int = 0
    elapsed_ms: int = 0

    def to_json(self) -> JsonObject:
        """All numbers."""
        return {
            "calls": self.calls,
            "failures": self.failures,
            "interrupted": self.interrupted,
            "elapsed_ms": self.elapsed_ms,
        }


@dataclass(slots=True)
class Changed:
    """How many calls changed a path, and how many subtasks' commits did."""

    writes: int = 0
    commits: int = 0


@dataclass(slots=True)
class Day:
    """What happened on one day (UTC)."""

    spent: Spent = field(default_factory=Spent)
    runs: set[str] = field(default_factory=set)
    tools: int = 0


class Totals:
    """The sums of all records that were added; memory grows with names, not with records."""

    def __init__(self) -> None:
        self.spent = Spent()
        self.models: dict[str, Spent] = {}
        self.tools: dict[str, Used] = {}
        self.files: dict[str, Changed] = {}
        self.days: dict[str, Day] = {}
        self.runs = 0
        self.agents = 0
        self._run = ""
        self._asked: dict[str, str] = {}
        self._running: dict[tuple[str, str], ToolStarted] = {}
        self.left: list[str] = []
        """Snapshots of this run that commands left; only git can say what is changed in them."""

    def add(self, record: Record) -> None:
        """Count one record; those of a run come together."""
        run = record.correlation.run_id
        if run != self._run:
            self._run = run
            self.runs += 1
            self._asked.clear()
            self._running.clear()
            self.left.clear()
        day = self._day(record.time)
        day.runs.add(run)
        match record.event:
            case AgentStarted():
                self.agents += 1
            case ModelRequested(model=model):
                self._asked[record.agent] = model
            case ModelResponded(response=response):
                self._spend(record, response.usage, response.cost_usd, is_answer=True)
            case ModelFailed(usage=usage, cost_usd=cost):
                self._spend(record, usage, cost, is_answer=False)
            case ToolStarted(call=call):
                self._running[record.agent, call.id] = record.event
            case ToolFinished():
                self._tool(record.agent, record.event, day)
            case SubtaskChanged(status="completed", files=files):
                for path in files:
                    self._file(path).commits += 1
            case _:
                pass

    def add_writes(self, paths: Iterable[str]) -> None:
        """Count what commands changed, a path for each command that did."""
        for path in paths:
            self._file(path).writes += 1

    def to_json(self) -> JsonObject:
        """Everything, biggest first."""
        models: JsonValue = [
            {"model": name, **spent.to_json()}
            for name, spent in sorted(self.models.items(), key=lambda x: -x[1].usage.total_tokens)
        ]
        tools: JsonValue = [
            {"tool": name, **used.to_json()}
            for name, used in sorted(self.tools.items(), key=lambda x: (-x[1].calls, x[0]))
        ]
        files: JsonValue = [
            {"path": path, "writes": changed.writes, "commits": changed.commits}
            for path, changed in sorted(
                self.files.items(), key=lambda x: (-x[1].writes, -x[1].commits, x[0])
            )
        ]
        days: JsonValue = [
            {"day": name, "runs": len(d.runs), "tool_calls": d.tools, **d.spent.to_json()}
            for name, d in sorted(self.days.items())
        ]
        return {
            "runs": self.runs,
            "agents": self.agents,
            **self.spent.to_json(),
            "tool_calls": sum(used.calls for used in self.tools.values()),
            "models": models,
            "tools": tools,
            "files": files,
            "days": days,
        }

    def _day(self, moment: float) -> Day:
        name = datetime.fromtimestamp(moment, UTC).date().isoformat()
        return self.days.setdefault(name, Day())

    def _spend(
        self, record: Record, usage: Usage, cost_usd: float | None, *, is_answer: bool
    ) -> None:
        model = self.models.setdefault(self._asked.get(record.agent, "unknown"), Spent())
        for spent in (self.spent, model, self._day(record.time).spent):
            spent.add(usage, cost_usd, is_answer=is_answer)

    def _tool(self, agent: str, event: ToolFinished, day: Day) -> None:
        used = self.tools.setdefault(event.result.name, Used())
        used.calls += 1
        used.failures += event.result.is_error
        used.interrupted += event.interrupted
        used.elapsed_ms += event.elapsed_ms
        day.tools += 1
        started = self._running.pop((agent, event.result.call_id), None)
        if started is None:
            return
        if started.effect == _SHELL and event.snapshot:
            self.left.append(event.snapshot)
        if started.effect == _WRITES and not event.result.is_error:
            self.add_writes(dict.fromkeys(written(started.call)))

    def _file(self, path: str) -> Changed:
        return self.files.setdefault(path, Changed())


def written(call: ToolCall) -> Iterator[str]:
    """The paths that a writing call names: its `path`, or those in its patch."""
    try:
        given = json.loads(call.arguments)
    except ValueError:
        return
    if not isinstance(given, dict):
        return
    path = given.get("path", given.get("file_path"))
    if isinstance(path, str):
        yield path
    patch = given.get("patch", given.get("input"))
    if isinstance(patch, str):
        yield from (name for name in _PATCHED.findall(patch) if name != "/dev/null")
