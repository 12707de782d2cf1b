"""One agent's voice inside the process that holds the run's journal."""

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import replace

from codetether_ray.core.events import (
    Event,
    ReasoningStreamed,
    Record,
    Retrying,
    TextStreamed,
    ToolOutput,
)
from codetether_ray.core.ralph_events import OF_STORIES
from codetether_ray.core.spec import Correlation
from codetether_ray.core.topics import retries_of, topic
from codetether_ray.local.clock import SystemClock
from codetether_ray.ports.bus import Bus, Envelope
from codetether_ray.ports.clock import Clock
from codetether_ray.ports.journal import Journal

_LIVE_AFTER_S = 0.05  # live events wait this long for company
_KEPT_AFTER_S = 0.01  # and durable ones this long: an answer, its tools and what follows go at once
_MAX_WAITING = 2_000  # records a slow bus may leave waiting before live ones are dropped
_MAX_TEXT = 8_000  # characters that one coalesced piece may grow to

_Piece = TextStreamed | ReasoningStreamed | ToolOutput


class LocalPublisher:
    """Durable events are on disk before they are on the bus; nobody waits for the bus.

    On the bus records keep the order in which they happened. Adjacent pieces of a stream become
    one; where the bus cannot follow, live events are dropped, and where it fails, what it was
    given: the journal is the truth.
    """

    def __init__(
        self,
        journal: Journal,
        bus: Bus | None,
        correlation: Correlation,
        agent: str,
        clock: Clock | None = None,
        *,
        company_s: float | None = None,
    ) -> None:
        """`company_s`: how long anything waits for company on its way to the bus."""
        self._journal = journal
        self._bus = bus
        self._correlation = correlation
        self._agent = agent
        self._clock = clock or SystemClock()
        self._waiting: deque[Record] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._flusher: asyncio.Task[None] | None = None
        self._live_after_s = _LIVE_AFTER_S if company_s is None else company_s
        self._kept_after_s = _KEPT_AFTER_S if company_s is None else company_s
        self._topics = _topics(correlation, agent)
        self._swarm = topic("swarm", correlation.swarm_id) if correlation.swarm_id else ""

    def correlate(self, correlation: Correlation) -> None:
        """From now on, say that what happens belongs to this."""
        self._correlation = correlation

    async def record(self, *events: Event) -> None:
        """Journal durable events and wait until they are on disk; then publish them soon.

        Raises:
            JournalError: nothing of `events` is promised, and nothing was published.
        """
        if not events:
            return
        kept = await self._journal.append([self._record(event) for event in events])
        if self._bus is not None:
            self._waiting.extend(kept)
            self._flush_in(self._kept_after_s)

    def emit(self, event: Event) -> None:
        """Publish a live event soon, batched; dropped if the bus cannot follow."""
        if self._bus is None:
            return
        merged = _merged(self._waiting[-1].event, event) if self._waiting else None
        if merged is not None:
            self._waiting[-1] = replace(self._waiting[-1], event=merged)
            return
        if len(self._waiting) >= _MAX_WAITING:
            return
        self._waiting.append(self._record(event))
        self._flush_in(self._live_after_s)

    async def history(self) -> Sequence[Event]:
        """This agent's durable events so far."""
        return [record.event for record in await self._journal.read(self._agent)]

    async def close(self) -> None:
        """Publish what still waits."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while self._waiting or (self._flusher is not None and not self._flusher.done()):
            self._start_flush()
            if self._flusher is not None:
                await asyncio.wait({self._flusher})

    def _record(self, event: Event) -> Record:
        correlation = self._correlation
        if isinstance(event, OF_STORIES) and not correlation.task_id:
            correlation = replace(correlation, task_id=event.story)
        return Record(
            correlation=correlation,
            agent=self._agent,
            event=event,
            time=self._clock.now(),
        )

    def _flush_in(self, seconds: float) -> None:
        """Flush then, or sooner if that was asked for."""
        loop = asyncio.get_running_loop()
        due = loop.time() + seconds
        if self._timer is not None:
            if self._timer.when() <= due:
                return
            self._timer.cancel()
        self._timer = loop.call_at(due, self._on_time)

    def _on_time(self) -> None:
        self._timer = None
        self._start_flush()

    def _start_flush(self) -> None:
        if self._waiting and (self._flusher is None or self._flusher.done()):
            self._flusher = asyncio.get_running_loop().create_task(self._flush())

    async def _flush(self) -> None:
        """Publish all that waits; what comes meanwhile goes with the next round."""
        assert self._bus is not None
        while self._waiting:
            batch = list(self._waiting)
            self._waiting.clear()
            try:
                await self._bus.publish(self._envelopes(batch))
            except Exception:  # noqa: BLE001 - whatever a bus raises, the journal is the truth
                return

    def _envelopes(self, records: Sequence[Record]) -> list[Envelope]:
        envelopes = []
        for record in records:
            payload = record.to_text().encode("utf-8", "replace")
            names = self._topics
            if self._swarm and record.event.tag.startswith("swarm."):
                names = (*names, self._swarm)
            elif isinstance(record.event, Retrying):
                names = (*names, retries_of(self._correlation.run_id))
            envelopes += [Envelope(topic=n, sender=self._agent, payload=payload) for n in names]
        return envelopes


def _topics(correlation: Correlation, agent: str) -> tuple[str, ...]:
    own = topic("agent", agent, "events")
    return (own, topic("task", correlation.task_id)) if correlation.task_id else (own,)


def _merged(last: Event, new: Event) -> Event | None:
    """Two adjacent pieces of one stream as one; None if they are not."""
    if not isinstance(last, _Piece) or not isinstance(new, _Piece) or len(last.text) > _MAX_TEXT:
        return None
    return replace(last, text=last.text + new.text) if _stream(last) == _stream(new) else None


def _stream(piece: _Piece) -> tuple[type, int | str]:
    return type(piece), piece.call_id if isinstance(piece, ToolOutput) else piece.step
