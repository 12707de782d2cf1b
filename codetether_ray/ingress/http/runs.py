"""`/v1/runs`: the runs that there are, what they do, their end, what they have made; `/v1/top`."""

import time
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import Response, StreamingResponse

from codetether_ray.bootstrap.control import owned
from codetether_ray.bootstrap.control.owned import Page, Read
from codetether_ray.ingress.control import Control, control_of
from codetether_ray.ingress.http.shapes.runs import (
    Cancelled,
    Records,
    Run,
    RunQuery,
    Runs,
    WholeRun,
)
from codetether_ray.ingress.http.sse import EventStream, Sse, last_event_id, wants_events

if TYPE_CHECKING:
    from codetether_ray.ingress.parts import Parts

RunId = Annotated[str, Path(max_length=200)]
_STREAM = {"content": {"text/event-stream": {}}, "description": "Records as they come."}
_BUNDLE: dict[int | str, dict[str, Any]] = {
    200: {"content": {"application/x-git-bundle": {}}, "description": "A git bundle."}
}


def router(parts: "Parts") -> APIRouter:
    """The routes of runs."""
    made = APIRouter(tags=["runs"])
    control = control_of(parts)
    _add_reading(made, control)
    _add_ends(made, control)

    @made.get("/v1/top")
    async def top() -> dict[str, Any]:
        """What is under way: runs, their agents, what they use, and the nodes."""
        return await control.top()

    return made


def _add_reading(made: APIRouter, control: Control) -> None:
    """What there is, and what it does."""

    @made.get("/v1/runs")
    async def runs(asked: Annotated[RunQuery, Query()]) -> Runs:
        """Runs, newest first."""
        terms = (asked.kind or "", asked.state or "", asked.limit, asked.before, time.time())
        page: Page = await control.ask(owned.PAGE, await control.owner(), *terms)
        return Runs(runs=[Run.model_validate(row) for row in page.rows], next=page.next or None)

    @made.get("/v1/runs/{run_id}")
    async def run(run_id: RunId) -> WholeRun:
        """One run, with its result where it has one."""
        found = await control.ask(owned.ONE, run_id, await control.owner(), time.time())
        return WholeRun.model_validate(found)

    @made.get("/v1/runs/{run_id}/events", response_model=Records, responses={200: _STREAM})
    async def events(
        request: Request, run_id: RunId, after: Annotated[int, Query(ge=-1, le=2**53)] = -1
    ) -> Response | Records:
        """A run's records: as events until its end, or, as JSON, those that there are by now.

        An event's id is its record's number: a client that comes back with `Last-Event-ID` gets
        those behind it. The last event is `end`, with how the run stands.
        """
        if not wants_events(request):
            read: Read = await control.ask(owned.READ_ON, run_id, await control.owner(), 0, after)
            return Records(records=list(read.records), is_alive=read.is_alive)
        await control.check(run_id)
        return EventStream(_events(control, run_id, _seen(request, after)))


def _add_ends(made: APIRouter, control: Control) -> None:
    """A run's end, and what it has made."""

    @made.post("/v1/runs/{run_id}/cancel")
    async def cancel(run_id: RunId) -> Cancelled:
        """Tell a run to end as Ctrl-C would: its agents end cleanly, and it can be resumed."""
        return Cancelled(run_id=run_id, was_running=await control.cancel(run_id))

    @made.get(
        "/v1/runs/{run_id}/bundle",
        status_code=200,
        response_class=StreamingResponse,
        responses=_BUNDLE,
    )
    async def bundle(
        run_id: RunId, since: Annotated[str, Query(max_length=64)] = ""
    ) -> StreamingResponse:
        """The branches of a run as a git bundle; with `since`, less what leads to that commit."""
        packed = await control.pack(run_id, since)
        headers = {
            "Content-Length": str(packed.size),
            "Content-Disposition": f'attachment; filename="{run_id}.bundle"',
            "X-Content-SHA256": packed.sha256,
        }
        pieces = control.pieces(packed)
        return StreamingResponse(pieces, headers=headers, media_type="application/x-git-bundle")


async def _events(control: Control, run_id: str, after: int) -> AsyncIterator[Sse]:
    async for record in control.follow(run_id, after):
        yield Sse(data=record, event=str(record["kind"]), id=str(record["seq"]))
    found = await control.ask(owned.ONE, run_id, await control.owner(), time.time())
    told = {name: found[name] for name in ("id", "state", "outcome", "detail")}
    yield Sse(data=told, event="end")


def _seen(request: Request, after: int) -> int:
    """The number of the record that the client has seen last."""
    seen = last_event_id(request)
    return int(seen) if seen.isascii() and seen.isdigit() and len(seen) < 16 else after
