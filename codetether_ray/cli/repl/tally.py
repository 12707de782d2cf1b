"""What was used since the prompt opened, by run."""

from dataclasses import dataclass, field

from codetether_ray.cli import words
from codetether_ray.core.usage import Usage


@dataclass(slots=True)
class Entry:
    """What one run used. A cost of None is unknown."""

    kind: str
    usage: Usage = field(default_factory=Usage)
    cost_usd: float | None = 0.0
    times: int = 0

    def add(self, usage: Usage, cost_usd: float | None) -> None:
        """Count one more turn or try."""
        known = self.cost_usd is not None and cost_usd is not None
        self.cost_usd = (self.cost_usd or 0) + (cost_usd or 0) if known else None
        self.usage += usage
        self.times += 1


class Tally:
    """Tokens and dollars by run, and in all."""

    def __init__(self) -> None:
        self._entries: dict[str, Entry] = {}

    def add(self, kind: str, run_id: str, usage: Usage, cost_usd: float | None) -> None:
        """Count what a turn or a run used."""
        self._entries.setdefault(run_id, Entry(kind)).add(usage, cost_usd)

    @property
    def total(self) -> Entry:
        """Everything together."""
        total = Entry("total")
        for entry in self._entries.values():
            total.add(entry.usage, entry.cost_usd)
        return total

    def lines(self) -> list[str]:
        """One line for each run, and the total."""
        rows = [(f"{each.kind} {run_id}", each) for run_id, each in self._entries.items()]
        if not rows:
            return ["nothing was used yet"]
        return [_line(name, entry) for name, entry in (*rows, ("total", self.total))]


def _line(name: str, entry: Entry) -> str:
    return f"{name}: {words.tokens(entry.usage)} · {words.dollars(entry.cost_usd)}"
