"""`/health` and `/ready`: for probes, without a token and without any detail."""

import asyncio
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter
from fastapi.responses import PlainTextResponse

from codetether_ray.core.errors import CodetetherError
from codetether_ray.ports.tasks import TaskQuery

if TYPE_CHECKING:
    from codetether_ray.ingress.parts import Parts

_AWAY: dict[str, Any] = {
    "description": "It cannot work: the tasks' store does not answer.",
    "content": {"text/plain": {"schema": {"type": "string"}}},
}
_PATIENCE_S = 5.0
_NOBODY = " readiness"
"""An owner of tasks that no principal can be: a name begins with no space."""


def router(parts: "Parts") -> APIRouter:
    """The routes of probes."""
    made = APIRouter(tags=["probes"])

    @made.get("/health", response_class=PlainTextResponse)
    async def health() -> str:
        """Whether this process answers."""
        return "ok"

    @made.get(
        "/ready",
        response_class=PlainTextResponse,
        responses={503: _AWAY},
    )
    async def ready() -> PlainTextResponse:
        """Whether requests may be sent here."""
        if await is_ready(parts):
            return PlainTextResponse("ready")
        return PlainTextResponse("not ready", 503)

    for path, answer in (("/health", health), ("/ready", ready)):
        made.add_api_route(path, answer, methods=["HEAD"], include_in_schema=False)
    return made


async def is_ready(parts: "Parts") -> bool:
    """Whether the store of tasks answers."""
    if parts.store is None:
        return True
    try:
        async with asyncio.timeout(_PATIENCE_S):
            await parts.store.list(TaskQuery(owner=_NOBODY, page_size=1))
    except (CodetetherError, TimeoutError, OSError):
        return False
    return True
