"""The policy evaluated in this process, by the table of roles: what is used by default."""

from functools import lru_cache

from codetether_ray.core.principals import Principal
from codetether_ray.policy import rules
from codetether_ray.policy.roles import Roles, own_roles
from codetether_ray.ports.policy import Resource

_REMEMBERED = 4096  # decisions without a resource; a principal has a few dozen


class LocalPolicy:
    """Decides at once."""

    def __init__(self, roles: Roles | None = None) -> None:
        """Decide by `roles`; None: those that come with the program."""
        self.roles: Roles = own_roles() if roles is None else roles
        self._decided = lru_cache(_REMEMBERED)(self._decide)

    async def allows(
        self, principal: Principal, permission: str, resource: Resource | None = None
    ) -> bool:
        """See `Policy.allows`."""
        if resource is None:
            return self._decided(principal, permission)
        return rules.allows(self.roles, principal, permission, resource)

    async def close(self) -> None:
        """Nothing is open."""

    def _decide(self, principal: Principal, permission: str) -> bool:
        return rules.allows(self.roles, principal, permission)
