"""`/v1/bundles`: git bundles that runs will work on."""

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request

from codetether_ray.core.errors import UsageError
from codetether_ray.ingress.control import control_of
from codetether_ray.ingress.http.shapes.swarms import BundleBody

if TYPE_CHECKING:
    from starlette.datastructures import UploadFile

    from codetether_ray.ingress.parts import Parts

_BINARY = {"schema": {"type": "string", "format": "binary"}}
_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/octet-stream": _BINARY,
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["bundle"],
                    "properties": {"bundle": {"type": "string", "format": "binary"}},
                }
            },
        },
    }
}
_PIECE = 1 << 20


def router(parts: "Parts") -> APIRouter:
    """The routes of bundles."""
    made = APIRouter(tags=["bundles"])
    control = control_of(parts)

    @made.post("/v1/bundles", status_code=201, openapi_extra=_BODY)
    async def upload(request: Request) -> BundleBody:
        """Upload what `git bundle create FILE --all` made: as the body, or as field `bundle`."""
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind == "multipart/form-data":
            async with request.form(max_files=1, max_fields=4) as form:
                given = form.get("bundle")
                if given is None or isinstance(given, str):
                    raise UsageError("the form has no file in its field `bundle`")
                found = await control.upload(_pieces(given))
        else:
            found = await control.upload(request.stream())
        return BundleBody(id=found.id, size=found.size, sha256=found.sha256, refs=found.refs)

    return made


async def _pieces(file: "UploadFile") -> AsyncIterator[bytes]:
    while piece := await file.read(_PIECE):
        yield piece
