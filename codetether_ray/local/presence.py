"""Live agents in the directory: announced when they start, renewed, withdrawn at the end."""

import asyncio
from contextlib import suppress

from codetether_ray.core.errors import CodetetherError
from codetether_ray.core.spec import AgentSpec
from codetether_ray.ports.clock import Clock
from codetether_ray.ports.directory import AgentCard, Directory

_LEASE_S = 30.0


def directory_name(spec: AgentSpec) -> str:
    """An agent's name in the directory, which many runs share."""
    return f"{spec.correlation.run_id}/{spec.path}"


def card(spec: AgentSpec) -> AgentCard:
    """What others may know of an agent."""
    name = directory_name(spec)
    return AgentCard(
        name=name,
        url=f"bus://local/{name}",
        description=spec.name,
        capabilities=spec.tools,
        ephemeral=spec.kind != "main",
        run_id=spec.correlation.run_id,
        labels={"path": spec.path, "kind": spec.kind, "model": spec.model},
    )


class Presence:
    """Keeps the cards of live agents fresh. A directory that does not answer stops nobody."""

    def __init__(self, directory: Directory | None, clock: Clock) -> None:
        self._directory = directory
        self._clock = clock
        self._cards: dict[str, AgentCard] = {}
        self._renewing: asyncio.Task[None] | None = None

    async def enter(self, spec: AgentSpec) -> None:
        """Announce an agent, and renew its lease from now on."""
        if self._directory is None:
            return
        self._cards[directory_name(spec)] = card(spec)
        if self._renewing is None:
            self._renewing = asyncio.create_task(self._renew(self._directory))
        with suppress(CodetetherError):
            await self._directory.announce(card(spec), _LEASE_S)

    async def leave(self, spec: AgentSpec) -> None:
        """Take an agent out."""
        if self._directory is None or self._cards.pop(directory_name(spec), None) is None:
            return
        if not self._cards and self._renewing is not None:
            self._renewing.cancel()
            self._renewing = None
        with suppress(CodetetherError):
            await self._directory.withdraw(directory_name(spec))

    async def _renew(self, directory: Directory) -> None:
        while True:
            await self._clock.sleep(_LEASE_S / 3)
            for known in tuple(self._cards.values()):
                if known.name in self._cards:
                    with suppress(CodetetherError):
                        await directory.announce(known, _LEASE_S)
