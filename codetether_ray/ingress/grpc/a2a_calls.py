"""A gRPC call's metadata as the SDK's context, the same as HTTP's."""

from typing import Any

import grpc
from a2a.server.context import ServerCallContext

from codetether_ray.ingress.a2a_context import EXTENSION_HEADERS, call_context


def context_of(
    context: grpc.aio.ServicerContext[Any, Any], request: Any = None
) -> ServerCallContext:
    """The call's context; metadata that is no text is left out, a token too."""
    metadata = [
        (key.lower(), value)
        for key, value in context.invocation_metadata() or ()
        if isinstance(value, str) and key.lower() != "authorization"
    ]
    extensions = [value for key, value in metadata if key in EXTENSION_HEADERS]
    return call_context(dict(metadata), extensions, request)


def stated_version(context: ServerCallContext) -> str | None:
    """What the call's metadata says of the protocol's version."""
    found: str | None = context.state["headers"].get("a2a-version")
    return found
