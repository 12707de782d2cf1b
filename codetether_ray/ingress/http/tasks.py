"""`/v1/tasks`: asking the fleet of workers for work, and seeing it done."""

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import Response

from codetether_ray.core.principals import Principal
from codetether_ray.core.work import WorkStatus
from codetether_ray.ingress.callers import caller
from codetether_ray.ingress.http.shapes.tasks import NewTask, Piece, Pieces, Task, Tasks
from codetether_ray.ingress.http.sse import EventStream, Sse, last_event_id, wants_events
from codetether_ray.ports.work import Platform

if TYPE_CHECKING:
    from codetether_ray.ingress.parts import Parts

_WAIT_S = 25.0
_TaskPath = Annotated[str, Path(max_length=200)]
_STREAM = {"content": {"text/event-stream": {}}, "description": "Output as it comes."}


def router(parts: "Parts") -> APIRouter:
    """The routes of tasks."""
    made = APIRouter(tags=["tasks"])
    platform: Platform = parts.platform

    @made.post("/v1/tasks", status_code=201)
    async def create(body: NewTask) -> Task:
        """Ask for a task."""
        return Task.of(await platform.create(caller(), body.wish()))

    @made.get("/v1/tasks")
    async def tasks(
        status: WorkStatus | None = None,
        limit: Annotated[int, Query(ge=1, le=1000)] = 100,
        before: Annotated[str | None, Query(max_length=200)] = None,
    ) -> Tasks:
        """Tasks, newest first."""
        asker = caller()
        sees_all = await parts.gate.sees_all(asker)
        found = await platform.tasks(
            asker, status=status, limit=limit, before=before, sees_all=sees_all
        )
        more = found[-1].id if len(found) == limit else None
        return Tasks(tasks=[Task.of(task) for task in found], next=more)

    @made.get("/v1/tasks/{task_id}")
    async def task(task_id: _TaskPath) -> Task:
        """One task."""
        asker = caller()
        sees_all = await parts.gate.sees_all(asker)
        return Task.of(await platform.task(asker, task_id, sees_all=sees_all))

    @made.post("/v1/tasks/{task_id}/cancel")
    async def cancel(task_id: _TaskPath) -> Task:
        """Ask for its end: at once, or its worker is told (`cancel_requested`)."""
        asker = caller()
        sees_all = await parts.gate.sees_all(asker)
        return Task.of(await platform.cancel(asker, task_id, sees_all=sees_all))

    @made.get("/v1/tasks/{task_id}/output", response_model=Pieces, responses={200: _STREAM})
    async def output(
        request: Request, task_id: _TaskPath, after: Annotated[int, Query(ge=0, le=2**53)] = 0
    ) -> Response | Pieces:
        """What its worker printed: as events until its end, or, as JSON, what there is by now."""
        asker = caller()
        sees_all = await parts.gate.sees_all(asker)
        await platform.task(asker, task_id, sees_all=sees_all)  # refused before it begins
        if not wants_events(request):
            found, is_all = await platform.outputs(asker, task_id, after=after, sees_all=sees_all)
            return Pieces(output=[Piece.of(one) for one in found], is_all=is_all)
        seen = last_event_id(request)
        known = int(seen) if seen.isascii() and seen.isdigit() and len(seen) < 16 else after
        return EventStream(_output(platform, asker, task_id, known, sees_all=sees_all))

    return made


async def _output(
    platform: Platform, asker: Principal, task_id: str, after: int, *, sees_all: bool
) -> AsyncIterator[Sse]:
    while True:
        found, is_all = await platform.outputs(
            asker, task_id, after=after, wait_s=_WAIT_S, sees_all=sees_all
        )
        for piece in found:
            after = piece.n
            yield Sse(event="output", id=str(piece.n), data=Piece.of(piece).model_dump())
        if is_all:
            task = Task.of(await platform.task(asker, task_id, sees_all=sees_all))
            yield Sse(event="end", id=str(after), data=task.model_dump())
            return
