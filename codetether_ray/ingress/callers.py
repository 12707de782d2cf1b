"""Who makes the request that is being answered: set by the gate, read by whoever answers."""

from contextvars import ContextVar

from codetether_ray.core.principals import Principal

CALLER: ContextVar[Principal] = ContextVar("caller")
"""Of the HTTP request or RPC that this task answers. Unset on paths that need no token."""


def caller() -> Principal:
    """The principal of the request that is being answered.

    Raises:
        LookupError: the path is one that needs no token.
    """
    return CALLER.get()
