"""Measurements of all runs as metrics of Ray, which its dashboard's agents give to Prometheus.

One process tells Ray of them, the registry's, which lives as long as the cluster: counters of a
run's own process would end with it, and a rate over many short ones misses what each began with.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from ray.exceptions import RayError

from codetether_ray.actors.pulse import plain
from codetether_ray.local.metrics import LocalMetrics
from codetether_ray.ports.metrics import Instrument, Sample

SILENT_S = 30.0
"""A run that sends nothing for so long is gone; its gauges count no more."""
_EVERY_S = 2.0
_AGAIN_S = 5.0
"""Ray reports what was told since its last report, ten seconds ago, and no more."""
_LAST_WORD_S = 2.0


class Collector:
    """Gives samples to Ray. Gauges of several runs are added up, each run's last word counting."""

    def __init__(
        self,
        instruments: Mapping[str, Instrument],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._instruments = instruments
        self._clock = clock
        self._made: dict[str, Any] = {}
        self._gauges: dict[tuple[str, tuple[str, ...]], dict[str, float]] = {}
        self._heard: dict[str, float] = {}

    def take(self, source: str, samples: Sequence[Sample], *, is_last: bool = False) -> None:
        """Take what a run measured; `is_last`: it ends, and its gauges with it."""
        self._heard[source] = self._clock()
        for sample in samples:
            self._tell(source, sample)
        if is_last:
            self._forget(source)
        for silent in [s for s, at in self._heard.items() if self._clock() - at > SILENT_S]:
            self._forget(silent)

    async def keep_gauges(self) -> None:
        """Tell Ray each gauge again and again, which it forgets otherwise; until cancelled."""
        while True:
            for (name, labels), of_runs in self._gauges.items():
                self._set(name, labels, of_runs)
            await asyncio.sleep(_AGAIN_S)

    def _tell(self, source: str, sample: Sample) -> None:
        instrument = self._instruments.get(sample.instrument)
        if instrument is None:  # of another version
            return
        tags = dict(zip(instrument.labels, sample.labels, strict=True))
        if instrument.kind == "counter":
            self._metric(instrument).inc(sum(sample.values), tags)
        elif instrument.kind == "histogram":
            for value in sample.values:
                self._metric(instrument).observe(value, tags)
        else:
            of_runs = self._gauges.setdefault((sample.instrument, sample.labels), {})
            of_runs[source] = sample.values[-1]
            self._set(sample.instrument, sample.labels, of_runs)

    def _forget(self, source: str) -> None:
        self._heard.pop(source, None)
        for (name, labels), of_runs in self._gauges.items():
            if of_runs.pop(source, None) is not None:
                self._set(name, labels, of_runs)

    def _set(self, name: str, labels: tuple[str, ...], of_runs: Mapping[str, float]) -> None:
        instrument = self._instruments[name]
        tags = dict(zip(instrument.labels, labels, strict=True))
        self._metric(instrument).set(sum(of_runs.values()), tags)

    def _metric(self, instrument: Instrument) -> Any:
        if instrument.name not in self._made:
            self._made[instrument.name] = _made(instrument)
        return self._made[instrument.name]


def _made(instrument: Instrument) -> Any:
    from ray.util import metrics  # noqa: PLC0415 - only where somebody collects

    name, text, labels = instrument.name, instrument.help, instrument.labels
    if instrument.kind == "counter":
        return metrics.Counter(name, text, labels)
    if instrument.kind == "gauge":
        return metrics.Gauge(name, text, labels)
    return metrics.Histogram(name, text, list(instrument.buckets), labels)


def is_collected() -> bool:
    """Whether this cluster collects metrics; a private Ray without a dashboard does not."""
    from ray._private.state import state  # noqa: PLC0415 - Ray has no public call that tells it

    try:
        return bool(state.get_system_config().get("enable_metrics_collection", True))
    except (AttributeError, RuntimeError, ValueError):
        return False


class RayMetrics:
    """Sends what one process measures to the cluster's collector, every two seconds."""

    def __init__(self, registry_actor: Any, source: str) -> None:
        self._registry = registry_actor
        self._source = source

    async def is_wanted(self) -> bool:
        """Whether anybody collects."""
        with suppress(RayError):
            return bool(await plain(self._registry.collects.remote()))
        return False

    async def keep_sending(self, metrics: LocalMetrics) -> None:
        """Send until cancelled, and then the last."""
        try:
            while True:
                await asyncio.sleep(_EVERY_S)
                await self._send(metrics, is_last=False)
        finally:
            with suppress(TimeoutError):
                async with asyncio.timeout(_LAST_WORD_S):
                    await self._send(metrics, is_last=True)

    async def _send(self, metrics: LocalMetrics, *, is_last: bool) -> None:
        with suppress(RayError):  # a registry that is started anew counts from there
            await plain(self._registry.measured.remote(self._source, metrics.drain(), is_last))
