"""A2A over HTTP: JSON-RPC at `/` and `/a2a`, HTTP+JSON below `/a2a/rest`, the public card."""

from fastapi import APIRouter
from starlette.routing import BaseRoute, Route

from codetether_ray.ingress.http import a2a_cards, a2a_descriptors, a2a_rest, a2a_rest_old
from codetether_ray.ingress.http.a2a_jsonrpc import JsonRpc
from codetether_ray.ingress.parts import Parts

JSONRPC = ("/a2a", "/a2a/", "/")
"""With a slash too: some clients put one at the end of what the card says."""
REST = "/a2a/rest"


def router(parts: Parts) -> APIRouter:
    """All of it; plain routes, whose bodies the protocol's own definitions describe."""
    rpc = JsonRpc(parts)
    found: list[BaseRoute] = [
        Route(path, rpc.answer, methods=["POST"], name=f"a2a{path}") for path in JSONRPC
    ]
    found += a2a_cards.routes(parts)
    found += a2a_rest_old.routes(parts, REST)
    found += a2a_rest.routes(parts, REST)
    found += a2a_descriptors.routes()
    return APIRouter(routes=found)
