"""An agent inside one process: also the class that becomes an actor."""

import asyncio
from contextlib import suppress

from codetether_ray.agent.loop import AgentLoop
from codetether_ray.agent.parts import AgentLinks, AgentParts, Wiring
from codetether_ray.core.messages import Message
from codetether_ray.core.spec import AgentSpec, TurnResult
from codetether_ray.ports.runtime import AgentStatus


class LocalAgent:
    """A loop, and the lock that gives it one turn at a time; status and cancel always answer."""

    def __init__(self, spec: AgentSpec, links: AgentLinks, wiring: Wiring) -> None:
        self._spec = spec
        self._links = links
        self._wiring = wiring
        self._lock = asyncio.Lock()
        self._parts: AgentParts | None = None
        self._loop: AgentLoop | None = None
        self._turns: set[asyncio.Task[TurnResult]] = set()
        self._started_at = 0.0

    async def turn(self, message: Message) -> TurnResult:
        """Take a turn, after those asked for before; see `AgentLoop.turn`."""
        raise NotImplementedError

    async def cancel(self) -> None:
        """Cancel the running turn, if any; it ends with outcome `cancelled`."""
        raise NotImplementedError

    async def status(self) -> AgentStatus:
        """What it is doing."""
        raise NotImplementedError

    async def close(self) -> None:
        """Cancel the running turn, wait for its end, and let go of the provider."""
        with suppress(NotImplementedError):
            await self.cancel()
