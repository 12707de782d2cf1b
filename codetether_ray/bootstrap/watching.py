"""What watches a run where it lives: it measures, traces and logs the records that pass there.

Once per run, in the process that writes the journal; agents' processes do nothing for it.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from codetether_ray.core.errors import CodetetherError
from codetether_ray.core.events import Record
from codetether_ray.core.topics import retries_of
from codetether_ray.local.metrics import LocalMetrics
from codetether_ray.ports.bus import Bus, Cursor
from codetether_ray.ports.clock import Clock
from codetether_ray.ports.journal import Journal
from codetether_ray.ports.ledger import Ledger
from codetether_ray.ports.metrics import Observe
from codetether_ray.ports.runtime import AgentRuntime
from codetether_ray.telemetry import instruments as i
from codetether_ray.telemetry import otlp
from codetether_ray.telemetry.journal import ObservedJournal
from codetether_ray.telemetry.kinds import kind_of
from codetether_ray.telemetry.measure import Measurer
from codetether_ray.telemetry.run_log import RunLog

if TYPE_CHECKING:
    from codetether_ray.telemetry.identity import RunTrace
    from codetether_ray.telemetry.otlp import SpanSender
    from codetether_ray.telemetry.spans import SpanFold

_SAMPLE_S = 2.0
"""How often it is looked at what only a look tells: who waits, what is left to spend."""
_POLL_S = 20.0
_LAG_S = 10.0
"""Spans that ended so long before a run was cut off may not have been sent: they are, once more."""

Send = Callable[[LocalMetrics], Awaitable[None]]
"""Hands measurements on until it is cancelled, and then the last."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """What a watch looks at besides records."""

    run_id: str
    runtime: AgentRuntime
    ledger: Ledger
    bus: Bus


class Watch:
    """One run's watch; it measures and traces only where somebody collects that."""

    def __init__(
        self,
        clock: Clock,
        *,
        send: Send | None = None,
        traces: "Traces | None" = None,
        log: RunLog | None = None,
    ) -> None:
        self._clock = clock
        self._send = send
        self._traces = traces
        self._log = log
        self._metrics = LocalMetrics()
        self._measurer = Measurer(self._metrics) if send is not None else None
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def trace(self) -> "RunTrace | None":
        """The run's trace, for who tells others of it; None where there is nobody to tell."""
        return self._traces.told_on if self._traces is not None else None

    def journal(self, journal: Journal) -> Journal:
        """The journal, with every record that it keeps seen here."""
        observers: list[Observe] = []
        if self._measurer is not None:
            observers.append(self._measurer.take)
        if self._traces is not None:
            observers.append(self._traces.take)
        if self._log is not None:
            observers.append(self._log.take)
        if not observers:
            return journal

        def observe(record: Record) -> None:
            for each in observers:
                each(record)

        took = self._took if self._measurer is not None else None
        return ObservedJournal(journal, observe, self._clock, took)

    def start(self, watched: Watched) -> None:
        """Look from now on, and hand on what is measured."""
        if self._send is None:
            return
        self._tasks = [
            asyncio.create_task(self._sample(watched), name="watch samples"),
            asyncio.create_task(self._hear(watched), name="watch retries"),
            asyncio.create_task(_handed_on(self._send, self._metrics), name="watch metrics"),
        ]

    async def close(self) -> None:
        """Hand on the last; a run's end waits no longer than a few seconds for it."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._traces is not None:
            await self._traces.close()
        if self._log is not None:
            self._log.close()

    def _took(self, seconds: float, records: int) -> None:
        self._metrics.observe(i.JOURNAL, seconds)
        self._metrics.add(i.RECORDS, records)

    async def _sample(self, watched: Watched) -> None:
        seen: set[tuple[str, str]] = set()
        while True:
            await self._count_agents(watched.runtime, seen)
            await self._look_at_budget(watched.ledger)
            await asyncio.sleep(_SAMPLE_S)

    async def _count_agents(self, runtime: AgentRuntime, seen: set[tuple[str, str]]) -> None:
        counts = dict.fromkeys(seen, 0)
        for agent in await runtime.list():
            key = (kind_of(agent.path), agent.state)
            counts[key] = counts.get(key, 0) + 1
        seen.update(counts)
        for (kind, state), count in counts.items():
            self._metrics.set(i.AGENTS, count, kind, state)
        queued = sum(count for (_, state), count in counts.items() if state == "queued")
        self._metrics.set(i.QUEUE, queued)

    async def _look_at_budget(self, ledger: Ledger) -> None:
        limits, spent = await ledger.limits(), await ledger.spent()
        if limits.usd is not None:
            self._metrics.set(i.BUDGET_USD, limits.usd)
            self._metrics.set(i.BUDGET_LEFT_USD, max(limits.usd - spent.usd, 0.0))
        if limits.tokens is not None:
            self._metrics.set(i.BUDGET_TOKENS, limits.tokens)
            self._metrics.set(i.BUDGET_LEFT_TOKENS, max(limits.tokens - spent.tokens, 0))

    async def _hear(self, watched: Watched) -> None:
        """Retries are told over the bus alone; on the way it is seen how far behind the bus is."""
        import json

        assert self._measurer is not None
        cursor, topic = Cursor(), (retries_of(watched.run_id),)
        with suppress(CodetetherError):  # without a bus there is nothing to hear
            cursor = await watched.bus.cursor()
            while True:
                batch = await watched.bus.poll(topic, cursor, wait_s=_POLL_S)
                self._metrics.set(i.BUS_LAG, batch.lag)
                self._metrics.add(i.BUS_LOST, batch.lost)
                cursor = batch.cursor
                for envelope in batch.envelopes:
                    record = Record.from_json(json.loads(envelope.payload))
                    self._metrics.set(i.BUS_DELAY, max(self._clock.now() - record.time, 0.0))
                    self._measurer.take(record)


class Traces:
    """The spans of a run, sent when they end."""

    def __init__(self, fold: "SpanFold", sender: "SpanSender") -> None:
        self._fold = fold
        self._sender = sender

    @property
    def told_on(self) -> "RunTrace | None":
        """The run's trace as agents name it to commands and providers; None: they do not."""
        return self._fold.trace(traceparent()) if otlp.is_told_on(os.environ) else None

    def take(self, record: Record) -> None:
        """Send what ends with a record."""
        for span in self._fold.take(record):
            if self._fold.is_sampled:
                self._sender.send(span)

    async def close(self) -> None:
        """Send what waits."""
        await self._sender.close()


async def _handed_on(send: Send, metrics: LocalMetrics) -> None:
    await send(metrics)


async def open_traces(data_dir: Path, run_id: str, notice: Callable[[str], None]) -> Traces | None:
    """The spans of a run; None where nobody receives them.

    What the journal holds of the run already is folded first, so that a run that is resumed goes
    on with its trace. `notice` is given a sentence where spans cannot be sent; in any thread.
    """
    if not otlp.is_wanted(os.environ):
        return None
    protocol = otlp.unspoken_protocol(os.environ)
    if protocol:
        notice(f"no traces are sent: OTLP is spoken over HTTP alone, not by {protocol!r}")
        return None
    from codetether_ray.telemetry.otlp import SpanSender
    from codetether_ray.telemetry.spans import SpanFold

    fold, sender = SpanFold(run_id), await asyncio.to_thread(SpanSender, notice)
    traces = Traces(fold, sender)
    await asyncio.to_thread(_fold_past, traces, fold, data_dir, run_id)
    return traces


def _fold_past(traces: Traces, fold: "SpanFold", data_dir: Path, run_id: str) -> None:
    from codetether_ray.bootstrap.replay import archived
    from codetether_ray.core.errors import JournalError, UnknownRunError
    from codetether_ray.journal.listing import find_run
    from codetether_ray.journal.reader import read_records
    from codetether_ray.telemetry.spans import KINDS

    with suppress(UnknownRunError, JournalError):
        cut_off = find_run(data_dir, run_id)
        is_unsent = cut_off.state != "finished"
        for record in read_records(data_dir, run_id, kinds=KINDS, fetch=archived()):
            if is_unsent and record.time > cut_off.updated_at - _LAG_S:
                traces.take(record)
            else:
                for _ in fold.take(record):
                    pass  # it was sent when it ended


def traceparent() -> str:
    """The span that this process's command is part of, as its environment names it."""
    from codetether_ray.telemetry.identity import parse_traceparent

    found = os.environ.get("TRACEPARENT", "")
    return found.strip().lower() if parse_traceparent(found) else ""
