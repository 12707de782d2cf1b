"""What an agent's tools reach in its run's supervisor: children, runs, and shared results."""

from codetether_ray.actors.caller import Caller
from codetether_ray.core.spec import AgentSpec, TurnResult
from codetether_ray.ports.child_runs import ChildResult, ChildWish
from codetether_ray.ports.tool import SharedResult


class RayChildren:
    """The child runtime port on a supervisor."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    async def run_child(
        self, parent: AgentSpec, call_id: str, description: str, prompt: str
    ) -> TurnResult:
        """Run a child agent to its end. The parent's permit is lent meanwhile.

        Raises:
            TreeLimitError: the tree may not grow.
        """
        result: TurnResult = await self._caller.ask(
            "run_child", parent, call_id, description, prompt
        )
        return result


class RayChildRuns:
    """The child run port on a supervisor."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    async def run(self, parent: AgentSpec, call_id: str, wish: ChildWish) -> ChildResult:
        """Do a run; see the port."""
        result: ChildResult = await self._caller.ask("run_run", parent, call_id, wish)
        return result


class RayShares:
    """The share store port on a supervisor."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    async def publish(self, result: SharedResult) -> None:
        """Store and announce."""
        await self._caller.ask("share", result)

    async def get(self, key: str) -> SharedResult | None:
        """One result."""
        found: SharedResult | None = await self._caller.ask("shared", key)
        return found

    async def query(
        self, *, tags: tuple[str, ...] = (), prefix: str = ""
    ) -> tuple[SharedResult, ...]:
        """Results with any of the tags (all, if none is given) and a key prefix, by key."""
        found: tuple[SharedResult, ...] = await self._caller.ask("all_shared", tags, prefix)
        return found
