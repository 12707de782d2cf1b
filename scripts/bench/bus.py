#!/usr/bin/env python
"""The bus against plain calls of a bare Ray actor, in one run: 200-byte messages.

Prints one JSON line per case. `published_per_s` is counted at the bus actor (messages that got
an offset), `delivered_per_s` in the subscribers' processes (two of them), per subscriber. The
plain calls carry the same 200 bytes, one message a call: `sequential` awaits each, `pipelined`
has 256 under way. Latency is from before `publish` to the subscriber's hands, in another process.
"""

import argparse
import asyncio
import json
import statistics
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

SIZE = 200
TOPIC = "swarm.bench"
WINDOW = 20_000
PIPELINED = 256


class Bare:
    """A bare actor."""

    async def take(self, payload: bytes) -> int:
        return len(payload)


class Reader:
    """A process with subscribers; each message starts with its sending time."""

    def __init__(self, bus_actor: Any) -> None:
        from codetether_ray.actors.bus import RayBus

        self._bus = RayBus(bus_actor)
        self._tasks: list[asyncio.Task[None]] = []
        self.counts: list[int] = []
        self.latencies: list[float] = []
        self._subscriptions: list[Any] = []
        self.measures = False

    async def subscribe(self, subscribers: int, measures: bool) -> None:
        self.measures = measures
        self.counts, self.latencies = [0] * subscribers, []
        made = await asyncio.gather(*(self._bus.subscribe([TOPIC]) for _ in range(subscribers)))
        self._subscriptions = list(made)
        self._tasks = [asyncio.create_task(self._read(n, s)) for n, s in enumerate(made)]

    async def _read(self, number: int, subscription: Any) -> None:
        async for envelope in subscription:
            self.counts[number] += 1
            if self.measures:
                self.latencies.append(time.monotonic() - float(envelope.payload[:20]))

    async def wait_for(self, messages: int) -> float:
        """When the slowest subscriber has had `messages`; the time then."""
        while min(self.counts) < messages:
            await asyncio.sleep(0.002)
        return time.monotonic()

    async def end(self) -> tuple[list[int], list[float], int]:
        counts, lost = list(self.counts), sum(s.lost for s in self._subscriptions)
        for subscription in self._subscriptions:
            await subscription.close()
        await asyncio.gather(*self._tasks)
        return counts, self.latencies, lost


def payload() -> bytes:
    return f"{time.monotonic():020.9f}".encode().ljust(SIZE, b"x")


def envelope() -> Any:
    from codetether_ray.ports.bus import Envelope

    return Envelope(topic=TOPIC, sender="bench", payload=payload())


def say(case: str, unit: str, ours: float, name: str = "", value: float = 0.0) -> None:
    """A case's line; `name` is what it is held against."""
    row = {
        "bench": "bus",
        "case": case,
        "unit": unit,
        "ours": round(ours, 3),
        "against": {name: round(value, 3)} if name else None,
        "ratio": round(ours / value, 3) if name else None,
    }
    print(json.dumps(row), flush=True)


async def plain_sequential(actor: Any, seconds: float) -> tuple[float, float]:
    """Calls a second, and the median of one round trip in seconds."""
    trips: list[float] = []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        before = time.monotonic()
        await actor.take.remote(payload())
        trips.append(time.monotonic() - before)
    return len(trips) / seconds, statistics.median(trips)


async def plain_pipelined(actor: Any, seconds: float) -> float:
    done = 0
    began = time.monotonic()
    while time.monotonic() - began < seconds:
        await asyncio.gather(*(actor.take.remote(payload()) for _ in range(PIPELINED)))
        done += PIPELINED
    return done / (time.monotonic() - began)


async def publish_all(bus: Any, messages: int) -> float:
    """Publish one message at a time, `WINDOW` unanswered; messages a second that got an offset."""
    began = time.monotonic()
    waiting: asyncio.Future[int] | None = None
    for n in range(messages):
        last = bus.post([envelope()])
        if n % WINDOW == WINDOW // 2:
            if waiting is not None:
                await waiting
            waiting = last
        elif n % 256 == 0:
            await asyncio.sleep(0)
    await last
    return messages / (time.monotonic() - began)


async def throughput(
    bus: Any, readers: list[Any], subscribers: int, messages: int
) -> dict[str, Any]:
    """Publish as fast as the bus takes them while `subscribers` read, half in each process."""
    shares = [subscribers - subscribers // 2, subscribers // 2]
    used = [(r, n) for r, n in zip(readers, shares, strict=True) if n]
    await asyncio.gather(*(r.subscribe.remote(n, False) for r, n in used))
    began = time.monotonic()
    published = await publish_all(bus, messages)
    ends = await asyncio.gather(*(r.wait_for.remote(messages) for r, _ in used))
    results = await asyncio.gather(*(r.end.remote() for r, _ in used))
    assert all(c == messages for counts, _, lost in results for c in counts), results
    return {
        "subscribers": subscribers,
        "messages": messages,
        "published_per_s": published,
        "delivered_per_s": messages / (max(ends) - began),
        "lost": sum(lost for _, _, lost in results),
    }


async def latency_unloaded(
    bus: Any, bare: Any, readers: list[Any], seconds: float
) -> dict[str, float]:
    """One message at a time, each after a plain call, so that both meet the same machine."""
    await readers[0].subscribe.remote(1, True)
    trips: list[float] = []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        before = time.monotonic()
        await bare.take.remote(payload())
        trips.append(time.monotonic() - before)
        await bus.publish([envelope()])
        await asyncio.sleep(0.002)
    figures = await latencies(readers[0], len(trips))
    trip = statistics.median(trips) * 1000
    return {**figures, "trip_p50_ms": trip, "over_trip": figures["p50_ms"] / trip}


async def latency_loaded(
    bus: Any, readers: list[Any], seconds: float, rate: float
) -> dict[str, float]:
    """At `rate` messages a second."""
    await readers[0].subscribe.remote(1, True)
    sent = 0
    began = time.monotonic()
    while time.monotonic() < began + seconds:
        due = int((time.monotonic() - began) * rate) - sent
        for _ in range(due):
            bus.post([envelope()])
        sent += due
        await asyncio.sleep(0.001)
    return {**await latencies(readers[0], sent), "rate_per_s": rate}


async def latencies(reader: Any, messages: int) -> dict[str, float]:
    """Milliseconds from publish to reader, once all have come."""
    await reader.wait_for.remote(messages)
    _, seen, _ = await reader.end.remote()
    seen.sort()
    return {
        "messages": len(seen),
        "p50_ms": seen[len(seen) // 2] * 1000,
        "p99_ms": seen[len(seen) * 99 // 100] * 1000,
    }


async def cases(scale: float) -> None:
    import ray

    from codetether_ray.actors.bus import RayBus

    light = {"num_cpus": 0, "max_concurrency": 1000}
    bare = ray.remote(Bare).options(**light).remote()
    bus = RayBus.start(capacity=2_000_000)
    readers = [ray.remote(Reader).options(**light).remote(bus.actor) for _ in range(2)]
    await asyncio.gather(bare.take.remote(b""), bus.cursor(), *(r.end.remote() for r in readers))
    await plain_pipelined(bare, 1.0)  # warm
    await throughput(bus, readers, 2, 20_000)

    sequential, _ = await plain_sequential(bare, 3.0 * scale)
    pipelined = await plain_pipelined(bare, 3.0 * scale)
    alone = await latency_unloaded(bus, bare, readers, 5.0 * scale)
    trip = "a bare actor's round trip, goal 2x"
    say("latency unloaded, median", "ms", alone["p50_ms"], trip, alone["trip_p50_ms"])
    say("latency unloaded, 99th percentile", "ms", alone["p99_ms"], trip, alone["trip_p50_ms"])
    one = await throughput(bus, readers, 1, int(300_000 * scale))
    again = await plain_pipelined(bare, 3.0 * scale)
    calls, plain = (pipelined + again) / 2, "calls to a bare actor, pipelined"
    rate = "messages/s"
    say(
        "published at the actor, 1 subscriber",
        rate,
        one["published_per_s"],
        f"{plain}, goal 20x",
        calls,
    )
    say("delivered to it", rate, one["delivered_per_s"], plain, calls)
    say(
        "published at the actor, 1 subscriber",
        rate,
        one["published_per_s"],
        "calls, one by one",
        sequential,
    )
    many = await throughput(bus, readers, 20, int(150_000 * scale))
    say("published at the actor, 20 subscribers", rate, many["published_per_s"], plain, calls)
    say("delivered to each of 20", rate, many["delivered_per_s"], f"{plain}, goal 5x", calls)
    half = await latency_loaded(bus, readers, 3.0 * scale, one["published_per_s"] / 2)
    say("latency at half load, median", "ms", half["p50_ms"], "unloaded", alone["p50_ms"])
    say("latency at half load, 99th percentile", "ms", half["p99_ms"], "unloaded", alone["p99_ms"])


async def run(work: Callable[[], Awaitable[None]]) -> None:
    from codetether_ray.actors.cluster import ClusterOptions, join_or_start

    with TemporaryDirectory() as folder:
        cluster = await join_or_start(ClusterOptions(data_dir=Path(folder), address="local"))
        try:
            await work()
        finally:
            await cluster.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0, help="longer or shorter than 60 s")
    arguments = parser.parse_args()
    asyncio.run(run(lambda: cases(arguments.scale)))
