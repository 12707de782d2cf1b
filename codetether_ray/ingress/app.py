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
    "health",
    "info",
    "a2a",
    "session",
    "agents",
    "audit",
    "runs",
    "swarms",
    "prds",
    "okrs",
    "bundles",
    "truth",
    "work",
    "cloudevents",
    "tasks",
    "peers",
)
"""Modules of `ingress/http`; each has `router(parts: Parts) -> APIRouter`."""
_CORS_AGE_S = 600


def build_app(parts: Parts) -> App:
    """The whole application, pure ASGI: CORS where it is wanted, gate, body limit, problems."""
    from codetether_ray.ingress.bodies import BodyLimit
    from codetether_ray.ingress.gate_http import GateMiddleware
    from codetether_ray.ingress.http.allowing import methods_at
    from codetether_ray.ingress.http.problems import Problems

    routes = build_routes(parts)
    inner = BodyLimit(Problems(routes), parts.options.max_body_bytes)
    gated = GateMiddleware(inner, parts.gate, lambda path: methods_at(routes.routes, path))
    return _with_cors(gated, parts.options.cors_origins)


def build_routes(parts: Parts) -> "FastAPI":
    """The routes without the gate: for the gate's tests, and what reads all routes."""
    from codetether_ray.ingress.http.description import Described
    from codetether_ray.ingress.http.problems import install

    app = Described(
        title=parts.options.name,
        version=__version__,
        redoc_url=None,
        swagger_ui_oauth2_redirect_url=None,
        redirect_slashes=False,
    )
    for family in FAMILIES:
        name = f"codetether_ray.ingress.http.{family}"
        if importlib.util.find_spec(name) is not None:
            app.include_router(importlib.import_module(name).router(parts))
    install(app)
    return app


def _with_cors(app: App, origins: tuple[str, ...]) -> App:
    """Answer the preflight requests of these origins' pages, which have no token."""
    if not origins:
        return app
    from starlette.middleware.cors import CORSMiddleware

    return CORSMiddleware(
        app,
        allow_origins=origins,
        allow_methods=("GET", "POST", "PUT", "PATCH", "DELETE"),
        allow_headers=("authorization", "content-type", "last-event-id", "a2a-version"),
        max_age=_CORS_AGE_S,
    )
