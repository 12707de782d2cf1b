"""What Ray says: written to a file, told to a person only where a person must act."""

import logging
import re
import warnings
from collections.abc import Callable
from pathlib import Path
from types import MappingProxyType
from typing import Any

_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"

_ACT_ON = MappingProxyType(
    {
        r"memory pressure|low on memory|OutOfMemory|\(OOM\)": (
            "a node ran out of memory and Ray ended an agent there; it is started again when there "
            "is room (fewer at a time: --max-subagents)"
        ),
        r"over \d+% full|out of disk|No space left on device|OutOfDisk": (
            "a node's disk is almost full, so Ray cannot store objects there; free some space"
        ),
        r"marked dead because the detector has missed too many heartbeats|node.*has been marked "
        r"dead": "a node of the cluster stopped answering; its agents are started again elsewhere",
        r"Too many open files": (
            "Ray ran out of file descriptors; raise the limit (`ulimit -n 65536`)"
        ),
    }
)


class Chatter:
    """Takes what Ray logs, warns and prints in the driver.

    All of it goes to `path`; the sentences of `_ACT_ON` also go to `on_notice`, each once.
    """

    def __init__(self, path: Path, on_notice: Callable[[str], None]) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._handler = logging.FileHandler(path, encoding="utf-8", delay=True)
        self._handler.setFormatter(logging.Formatter(_FORMAT))
        self._on_notice = on_notice
        self._told: set[str] = set()
        self._undo: list[Callable[[], None]] = []

    def install(self) -> None:
        """Take over from Ray's own handlers and printer. Imports Ray."""
        warnings.filterwarnings("ignore", module=r"ray(\.|$)")
        import ray  # noqa: PLC0415 - its import must come after the filter and the environment
        from ray._private import worker  # noqa: PLC0415

        logger = logging.getLogger(ray.__name__)
        kept, propagate = list(logger.handlers), logger.propagate
        logger.handlers[:] = [self._handler]
        logger.propagate = False
        self._undo.append(lambda: _restore(logger, kept, propagate))
        printer = getattr(worker, "print_to_stdstream", None)
        if printer is not None:
            worker.print_to_stdstream = self._take
            self._undo.append(lambda: setattr(worker, "print_to_stdstream", printer))

    def uninstall(self) -> None:
        """Give Ray back what was taken over."""
        while self._undo:
            self._undo.pop()()
        self._handler.close()

    def _take(self, data: dict[str, Any], ignore_prefix: bool = False) -> None:
        for line in data.get("lines", ()):
            self._write(f"({data.get('pid')}) {line}")
            self._tell(str(line))

    def _write(self, text: str) -> None:
        record = logging.LogRecord("ray", logging.INFO, "", 0, text, None, None)
        self._handler.handle(record)

    def _tell(self, line: str) -> None:
        for sentence in to_act_on(line):
            if sentence not in self._told:
                self._told.add(sentence)
                self._on_notice(sentence)


def to_act_on(line: str) -> tuple[str, ...]:
    """The sentences for a person that a line of Ray's calls for; mostly none."""
    return tuple(s for pattern, s in _ACT_ON.items() if re.search(pattern, line))


def _restore(logger: logging.Logger, handlers: list[logging.Handler], propagate: bool) -> None:
    logger.handlers[:] = handlers
    logger.propagate = propagate
