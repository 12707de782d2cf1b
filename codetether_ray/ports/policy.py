"""Who may do what: one question, asked before anything is done."""

from dataclasses import dataclass
from typing import Protocol

from codetether_ray.core.principals import Principal


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """What is asked for. Empty members are not known, or do not matter."""

    type: str = ""
    """`task`, `session`, `run`, …"""
    id: str = ""
    owner_id: str = ""
    """See `Principal.owner`."""
    tenant_id: str = ""


class Policy(Protocol):
    """Decides; it never raises, and what cannot be decided is refused."""

    async def allows(
        self, principal: Principal, permission: str, resource: Resource | None = None
    ) -> bool:
        """Whether somebody may use a permission (`tasks:read`), on a certain resource if given."""
        ...

    async def close(self) -> None:
        """Let go of what is open."""
        ...
