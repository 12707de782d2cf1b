"""What the agents of a run used, counted where they are asked."""

from codetether_ray.core.messages import user
from codetether_ray.core.spec import AgentSpec, TurnResult
from codetether_ray.core.usage import Usage
from codetether_ray.ports.runtime import AgentRuntime, Prepare


class Tally:
    """Runs agents and adds up what they used.

    `cost_usd` is None once a turn with tokens had no known price.
    """

    def __init__(self, runtime: AgentRuntime) -> None:
        self._runtime = runtime
        self.usage = Usage()
        self.cost_usd: float | None = 0.0

    async def run(
        self, spec: AgentSpec, message: str, *, prepare: Prepare | None = None, priority: int = 0
    ) -> TurnResult:
        """Give an agent its turn; errors are the runtime's."""
        turn = await self._runtime.run(spec, user(message), prepare=prepare, priority=priority)
        self.add(turn)
        return turn

    def add(self, turn: TurnResult) -> None:
        """Count a turn (one read from the journal, say)."""
        self.usage += turn.usage
        if turn.cost_usd is None and turn.usage.total_tokens:
            self.cost_usd = None
        elif self.cost_usd is not None:
            self.cost_usd += turn.cost_usd or 0.0
