"""The directory across processes."""

from typing import Any

from codetether_ray.actors.calls import ask
from codetether_ray.ports.directory import AgentCard, Presence

_REGISTRY = "the directory actor"


class RayDirectory:
    """The directory port on a cluster's registry actor."""

    def __init__(self, actor: Any) -> None:
        self._actor = actor

    async def announce(self, card: AgentCard, lease_s: float = 30.0) -> None:
        """Register or renew: the agent counts as alive for `lease_s` from now."""
        await ask(self._actor.announce.remote(card, lease_s), _REGISTRY)

    async def withdraw(self, name: str) -> None:
        """Take an agent out; nothing happens if it is not there."""
        await ask(self._actor.withdraw.remote(name), _REGISTRY)

    async def find(self, name: str) -> Presence | None:
        """One agent."""
        found: Presence | None = await ask(self._actor.find.remote(name), _REGISTRY)
        return found

    async def list(self, run_id: str | None = None) -> tuple[Presence, ...]:
        """All agents (of a run), by name."""
        found: tuple[Presence, ...] = await ask(self._actor.list.remote(run_id), _REGISTRY)
        return found
