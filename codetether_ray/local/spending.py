"""What a run's budget lets its agents do: how many may start, and none once it is spent."""

from codetether_ray.core.errors import BudgetSpentError
from codetether_ray.core.usage import Spend
from codetether_ray.ports.ledger import Ledger


class Spending:
    """Counts the agents of a run that were started, each once, and knows its ledger."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._started: set[str] = set()

    def start(self, path: str) -> None:
        """Count an agent, from its first permit on."""
        self._started.add(path)

    async def refuse_spent(self, path: str) -> None:
        """See that an agent may go on, or start.

        Raises:
            BudgetSpentError: the budget is spent, or holds no further agent.
        """
        limits, spent = await self._ledger.limits(), await self._ledger.spent()
        started = len(self._started)
        is_new = path not in self._started
        if is_new and limits.agents is not None and started >= limits.agents:
            raise BudgetSpentError("agents", limits.agents, started)
        if limits.tokens is not None and spent.tokens >= limits.tokens:
            raise BudgetSpentError("tokens", limits.tokens, spent.tokens)
        if limits.usd is not None and spent.usd >= limits.usd:
            raise BudgetSpentError("US dollars", limits.usd, spent.usd)
        if limits.wall_s is not None:  # which the ledger alone can judge
            await self._ledger.settle(await self._ledger.reserve(Spend()), Spend())
