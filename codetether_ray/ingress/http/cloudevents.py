"""`POST /task`: tasks asked for and cancelled by CloudEvents 1.0, structured or binary.

An event is done once: the same `source` and `id` again change nothing. The audit log has a row of
each, `cloudevents:TYPE`. `/v1/knative/tasks` shows what came of them, in the reference's shape.
"""

import json
from typing import TYPE_CHECKING, Annotated, Any, TypeVar
from urllib.parse import unquote

from fastapi import APIRouter, Path, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ValidationError

from codetether_ray.core.work import WorkTask
from codetether_ray.ingress.callers import caller
from codetether_ray.ingress.http.problems import problem
from codetether_ray.ingress.http.shapes.cloudevents import (
    Cancelling,
    CloudEvent,
    KnativeTask,
    NewWork,
)
from codetether_ray.ports.work import Platform

if TYPE_CHECKING:
    from starlette.responses import Response

    from codetether_ray.ingress.parts import Parts

M = TypeVar("M", bound=BaseModel)
CREATED = ("codetether.task.created", "task.created")
CANCELLED = ("codetether.task.cancelled", "task.cancelled")
_STRUCTURED = "application/cloudevents+json"
_BATCH = "application/cloudevents-batch"


def _described() -> dict[str, Any]:
    """The body for the API's description; `data` may be any JSON."""
    schema = CloudEvent.model_json_schema()
    schema.pop("$defs", None)
    schema["properties"]["data"] = {"description": "A task, or which one is meant."}
    kinds = {kind: {"schema": schema} for kind in (_STRUCTURED, "application/json")}
    return {"requestBody": {"required": True, "content": kinds}}


class Accepted(BaseModel):
    """The event was done, or had been."""

    status: str = "accepted"
    event_id: str
    task_id: str | None = None


class _RefusedError(Exception):
    """The request is no event that is understood."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(status, detail)
        self.status, self.detail = status, detail


def router(parts: "Parts") -> APIRouter:
    """The routes of CloudEvents."""
    made = APIRouter(tags=["tasks"])
    platform: Platform = parts.platform

    @made.post("/task", openapi_extra=_described(), response_model=Accepted)
    async def receive(request: Request) -> "Response":
        """Take an event: a task is asked for, or is to be cancelled; others are let be."""
        try:
            event = _event(request, await request.body())
            task_id = await _done(platform, event)
        except _RefusedError as refused:
            return problem(refused.status, refused.detail, "invalid")
        if parts.gate.log is not None:
            parts.gate.log.event(caller(), event.type, task_id or "")
        return JSONResponse(Accepted(event_id=event.id, task_id=task_id).model_dump())

    @made.get("/v1/knative/tasks")
    async def tasks() -> list[KnativeTask]:
        """The caller's tasks, newest first."""
        return [_knative(task) for task in await platform.tasks(caller(), limit=100)]

    @made.get("/v1/knative/tasks/{task_id}")
    async def task(task_id: Annotated[str, Path(max_length=200)]) -> KnativeTask:
        """One of them."""
        return _knative(await platform.task(caller(), task_id))

    return made


def _event(request: Request, body: bytes) -> CloudEvent:
    """The event of a request: its headers say that it is binary, else its body is all of it."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind.startswith(_BATCH):
        raise _RefusedError(415, "batches of events are not taken; send them one by one")
    if kind != "application/json" and not kind.endswith("+json"):
        raise _RefusedError(415, f"the body must be {_STRUCTURED} or application/json")
    data = _json(body)
    if not kind.startswith("application/cloudevents") and "ce-type" in request.headers:
        names = ("id", "source", "type", "specversion", "time")
        given = {name: request.headers.get(f"ce-{name}") for name in names}
        data = {name: unquote(value) for name, value in given.items() if value} | {"data": data}
    return _checked(CloudEvent, data)


async def _done(platform: Platform, event: CloudEvent) -> str | None:
    """The task that an event made or meant; None where it is about something else."""
    if event.type in CREATED:
        wish = _checked(NewWork, event.data or {}).wish(event.source, event.id)
        return (await platform.create(caller(), wish)).id
    if event.type in CANCELLED:
        meant = _checked(Cancelling, event.data or {})
        task = await platform.cancel(caller(), meant.task_id, source=event.source, event=event.id)
        return task.id
    return None


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise _RefusedError(400, "the body is not JSON") from None


def _checked(shape: type[M], data: Any) -> M:
    try:
        return shape.model_validate(data)
    except ValidationError as error:
        said = "; ".join(
            f"{'.'.join(str(step)[:100] for step in one['loc'])}: {one['msg']}"
            for one in error.errors()[:5]
        )
        raise _RefusedError(422, f"the event is not sound: {said}") from None


def _knative(task: WorkTask) -> KnativeTask:
    return KnativeTask(
        task_id=task.id,
        title=task.wish.title,
        description=task.wish.prompt,
        agent_type=task.wish.agent_type,
        priority=task.wish.priority,
        received_at=task.created_at,
        status={"pending": "queued", "running": "processing"}.get(task.status, task.status),
    )
