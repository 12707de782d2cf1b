"""Measurements inside one process: kept to be looked at, or handed on in batches."""

from dataclasses import dataclass, field

from codetether_ray.ports.metrics import Instrument, Sample

_MOST_OBSERVED = 5_000
"""Values of one histogram that wait to be handed on; what comes beyond is not told."""

Key = tuple[str, tuple[str, ...]]


class LocalMetrics:
    """Implements `Metrics`. What it was told since the last `drain` waits; the sums are kept."""

    def __init__(self) -> None:
        self._sums: dict[Key, float] = {}
        self._observed: dict[Key, Observed] = {}
        self._waiting: dict[Key, list[float]] = {}

    def add(self, counter: Instrument, amount: float, *labels: str) -> None:
        """See the port."""
        if amount <= 0:
            return
        key = (counter.name, labels)
        self._sums[key] = self._sums.get(key, 0.0) + amount
        waiting = self._waiting.setdefault(key, [0.0])
        waiting[0] += amount

    def set(self, gauge: Instrument, value: float, *labels: str) -> None:
        """See the port."""
        key = (gauge.name, labels)
        self._sums[key] = value
        self._waiting[key] = [value]

    def observe(self, histogram: Instrument, value: float, *labels: str) -> None:
        """See the port."""
        key = (histogram.name, labels)
        self._observed.setdefault(key, Observed()).add(value)
        waiting = self._waiting.setdefault(key, [])
        if len(waiting) < _MOST_OBSERVED:
            waiting.append(value)

    def drain(self) -> tuple[Sample, ...]:
        """What was told since the last time."""
        waiting, self._waiting = self._waiting, {}
        return tuple(Sample(name, labels, tuple(v)) for (name, labels), v in waiting.items())

    def value(self, instrument: Instrument, *labels: str) -> float:
        """The sum of a counter, or a gauge's last value; 0 where nothing was told."""
        return self._sums.get((instrument.name, labels), 0.0)

    def observed(self, histogram: Instrument, *labels: str) -> "Observed":
        """What a histogram was told."""
        return self._observed.get((histogram.name, labels), Observed())

    def names(self) -> frozenset[str]:
        """Every instrument that was told anything."""
        return frozenset(name for name, _ in (*self._sums, *self._observed))


@dataclass(slots=True)
class Observed:
    """What a histogram came to."""

    count: int = 0
    total: float = 0.0
    largest: float = field(default=0.0)

    def add(self, value: float) -> None:
        """One more value."""
        self.count += 1
        self.total += value
        self.largest = max(self.largest, value)
