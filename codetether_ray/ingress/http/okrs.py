"""`/v1/okrs`: OKRs that are written, decided on and pursued over the network."""

from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Path

from codetether_ray.bootstrap.control import okrs as asked
from codetether_ray.core.errors import CodetetherError
from codetether_ray.ingress.control import Control, control_of
from codetether_ray.ingress.http.shapes.okrs import (
    CancelledOkr,
    Decision,
    NewOkr,
    OkrAndRun,
    OkrBody,
    Okrs,
    WorkBody,
)
from codetether_ray.ingress.http.shapes.runs import StartedRun
from codetether_ray.ingress.http.shapes.swarms import json_text
from codetether_ray.ingress.http.swarms import started
from codetether_ray.okr.json_form import okr_json, run_json

if TYPE_CHECKING:
    from codetether_ray.ingress.parts import Parts

OkrId = Annotated[str, Path(max_length=200)]
"""Of an OKR, a run of one, or a relay; its beginning is enough."""


def router(parts: "Parts") -> APIRouter:
    """The routes of OKRs."""
    made = APIRouter(tags=["okrs"])
    control = control_of(parts)

    @made.get("/v1/okrs")
    async def every() -> Okrs:
        """The caller's OKRs, with their runs."""
        okrs, runs = await control.ask(asked.ALL, await control.owner())
        found = [OkrBody.of(o, tuple(r for r in runs if r.okr_id == o.id)) for o in okrs]
        return Okrs(okrs=found)

    @made.post("/v1/okrs", status_code=201)
    async def create(body: NewOkr) -> OkrAndRun:
        """Write an OKR: a draft, with a run that waits for approval."""
        draft = body.draft()
        json_text(draft)
        okr, run = await control.create_okr(draft, body.work.work() if body.work else None)
        return OkrAndRun(okr=okr_json(okr), run=run_json(run))

    @made.get("/v1/okrs/{okr_id}")
    async def one(okr_id: OkrId) -> OkrBody:
        """An OKR with its runs."""
        okr, runs = await control.ask(asked.FIND, okr_id, await control.owner())
        return OkrBody.of(okr, runs)

    @made.post("/v1/okrs/{okr_id}/approve")
    async def approve(okr_id: OkrId, body: Decision | None = None) -> OkrAndRun:
        """Approve the run that waits; what was ordered with the OKR starts."""
        return await _approved(control, okr_id, body or Decision())

    @made.post("/v1/okrs/{okr_id}/deny")
    async def deny(okr_id: OkrId, body: Decision | None = None) -> OkrAndRun:
        """Deny the run that waits."""
        said = body or Decision()
        okr, run = await control.decide(okr_id, "denied", said.reason, said.version)
        return OkrAndRun(okr=okr_json(okr), run=run_json(run))

    @made.post("/v1/okrs/{okr_id}/resume", status_code=202)
    async def resume(okr_id: OkrId, body: WorkBody | None = None) -> StartedRun:
        """Start an approved run, or go on with one that paused, failed or was cut off."""
        return started(await control.resume_okr(okr_id, body.work() if body else None))

    @made.post("/v1/okrs/{okr_id}/cancel")
    async def cancel(okr_id: OkrId) -> CancelledOkr:
        """Give a run up for good; the relay that works for it is told to stop."""
        okr, run, was_running = await control.cancel_okr(okr_id)
        return CancelledOkr(okr=okr_json(okr), run=run_json(run), was_running=was_running)

    return made


async def _approved(control: Control, okr_id: str, said: Decision) -> OkrAndRun:
    """The approval counts, whether or not the work could be started; that is told as well."""
    okr, run = await control.decide(okr_id, "approved", said.reason, said.version)
    answer = OkrAndRun(okr=okr_json(okr), run=run_json(run))
    try:
        begun = await control.start_approved(run)
    except CodetetherError as error:
        return answer.model_copy(update={"not_started": str(error)})
    return answer.model_copy(update={"started": None if begun is None else started(begun)})
