"""`/v1/bundles`: git bundles that runs will work on."""

from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request

from codetether_ray.ingress.control import control_of
from codetether_ray.ingress.http.shapes.swarms import BundleBody

if TYPE_CHECKING:
    from codetether_ray.ingress.parts import Parts

_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}


def router(parts: "Parts") -> APIRouter:
    """The routes of bundles."""
    made = APIRouter(tags=["bundles"])
    control = control_of(parts)

    @made.post("/v1/bundles", status_code=201, openapi_extra=_BODY)
    async def upload(request: Request) -> BundleBody:
        """Upload what `git bundle create FILE --all` made; the body is the file's bytes."""
        found = await control.upload(request.stream())
        return BundleBody(id=found.id, size=found.size, sha256=found.sha256, refs=found.refs)

    return made
