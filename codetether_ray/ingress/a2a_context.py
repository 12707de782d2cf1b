"""Who calls an A2A operation and how: the SDK's context, the same for every transport."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from codetether_ray.ingress.callers import CALLER

if TYPE_CHECKING:
    from a2a.server.context import ServerCallContext

EXTENSION_HEADERS = ("a2a-extensions", "x-a2a-extensions")
"""Of protocol 1.0 and 0.3, lower case."""


def call_context(
    headers: Mapping[str, str], extensions: list[str], request: Any = None
) -> "ServerCallContext":
    """The context of a call; its user is the principal whom the gate let in.

    Args:
        headers: lower-case names; of gRPC the metadata.
        extensions: values of the headers that ask for extensions.
        request: what is asked; a tenant that it names is the context's.
    """
    from a2a.auth.user import UnauthenticatedUser
    from a2a.server.context import ServerCallContext

    from codetether_ray.a2a.users import CallingUser

    principal = CALLER.get(None)
    wanted = {one.strip() for said in extensions for one in said.split(",") if one.strip()}
    return ServerCallContext.model_construct(
        state={"headers": headers},
        user=UnauthenticatedUser() if principal is None else CallingUser(principal),
        tenant=getattr(request, "tenant", "") or "",
        requested_extensions=wanted,
    )
