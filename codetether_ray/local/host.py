"""Agents inside this process."""

import itertools
import os
import socket
from collections.abc import Callable

from codetether_ray.agent.parts import AgentLinks, Wiring
from codetether_ray.core.messages import Message
from codetether_ray.core.spec import AgentSpec, TurnResult
from codetether_ray.local.agent import LocalAgent
from codetether_ray.local.capacity import machine_capacity
from codetether_ray.ports.host import Capacity, Place


class LocalHost:
    """Starts `LocalAgent`s; `make_links` gives each its voice and the services of its run."""

    def __init__(
        self,
        make_links: Callable[[AgentSpec], AgentLinks],
        wiring: Wiring,
        *,
        capacity: Callable[[], Capacity] = machine_capacity,
    ) -> None:
        self._make_links = make_links
        self._wiring = wiring
        self._capacity = capacity
        self._started: set[LocalProcess] = set()
        self._host = socket.gethostname()
        self._served = itertools.count()

    async def start(self, spec: AgentSpec, *, attempt: int = 0) -> "LocalProcess":
        """An agent; it reads its journal when its turn begins."""
        agent = LocalAgent(spec, self._make_links(spec), self._wiring)
        process = LocalProcess(agent, self._place(), self._started.discard)
        self._started.add(process)
        return process

    def _place(self) -> Place:
        name = f"{self._host}:{os.getpid()}"
        return Place(host=self._host, process=name, served=next(self._served))

    async def capacity(self) -> Capacity:
        """This machine."""
        return self._capacity()

    async def close(self) -> None:
        """End what was started."""
        for process in tuple(self._started):
            await process.end()


class LocalProcess:
    """One agent of this process."""

    def __init__(
        self, agent: LocalAgent, place: Place, on_end: Callable[["LocalProcess"], None]
    ) -> None:
        self.place = place
        self._agent = agent
        self._on_end = on_end

    async def turn(self, message: Message) -> TurnResult:
        """Give it a turn."""
        return await self._agent.turn(message)

    async def cancel(self) -> None:
        """Cancel the running turn."""
        await self._agent.cancel()

    async def leave(self) -> None:
        """Stop after the present step."""
        await self._agent.leave()

    async def end(self) -> None:
        """Let go of it."""
        self._on_end(self)
        await self._agent.close()
