"""An agent inside one process: also the class that becomes an actor."""

import asyncio

from codetether_ray.agent.loop import AgentLoop
from codetether_ray.agent.parts import AgentLinks, AgentParts, Wiring
from codetether_ray.core.errors import AgentLostError
from codetether_ray.core.messages import Message
from codetether_ray.core.spec import AgentSpec, TurnResult
from codetether_ray.ports.runtime import AgentStatus


class LocalAgent:
    """A loop, and the lock that gives it one turn at a time; status and cancel always answer.

    The parts are gathered by `wiring` at the first turn, in the process where the agent lives.
    """

    def __init__(self, spec: AgentSpec, links: AgentLinks, wiring: Wiring) -> None:
        self._spec = spec
        self._links = links
        self._wiring = wiring
        self._lock = asyncio.Lock()
        self._parts: AgentParts | None = None
        self._loop: AgentLoop | None = None
        self._asked = 0
        self._started_at = 0.0
        self._was_cancelled = False
        self._is_closed = False

    async def turn(self, message: Message) -> TurnResult:
        """Take a turn, after those asked for before; see `AgentLoop.turn`.

        Raises:
            AgentLostError: it has been closed.
        """
        self._asked += 1
        try:
            async with self._lock:
                loop = await self._opened()
                self._was_cancelled, early = False, self._was_cancelled
                return await loop.turn(message, is_cancelled=early)
        finally:
            self._asked -= 1

    async def cancel(self) -> None:
        """Cancel the running turn, if any; it ends with outcome `cancelled`."""
        if self._loop is not None:
            self._loop.cancel()
        elif self._asked:
            self._was_cancelled = True

    async def leave(self) -> None:
        """Stop the running turn, if any, after its present step; see `AgentLoop.leave`."""
        if self._loop is not None:
            self._loop.leave()

    async def status(self) -> AgentStatus:
        """What it is doing: `starting`, `running`, `waiting` for a message, or `ended`."""
        if self._is_closed:
            state = "ended"
        elif self._loop is None:
            state = "starting"
        else:
            state = "running" if self._asked else "waiting"
        return AgentStatus(
            path=self._spec.path,
            name=self._spec.name,
            state=state,
            started_at=self._started_at,
        )

    async def rest(self) -> None:
        """Have all written that a kill from now on would lose."""
        if self._parts is not None and self._parts.audit is not None:
            await self._parts.audit.rest()

    async def end_leftovers(self) -> None:
        """End what its tools have left running, whatever its turn does."""
        if self._parts is not None:
            run_id = self._spec.correlation.run_id
            await self._parts.sandbox.end_leftovers(run_id, self._spec.path)

    async def close(self) -> None:
        """Cancel the running turn, wait for its end, and let go of the provider. Idempotent."""
        self._is_closed = True
        await self.cancel()
        async with self._lock:
            parts, self._parts = self._parts, None
            if parts is not None:
                await parts.provider.aclose()
                if parts.audit is not None:
                    await parts.audit.close()

    async def _opened(self) -> AgentLoop:
        if self._is_closed:
            raise AgentLostError(self._spec.path, "it has been closed")
        if self._loop is None:
            self._parts = await self._wiring(self._spec, self._links)
            self._started_at = self._parts.clock.now()
            self._loop = AgentLoop(self._spec, self._parts)
        return self._loop
