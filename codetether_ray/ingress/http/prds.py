"""`/v1/prds`: PRDs that are worked off by order over the network."""

import time
from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Query

from codetether_ray.bootstrap.control import owned
from codetether_ray.bootstrap.control.owned import Page
from codetether_ray.ingress.control import control_of
from codetether_ray.ingress.http.shapes.runs import Run, Runs, StartedRun
from codetether_ray.ingress.http.shapes.swarms import NewPrd
from codetether_ray.ingress.http.swarms import started

if TYPE_CHECKING:
    from codetether_ray.ingress.parts import Parts


def router(parts: "Parts") -> APIRouter:
    """The routes of PRDs."""
    made = APIRouter(tags=["prds"])
    control = control_of(parts)

    @made.post("/v1/prds", status_code=202)
    async def create(body: NewPrd) -> StartedRun:
        """Work a PRD off; answered as soon as the run is on record. It goes on by itself."""
        return started(await control.submit_prd(body.order()))

    @made.get("/v1/prds")
    async def prds(
        limit: Annotated[int, Query(ge=1, le=500)] = 50,
        before: Annotated[str, Query(max_length=200)] = "",
    ) -> Runs:
        """Runs that work PRDs off, newest first."""
        asked = (await control.owner(), "ralph", "", limit, before, time.time())
        page: Page = await control.ask(owned.PAGE, *asked)
        return Runs(runs=[Run.model_validate(row) for row in page.rows], next=page.next or None)

    return made
