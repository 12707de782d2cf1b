"""Who is alive."""

from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentCard:
    """What others may know of an agent (the A2A card of issue-to-come is made from it)."""

    name: str
    url: str
    """`bus://local/{name}` for an ephemeral one."""
    description: str = ""
    capabilities: tuple[str, ...] = ()
    ephemeral: bool = True
    run_id: str = ""
    labels: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Presence:
    """A card, when it last gave a sign (seconds since the epoch), and whether its lease holds."""

    card: AgentCard
    last_seen: float
    is_alive: bool


class Directory(Protocol):
    """A register of agents with leases."""

    async def announce(self, card: AgentCard, lease_s: float = 30.0) -> None:
        """Register or renew: the agent counts as alive for `lease_s` from now."""
        ...

    async def withdraw(self, name: str) -> None:
        """Take an agent out; nothing happens if it is not there."""
        ...

    async def find(self, name: str) -> Presence | None:
        """One agent."""
        ...

    async def list(self, run_id: str | None = None) -> tuple[Presence, ...]:
        """All agents (of a run), by name. Those whose lease ended long ago are dropped."""
        ...
