"""The small services of a cluster in one process: who is alive, who may start, how fast models may
be asked, what all runs measure.

It also looks after supervisors: the driver that followed one may be gone.

They share an actor because a process of its own costs 60 MB and a second of CPU.
"""

import asyncio
from collections.abc import Sequence
from typing import Any

from codetether_ray.actors.metrics import Collector, is_collected
from codetether_ray.actors.pulse import Body, Pulse
from codetether_ray.actors.scheduler import open_desk
from codetether_ray.local.clock import SystemClock
from codetether_ray.local.desk import Answer, Hello, Order, SchedulingDesk
from codetether_ray.local.directory import LocalDirectory
from codetether_ray.local.limiter import LocalLimiter
from codetether_ray.ports.directory import AgentCard, Presence
from codetether_ray.ports.limiter import Lease, RateFeedback
from codetether_ray.ports.metrics import Sample
from codetether_ray.telemetry.instruments import INSTRUMENTS


class Registry:
    """The class of the actor; see `actors.directory` and `actors.limiter` for its clients."""

    def __init__(self) -> None:
        clock = SystemClock()
        self._directory = LocalDirectory(clock)
        self._limiter = LocalLimiter(clock)
        self._watches: dict[str, asyncio.Task[None]] = {}
        self._collector = Collector(INSTRUMENTS) if is_collected() else None
        self._gauges: asyncio.Task[None] | None = None

        self._desk: SchedulingDesk | None = None

    def __repr__(self) -> str:
        return "Registry(directory, scheduler, rate limits, metrics)"

    async def announce(self, card: AgentCard, lease_s: float) -> None:
        """See `Directory`."""
        await self._directory.announce(card, lease_s)

    async def withdraw(self, name: str) -> None:
        """See `Directory`."""
        await self._directory.withdraw(name)

    async def note(self, news: Sequence[tuple[AgentCard | str, float]]) -> list[None]:
        """Announce cards, each with its lease, and withdraw names, in order."""
        for what, lease_s in news:
            if isinstance(what, str):
                await self._directory.withdraw(what)
            else:
                await self._directory.announce(what, lease_s)
        return [None] * len(news)

    async def find(self, name: str) -> Presence | None:
        """See `Directory`."""
        return await self._directory.find(name)

    async def list(self, run_id: str | None) -> tuple[Presence, ...]:
        """See `Directory`."""
        return await self._directory.list(run_id)

    async def lease(self, provider: str, least: int, most: int) -> Lease:
        """See `LocalLimiter`."""
        return await self._limiter.lease(provider, least, most)

    async def schedule(
        self, lease: str, hello: Hello | None, orders: tuple[Order, ...], seen: int, wait_s: float
    ) -> Answer:
        """See `SchedulingDesk`; only runs of a shared cluster ask."""
        if self._desk is None:
            self._desk = open_desk()
        return await self._desk.exchange(lease, hello, orders, seen, wait_s)

    async def leave_schedule(self, lease: str) -> None:
        """See `SchedulingDesk`."""
        if self._desk is not None:
            await self._desk.leave(lease)

    async def watch(self, run_id: str, supervisor: Any, body: Body, lease_s: float) -> None:
        """Watch a run's supervisor from now on; an earlier one of that run no more."""
        earlier = self._watches.pop(run_id, None)
        if earlier is not None:
            earlier.cancel()
        watch = asyncio.create_task(
            _watched(Pulse(supervisor, lease_s, body)), name=f"watching {run_id} {body.process}"
        )
        self._watches[run_id] = watch
        watch.add_done_callback(lambda _: self._forget(run_id, watch))

    def _forget(self, run_id: str, watch: asyncio.Task[None]) -> None:
        if self._watches.get(run_id) is watch:
            del self._watches[run_id]

    async def report(self, provider: str, feedback: RateFeedback) -> None:
        """See `RateLimiter`."""
        await self._limiter.report(provider, feedback)

    async def collects(self) -> bool:
        """Whether anybody collects metrics on this cluster."""
        return self._collector is not None

    async def measured(self, source: str, samples: tuple[Sample, ...], is_last: bool) -> None:
        """See `Collector.take`."""
        if self._collector is None:
            return
        if self._gauges is None:
            self._gauges = asyncio.create_task(self._collector.keep_gauges())
        self._collector.take(source, samples, is_last=is_last)


async def _watched(pulse: Pulse) -> None:
    """End a process that gives no sign of life, so that Ray starts it again; on this node alone."""
    await pulse.silence()
    if pulse.body is not None:
        pulse.body.kill()
