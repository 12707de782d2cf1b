"""Log records as JSON lines, each with the run, the agent and the node that it belongs to.

    {"ts":"2026-11-22T21:46:03.120Z","level":"info","logger":"codetether_ray.run",
     "message":"turn.finished","run":"swm_…","agent":"sub/tests","node":"ab12…","host":"n1","pid":7,
     "outcome":"completed"}

What looks like a key is masked. Nothing that a person or a model wrote is logged by this project.
"""

import contextvars
import json
import logging
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from codetether_ray.core.masking import Masker

PROJECT = "codetether_ray"
"""The logger above all of this project."""
FIELDS = "fields"
"""`logger.info(words, extra={FIELDS: {…}})` adds members to the line."""

VARIABLE = "CODETETHER_LOG"

_context: contextvars.ContextVar[dict[str, str]] = contextvars.ContextVar("log_context")


@contextmanager
def correlated(**ids: str) -> Iterator[None]:
    """Log records made inside (in this task and its own) bear these ids: `run`, `agent`, `node`."""
    token = _context.set({**_context.get({}), **{name: id for name, id in ids.items() if id}})
    try:
        yield
    finally:
        _context.reset(token)


class JsonFormatter(logging.Formatter):
    """One JSON object a record, on one line."""

    def __init__(self, **ids: str) -> None:
        """`ids` are those of records that are made in no other context."""
        super().__init__()
        self._ids = {name: id for name, id in ids.items() if id}
        self._host = socket.gethostname()
        self._mask = Masker()

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        moment = datetime.fromtimestamp(record.created, UTC)
        line: dict[str, Any] = {
            "ts": moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **self._ids,
            **_context.get({}),
            "host": self._host,
            "pid": os.getpid(),
        }
        line.update(getattr(record, FIELDS, {}))
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return self._mask(json.dumps(line, ensure_ascii=False, default=str))


def log_to_stderr(**ids: str) -> None:
    """Have what is logged in this process go to its stderr, as Ray's workers keep it; once.

    For processes that hold no run's log: those of agents. A process keeps its `ids` for life.
    """
    logger = logging.getLogger(PROJECT)
    if is_off() or any(isinstance(h, _ToStderr) for h in logger.handlers):
        return
    handler = _ToStderr()
    handler.setFormatter(JsonFormatter(**ids))
    logger.addHandler(handler)
    logger.setLevel(level())
    logger.propagate = False
    logging.getLogger("asyncio").addHandler(handler)


class _ToStderr(logging.StreamHandler[Any]):
    """Stderr as it is when something is written; one that is closed costs the line alone."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write a line."""
        self.stream = sys.stderr
        super().emit(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's own name
        """Leave it out."""


def level() -> int:
    """What is logged: `CODETETHER_LOG` is `debug`, `info` (the default), `warning` or `error`."""
    wanted = os.environ.get(VARIABLE, "").strip().upper()
    return logging.getLevelNamesMapping().get(wanted, logging.INFO)


def is_off() -> bool:
    """Whether nothing at all shall be logged: `CODETETHER_LOG=off`."""
    return os.environ.get(VARIABLE, "").strip().lower() == "off"
