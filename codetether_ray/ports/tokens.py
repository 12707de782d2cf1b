"""Bearer tokens: whose they are. Values of tokens are never kept, but for the server's own file."""

from dataclasses import dataclass
from typing import Protocol

from codetether_ray.core.principals import Principal


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedToken:
    """A token made for somebody, without its value."""

    name: str
    """Whose it is: the principal's `user_id`."""
    digest: str
    """SHA-256 of the value, in hexadecimal."""
    created_at: float
    """Seconds since the epoch, as the others."""
    roles: tuple[str, ...] = ()
    tenant_id: str = ""
    scopes: tuple[str, ...] = ()
    expires_at: float | None = None
    revoked_at: float | None = None

    def is_valid(self, now: float) -> bool:
        """Whether it opens anything."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


class TokenBook(Protocol):
    """Knows the valid tokens, as they were a few seconds ago at most."""

    async def principal_of(self, token: str) -> Principal | None:
        """Whose token it is; None where it is not valid.

        Raises:
            AuthUnavailableError: that cannot be told.
        """
        ...
