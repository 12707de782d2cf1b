"""How a run stands, and what it does, from any node of its cluster: read from its journal.

Nobody who looks on has a part in the run: it neither waits for them nor ends with them.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace

from codetether_ray.bootstrap.truth import runs
from codetether_ray.bootstrap.truth.place import Truth
from codetether_ray.core.codec import JsonObject
from codetether_ray.core.events import Record, RunFinished, RunStarted

_PAUSE_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A run as its journal tells it."""

    run_id: str
    command: JsonObject | None = None
    """What was asked, by its latest try; None: not even its beginning is recorded yet."""
    outcome: str = ""
    """How its latest try ended; empty where it has not."""
    result: JsonObject | None = None
    is_alive: bool = False
    """Somebody is at it."""
    records: int = 0

    @property
    def state(self) -> str:
        """`running`, `finished`, or `interrupted`: nobody is at it, and it has not ended."""
        if self.is_alive and not self.outcome:
            return "running"
        return "finished" if self.outcome else "interrupted"

    def after(self, record: Record) -> "Seen":
        """With one more record."""
        seen = replace(self, records=max(self.records, record.seq + 1))
        match record.event:
            case RunStarted(command=command):
                return replace(seen, command=command, outcome="", result=None)
            case RunFinished(outcome=outcome, summary=summary):
                return replace(seen, outcome=outcome, result=summary)
        return seen


async def look(truth: Truth, run_id: str, show: Callable[[Record], None]) -> Seen:
    """The run as it is now; `show` is given each of its durable events.

    Raises:
        UnknownRunError: there is none of that id.
    """
    standing = await truth.ask(runs.STANDING, run_id)  # first: who ends now is read to the end
    seen = Seen(run_id=run_id, is_alive=standing.is_alive)
    return await _read(truth, seen, show)


async def follow(truth: Truth, run_id: str, show: Callable[[Record], None]) -> Seen:
    """`look`, and go on until nobody is at the run any more.

    Raises:
        UnknownRunError: there is none of that id.
    """
    seen = await look(truth, run_id, show)
    while seen.state == "running":
        await asyncio.sleep(_PAUSE_S)
        standing = await truth.ask(runs.STANDING, run_id)
        seen = await _read(truth, replace(seen, is_alive=standing.is_alive), show)
    return seen


async def _read(truth: Truth, seen: Seen, show: Callable[[Record], None]) -> Seen:
    while found := await truth.ask(runs.REREAD, seen.run_id, seen.records - 1):
        for data in found:
            record = Record.from_json(data)
            seen = seen.after(record)
            show(record)
    return seen
