"""A host of scripted agents, and a runtime over it, for tests without processes."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

from codetether_ray.core.errors import AgentLostError, NodeLostError
from codetether_ray.core.events import Event
from codetether_ray.core.messages import Message
from codetether_ray.core.spec import AgentSpec, TurnResult
from codetether_ray.core.usage import Budget, Usage
from codetether_ray.local.admission import LocalAdmission
from codetether_ray.local.runtime import HostedRuntime
from codetether_ray.ports.host import Capacity, NodeCapacity, Place
from codetether_ray.testing.clock import FakeClock
from codetether_ray.testing.fakes import MemoryLedger, MemoryPublisher

GB = 1_000_000_000
Life = Callable[["CrowdProcess", str], Awaitable[TurnResult]]


def done(text: str = "done", **changes: Any) -> TurnResult:
    usage = Usage(prompt_tokens=10)
    return replace(TurnResult(outcome="completed", text=text, usage=usage, cost_usd=1.0), **changes)


class CrowdProcess:
    """An agent whose turn is a function; `cancel` ends it as an honest agent would."""

    def __init__(self, host: "CrowdHost", spec: AgentSpec, attempt: int) -> None:
        self.host, self.spec, self.attempt = host, spec, attempt
        self.place = Place(node=spec.node, host="here", process="here:1")
        self.cancels = 0
        self.is_deaf = False
        self.left = False
        self._turn: asyncio.Task[TurnResult] | None = None

    async def turn(self, message: Message) -> TurnResult:
        life = self.host.lives.get(self.spec.path, self.host.life)
        self._turn = asyncio.ensure_future(life(self, message.text))
        try:
            return await self._turn
        except asyncio.CancelledError:
            if self.left:
                raise NodeLostError(self.spec.path, "it is about to go", self.spec.node) from None
            if self.cancels:
                return TurnResult(outcome="cancelled")
            raise

    async def cancel(self) -> None:
        self.cancels += 1
        if self._turn is not None and not self.is_deaf:
            self._turn.cancel()

    async def leave(self) -> None:
        if self._turn is not None:
            self.left = True
            self._turn.cancel()

    async def end(self) -> None:
        self.host.live.discard(self)


class CrowdHost:
    """Starts agents; knows who lives, and the most that ever did at once."""

    def __init__(self, *, memory_for: int = 1000, nodes: tuple[NodeCapacity, ...] = ()) -> None:
        self.nodes = nodes
        self.lives: dict[str, Life] = {}
        self.live: set[CrowdProcess] = set()
        self.peak = 0
        self.starts: Counter[str] = Counter()
        self.specs: dict[str, AgentSpec] = {}
        self.fails_to_start = 0
        self._memory = memory_for * GB

    async def life(self, process: CrowdProcess, text: str) -> TurnResult:
        for _ in range(5):
            await asyncio.sleep(0)
        return done(f"{process.spec.path}: {text}")

    async def start(self, spec: AgentSpec, *, attempt: int = 0) -> CrowdProcess:
        await asyncio.sleep(0)
        if self.fails_to_start:
            self.fails_to_start -= 1
            raise AgentLostError(spec.path, "no worker")
        process = CrowdProcess(self, spec, attempt)
        self.starts[spec.path] += 1
        self.specs[spec.path] = spec
        self.live.add(process)
        self.peak = max(self.peak, len(self.live))
        return process

    async def capacity(self) -> Capacity:
        return Capacity(
            cpus=1000,
            memory_bytes=self._memory,
            free_memory_bytes=1000 * GB,
            largest_memory_bytes=self._memory,
            nodes=self.nodes,
        )

    async def close(self) -> None:
        self.live.clear()


class Crowd:
    """A runtime over scripted agents, and what it said."""

    def __init__(
        self,
        *,
        memory_for: int = 1000,
        max_live: int | None = None,
        budget: Budget | None = None,
        clock: FakeClock | None = None,
        nodes: tuple[NodeCapacity, ...] = (),
        **options: Any,
    ) -> None:
        self.host = CrowdHost(memory_for=memory_for, nodes=nodes)
        self.clock = clock or FakeClock()
        self.ledger = MemoryLedger(budget)
        self.publishers: dict[str, MemoryPublisher] = {}
        self.admission = LocalAdmission(self.host.capacity, self.clock, max_live=max_live)
        self.runtime = HostedRuntime(
            self.host, self.admission, self.ledger, self.publisher_for, self.clock, **options
        )

    def publisher_for(self, spec: AgentSpec) -> MemoryPublisher:
        return self.publishers.setdefault(spec.path, MemoryPublisher())

    def recorded(self, path: str) -> list[Event]:
        return self.publishers[path].recorded
