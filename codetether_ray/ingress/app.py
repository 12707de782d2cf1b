"""The ASGI application of an ingress: every router there is, behind the gate."""

import importlib
import importlib.util
from collections.abc import Awaitable, Callable, MutableMapping
from typing import TYPE_CHECKING, Any

from codetether_ray import __version__
from codetether_ray.ingress.parts import Parts

if TYPE_CHECKING:
    from fastapi import FastAPI

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
"""An ASGI application."""

FAMILIES = (
    "health", "info", "a2a", "session", "agents", "audit", "runs", "swarms", "prds", "okrs",
    "truth", "work", "cloudevents", "tasks", "peers",
)  # fmt: skip
"""Modules of `ingress/http`; each has `router(parts: Parts) -> APIRouter`."""


def build_app(parts: Parts) -> App:
    """The whole application: gate, then body limit, then routes. Pure ASGI all the way."""
    from codetether_ray.ingress.gate import GateMiddleware

    return GateMiddleware(build_routes(parts), parts.gate)


def build_routes(parts: Parts) -> "FastAPI":
    """The routes without the gate: for the gate's tests, and what reads all routes."""
    from fastapi import FastAPI

    app = FastAPI(title="CodeTether", version=__version__, redoc_url=None)
    for family in FAMILIES:
        name = f"codetether_ray.ingress.http.{family}"
        if importlib.util.find_spec(name) is not None:
            app.include_router(importlib.import_module(name).router(parts))
    return app
