"""Where measurements go: counters, gauges and histograms by name."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

from codetether_ray.core.events import Record

InstrumentKind = Literal["counter", "gauge", "histogram"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Instrument:
    """One thing that is measured. Its name ends in its unit; counters end in `_total`.

    `labels` are the names of the values that each measurement is given with, in this order. They
    have few values: never a path or the id of a run.
    """

    kind: InstrumentKind
    name: str
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()
    """Upper bounds of a histogram's buckets, in its unit."""


class Metrics(Protocol):
    """Takes measurements; never waits, never fails."""

    def add(self, counter: Instrument, amount: float, *labels: str) -> None:
        """Count up; nothing or less is not counted."""
        ...

    def set(self, gauge: Instrument, value: float, *labels: str) -> None:
        """How it is now."""
        ...

    def observe(self, histogram: Instrument, value: float, *labels: str) -> None:
        """One more value."""
        ...


@dataclass(frozen=True, slots=True)
class Sample:
    """What was measured of one instrument, for one set of label values, since the last time.

    `values`: of a counter what was added, of a gauge what it was last, of a histogram each value.
    """

    instrument: str
    labels: tuple[str, ...]
    values: tuple[float, ...]


Observe = Callable[[Record], None]
"""Takes each record of a run once: the durable ones when they are on disk, in order."""
