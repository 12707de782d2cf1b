"""`/v1/swarms`: swarms that are ordered over the network."""

import time
from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Query

from codetether_ray.bootstrap.control import owned
from codetether_ray.bootstrap.control.owned import Page
from codetether_ray.ingress.control import Started, control_of
from codetether_ray.ingress.http.shapes.runs import Links, Run, Runs, StartedRun
from codetether_ray.ingress.http.shapes.swarms import NewSwarm

if TYPE_CHECKING:
    from codetether_ray.ingress.parts import Parts


def router(parts: "Parts") -> APIRouter:
    """The routes of swarms."""
    made = APIRouter(tags=["swarms"])
    control = control_of(parts)

    @made.post("/v1/swarms", status_code=202)
    async def create(body: NewSwarm) -> StartedRun:
        """Start a swarm; answered as soon as it is on record. It goes on by itself."""
        return started(await control.submit_swarm(body.order()))

    @made.get("/v1/swarms")
    async def swarms(
        limit: Annotated[int, Query(ge=1, le=500)] = 50,
        before: Annotated[str, Query(max_length=200)] = "",
    ) -> Runs:
        """Swarms, newest first; `/v1/runs` has the rest of what can be asked."""
        asked = (await control.owner(), "swarm", "", limit, before, time.time())
        page: Page = await control.ask(owned.PAGE, *asked)
        return Runs(runs=[Run.model_validate(row) for row in page.rows], next=page.next or None)

    return made


def started(run: Started) -> StartedRun:
    """A started run as it is answered."""
    return StartedRun(run_id=run.run_id, links=Links.of(run.run_id), notes=list(run.notes))
