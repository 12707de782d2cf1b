"""Which tools an agent has that works for somebody: those that the policy gives them."""

from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType

from codetether_ray.core.principals import Principal
from codetether_ray.tools.catalog import ASKING, PEER_TOOLS, READ_TOOLS, WRITE_TOOLS, tools_for

_NOTES = ("todo_read", "todo_write")
_MAIN = frozenset((*tools_for("main"), *PEER_TOOLS))

TOOLS_BY_PERMISSION: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "tools:read": (*READ_TOOLS, *_NOTES, ASKING),
        "tools:write": (*WRITE_TOOLS, "prd"),
        "tools:execute": tuple(sorted(_MAIN - {*READ_TOOLS, *WRITE_TOOLS, *_NOTES, ASKING, "prd"})),
    }
)
"""What each permission adds; together they are all tools of a session's agent."""


May = Callable[[Principal, str], Awaitable[bool]]
"""Whether somebody has a permission."""


async def tools_of(may: May, principal: Principal) -> tuple[str, ...]:
    """The names, sorted; none: nothing is given.

    This process's own user, who asks without a token, has all.
    """
    if principal.auth_source == "local":
        return tuple(sorted(_MAIN))
    found: set[str] = set()
    for permission, tools in TOOLS_BY_PERMISSION.items():
        if await may(principal, permission):
            found.update(tools)
    return tuple(sorted(found))
