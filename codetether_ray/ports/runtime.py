"""Where agents live: admission, start, turn, end."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from codetether_ray.core.messages import Message
from codetether_ray.core.spec import AgentSpec, TurnResult


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentStatus:
    """One line of what an agent is doing."""

    path: str
    name: str
    state: str
    """`queued`, `starting`, `running`, `waiting` or `ended`."""
    reason: str = ""
    started_at: float = 0.0
    attempts: int = 0


Prepare = Callable[[AgentSpec], Awaitable[AgentSpec]]
"""Awaited once an agent has its permit; gives the spec to start (with its worktree, say)."""


class AgentRuntime(Protocol):
    """Runs agents. Callers never learn where."""

    async def run(
        self,
        spec: AgentSpec,
        message: Message,
        *,
        prepare: Prepare | None = None,
        priority: int = 0,
    ) -> TurnResult:
        """Wait for a permit, start the agent, give it one turn, end it.

        What an agent needs only while it lives is made by `prepare`, so that a waiting one costs
        nothing; what `prepare` raises reaches the caller. Higher priorities are admitted first.

        An agent whose journal already holds part of this turn goes on from there; one whose turn
        is finished there returns that result. A process that dies is replaced, up to a limit, and
        the turn goes on from the journal. Cancelling the caller cancels the agent.

        Raises:
            AgentLostError: it died too often.
            BudgetSpentError: the run's budget admits no more agents.
            InfeasibleError: no node can ever hold it.
        """
        ...

    async def cancel(self, path: str) -> bool:
        """Cancel an agent's turn and its children's; False if there is no such agent."""
        ...

    async def list(self) -> tuple[AgentStatus, ...]:
        """Agents that wait or run, by path."""
        ...

    async def close(self) -> None:
        """Cancel and end every agent."""
        ...
