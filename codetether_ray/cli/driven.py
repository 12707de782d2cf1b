"""A run that a command drives: shown while it goes, ended by signals, printed in its format."""

import json
import sys
from collections.abc import Coroutine, Sequence
from typing import Any

from codetether_ray.cli.live import open_progress, ticking
from codetether_ray.cli.options import Format
from codetether_ray.cli.progress import SwarmView
from codetether_ray.cli.signals import Stopper
from codetether_ray.cli.style import say
from codetether_ray.core.events import Record


class DrivenRun:
    """Stdout gets the result alone (or, as a stream, every event); everything else is stderr's."""

    def __init__(
        self, form: Format, max_time_s: float | None, view: SwarmView | None = None
    ) -> None:
        self._form = form
        self._stopper: Stopper[dict[str, Any]] = Stopper(say, max_time_s)
        self.progress = open_progress(sys.stderr, view)

    def show(self, record: Record) -> None:
        """One event, as it comes."""
        self._stopper.saw(record)
        self.progress.show(record)
        if self._form == "stream-json":
            _stream(record.to_json())

    async def result_of(self, work: Coroutine[Any, Any, dict[str, Any]]) -> dict[str, Any]:
        """Await the run, which signals and the end of its time may cut short."""
        async with ticking(self.progress):
            return await self._stopper.run(work)

    def finish(self, result: dict[str, Any], text: str, summary: Sequence[str]) -> int:
        """Print the result (`text`, where it is to be read), then the summary; the exit code."""
        if self._form == "json":
            sys.stdout.write(json.dumps(result, indent=2, ensure_ascii=False) + "\n")
        elif self._form == "stream-json":
            _stream({"kind": "result", **result})
        elif text:
            sys.stdout.write(text.rstrip("\n") + "\n")
        sys.stdout.flush()
        sys.stderr.write("\n" + "\n".join(summary) + "\n")
        sys.stderr.flush()
        return self._stopper.exit_code(result["exit_code"])


def _stream(value: object) -> None:
    """One JSON line on stdout."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False, separators=(",", ":")) + "\n")
    sys.stdout.flush()
