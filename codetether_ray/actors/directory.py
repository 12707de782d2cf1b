"""The directory across processes."""

from collections.abc import Sequence
from typing import Any

from codetether_ray.actors.calls import ask
from codetether_ray.actors.outbox import Outbox
from codetether_ray.ports.directory import AgentCard, Presence

_REGISTRY = "the directory actor"
_CARD_BYTES = 600
"""What a card is taken to weigh."""


class RayDirectory:
    """The directory port on a cluster's registry actor; what comes at once rides one call."""

    def __init__(self, actor: Any) -> None:
        self._actor = actor
        self._outbox: Outbox[tuple[AgentCard | str, float], None] = Outbox(self._note)

    async def _note(self, news: Sequence[tuple[AgentCard | str, float]]) -> list[None]:
        told: list[None] = await ask(self._actor.note.remote(news), _REGISTRY)
        return told

    async def announce(self, card: AgentCard, lease_s: float = 30.0) -> None:
        """Register or renew: the agent counts as alive for `lease_s` from now."""
        await self._outbox.post((card, lease_s), _CARD_BYTES)

    async def withdraw(self, name: str) -> None:
        """Take an agent out; nothing happens if it is not there."""
        await self._outbox.post((name, 0.0), _CARD_BYTES)

    async def find(self, name: str) -> Presence | None:
        """One agent."""
        found: Presence | None = await ask(self._actor.find.remote(name), _REGISTRY)
        return found

    async def list(self, run_id: str | None = None) -> tuple[Presence, ...]:
        """All agents (of a run), by name."""
        found: tuple[Presence, ...] = await ask(self._actor.list.remote(run_id), _REGISTRY)
        return found
