"""What an agent's tools reach in its run's supervisor: its children, and shared results."""

from typing import Any

from codetether_ray.actors.calls import ask
from codetether_ray.core.spec import AgentSpec, TurnResult
from codetether_ray.ports.tool import SharedResult

_SUPERVISOR = "the run's supervisor"


class RayChildren:
    """The child runtime port on a supervisor."""

    def __init__(self, supervisor: Any) -> None:
        self._supervisor = supervisor

    async def run_child(
        self, parent: AgentSpec, call_id: str, description: str, prompt: str
    ) -> TurnResult:
        """Run a child agent to its end. The parent's permit is lent meanwhile.

        Raises:
            TreeLimitError: the tree may not grow.
        """
        reference = self._supervisor.run_child.remote(parent, call_id, description, prompt)
        result: TurnResult = await ask(reference, _SUPERVISOR)
        return result


class RayShares:
    """The share store port on a supervisor."""

    def __init__(self, supervisor: Any) -> None:
        self._supervisor = supervisor

    async def publish(self, result: SharedResult) -> None:
        """Store and announce."""
        await ask(self._supervisor.share.remote(result), _SUPERVISOR)

    async def get(self, key: str) -> SharedResult | None:
        """One result."""
        found: SharedResult | None = await ask(self._supervisor.shared.remote(key), _SUPERVISOR)
        return found

    async def query(
        self, *, tags: tuple[str, ...] = (), prefix: str = ""
    ) -> tuple[SharedResult, ...]:
        """Results with any of the tags (all, if none is given) and a key prefix, by key."""
        found: tuple[SharedResult, ...] = await ask(
            self._supervisor.all_shared.remote(tags, prefix), _SUPERVISOR
        )
        return found
