"""Who asks: what a request was let in as. Values only."""

from dataclasses import dataclass
from typing import Literal

AuthSource = Literal["static_token", "named_token", "peer", "local"]
"""`static_token`: the server's own; `named_token`: one made for somebody; `local`: this process's
user, who needs none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """Somebody or something that asks. No secret is in it."""

    user_id: str
    roles: tuple[str, ...] = ()
    """Names of the policy's roles."""
    tenant_id: str = ""
    """Empty: none."""
    scopes: tuple[str, ...] = ()
    auth_source: AuthSource = "named_token"

    @property
    def owner(self) -> str:
        """Whose tasks, sessions and runs its own are: `tenant/user`, or `user` without a tenant."""
        return f"{self.tenant_id}/{self.user_id}" if self.tenant_id else self.user_id
