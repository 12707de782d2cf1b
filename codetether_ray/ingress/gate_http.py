"""The gate on HTTP: a pure ASGI middleware, the outermost but CORS."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from codetether_ray.ingress.gate_keeper import Gate

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


class GateMiddleware:
    """Nothing reaches the application but public paths and what the gate lets in."""

    def __init__(self, app: App, gate: Gate) -> None:
        self._app, self._gate = app, gate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it."""
        raise NotImplementedError
