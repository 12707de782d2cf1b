"""What happens to a run and its agents, as lines of the run's log; model calls are `debug`.

The journal holds everything; the log is what a person or a log store searches, and can be lost.
"""

import logging
import logging.handlers
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from codetether_ray.core import events as e
from codetether_ray.core.codec import JsonObject
from codetether_ray.core.events import Record
from codetether_ray.telemetry.logs import FIELDS, PROJECT, JsonFormatter, correlated, is_off, level

_BYTES = 10_000_000
_KEPT = 2
"""Earlier files of one run's log, each of that size."""
_RUNS = 500
"""Runs whose logs are kept."""
_OTHERS = ("asyncio", "opentelemetry")
"""Loggers of others whose warnings belong in the log."""


def log_path(data_dir: Path, run_id: str) -> Path:
    """Where a run's log is."""
    return data_dir / "logs" / f"{run_id}.jsonl"


class RunLog:
    """Writes one run's log while it is open; a disk that refuses costs the log alone."""

    def __init__(self, data_dir: Path, run_id: str, node: str = "") -> None:
        path = log_path(data_dir, run_id)
        path.parent.mkdir(parents=True, exist_ok=True)
        _prune(path.parent)
        self._handler = _Handler(path, maxBytes=_BYTES, backupCount=_KEPT, encoding="utf-8")
        self._handler.setFormatter(JsonFormatter(run=run_id, node=node))
        self._handler.setLevel(level())
        self._logger = logging.getLogger(f"{PROJECT}.run")
        self._run_id = run_id
        logging.getLogger(PROJECT).addHandler(self._handler)
        logging.getLogger(PROJECT).setLevel(level())
        for name in _OTHERS:
            logging.getLogger(name).addHandler(self._handler)

    def take(self, record: Record) -> None:
        """Log one durable record."""
        tell = _TELL.get(record.kind)
        if tell is None or (record.kind in _DEBUG and not self._logger.isEnabledFor(logging.DEBUG)):
            return  # without a look at the event: most of them come unread
        grade, fields = tell(record.event)
        if self._logger.isEnabledFor(grade):
            with correlated(run=self._run_id, agent=record.agent):
                extra = {FIELDS: {"seq": record.seq, **fields}}
                self._logger.log(grade, record.kind, extra=extra)

    def close(self) -> None:
        """Log no more."""
        for name in (PROJECT, *_OTHERS):
            logging.getLogger(name).removeHandler(self._handler)
        self._handler.close()


def open_log(data_dir: Path, run_id: str) -> RunLog | None:
    """A run's log; None where nobody wants one (`CODETETHER_LOG=off`) or the disk has no room."""
    if is_off():
        return None
    try:
        return RunLog(data_dir, run_id)
    except OSError:
        return None


class _Handler(logging.handlers.RotatingFileHandler):
    """Says nothing where the disk is full: the journal does."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's own name
        """Leave it out."""

    def _open(self) -> Any:
        file = super()._open()
        Path(self.baseFilename).chmod(0o600)
        return file


def _prune(folder: Path) -> None:
    """Remove the logs of runs that are older than those of the last 500."""
    runs = sorted((path.name.split(".")[0][4:], path) for path in folder.glob("*_*.jsonl*"))
    kept = set(sorted({key for key, _ in runs})[-_RUNS:])
    for key, path in runs:
        if key not in kept:
            path.unlink(missing_ok=True)


Told = tuple[int, JsonObject]


def _run_started(event: e.RunStarted) -> Told:
    return logging.INFO, {"kind": event.kind, "model": event.model, "resumed": event.resumed}


def _run_finished(event: e.RunFinished) -> Told:
    return logging.INFO, {"outcome": event.outcome}


def _agent_started(event: e.AgentStarted) -> Told:
    return logging.INFO, {"kind": event.spec.kind, "model": event.spec.model}


def _placed(event: e.AgentPlaced) -> Told:
    return logging.INFO, {
        "attempt": event.attempt,
        "on_node": event.node,
        "on_host": event.host,
        "process": event.process,
        "took_ms": event.took_ms,
    }


def _restarted(event: e.AgentRestarted) -> Told:
    return logging.WARNING, {"attempt": event.attempt, "reason": event.reason}


def _turn_finished(event: e.TurnFinished) -> Told:
    result = event.result
    fields: JsonObject = {
        "outcome": result.outcome,
        "error_kind": result.error_kind,
        "elapsed_s": result.elapsed_s,
        "steps": result.steps,
        "tokens": result.usage.total_tokens,
        "cost_usd": result.cost_usd,
    }
    return (logging.INFO if result.is_success else logging.WARNING), fields


def _failed(event: e.ModelFailed) -> Told:
    return logging.WARNING, {"step": event.step, "error_kind": event.error_kind}


def _responded(event: e.ModelResponded) -> Told:
    return logging.DEBUG, {
        "step": event.step,
        "elapsed_ms": event.elapsed_ms,
        "tokens": event.response.usage.total_tokens,
    }


def _tool_finished(event: e.ToolFinished) -> Told:
    return logging.DEBUG, {
        "step": event.step,
        "tool": event.result.name,
        "is_error": event.result.is_error,
        "elapsed_ms": event.elapsed_ms,
    }


def _subtask(event: e.SubtaskChanged) -> Told:
    grade = logging.WARNING if event.status in ("failed", "blocked") else logging.INFO
    return grade, {"subtask": event.id, "status": event.status, "stage": event.stage}


def _merged(event: e.SubtaskMerged) -> Told:
    grade = logging.WARNING if event.status == "unmerged" else logging.INFO
    return grade, {"subtask": event.id, "status": event.status}


_TELL: Mapping[str, Callable[[Any], Told]] = MappingProxyType(
    {
        e.RunStarted.tag: _run_started,
        e.RunFinished.tag: _run_finished,
        e.AgentStarted.tag: _agent_started,
        e.AgentPlaced.tag: _placed,
        e.AgentRestarted.tag: _restarted,
        e.TurnFinished.tag: _turn_finished,
        e.ModelFailed.tag: _failed,
        e.ModelResponded.tag: _responded,
        e.ToolFinished.tag: _tool_finished,
        e.SubtaskChanged.tag: _subtask,
        e.SubtaskMerged.tag: _merged,
    }
)
_DEBUG = frozenset((e.ModelResponded.tag, e.ToolFinished.tag))
"""Whose lines are of that grade."""
