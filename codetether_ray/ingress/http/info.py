"""`/api/version`, and the API's description at `/openapi.json` and `/docs`."""

import platform
from typing import TYPE_CHECKING

from fastapi import APIRouter
from pydantic import BaseModel, Field

from codetether_ray import __version__

if TYPE_CHECKING:
    from codetether_ray.ingress.parts import Parts


class Version(BaseModel):
    """What runs here."""

    version: str = Field(description="Of this program.")
    name: str = Field(description="The server's own name, as its agent card has it.")
    python: str


def router(parts: "Parts") -> APIRouter:
    """The route of the version; the description's are the application's own."""
    made = APIRouter(tags=["server"])

    @made.get("/api/version")
    async def version() -> Version:
        """Which version of this program answers."""
        return Version(
            version=__version__, name=parts.options.name, python=platform.python_version()
        )

    return made
