"""The agent's loop: decide, ask, act, note."""

from codetether_ray.agent.parts import AgentParts
from codetether_ray.core.messages import Message
from codetether_ray.core.spec import AgentSpec, TurnResult


class AgentLoop:
    """One agent: its conversation, and the turns it takes. Not for two turns at once."""

    def __init__(self, spec: AgentSpec, parts: AgentParts) -> None:
        self._spec = spec
        self._parts = parts

    async def start(self) -> None:
        """Read the history and rebuild the conversation. Idempotent."""
        raise NotImplementedError

    async def turn(self, message: Message) -> TurnResult:
        """Take a turn, or go on with the one that the journal shows unfinished."""
        raise NotImplementedError

    def cancel(self) -> None:
        """Cancel the running turn, if any; it ends with outcome `cancelled`."""
        raise NotImplementedError
