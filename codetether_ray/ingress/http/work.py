"""The workers' protocol: register, what waits, a stream of it, claim, output, release, heartbeat.

The paths are the reference's. Whose worker it is, is told by the token; its id by `X-Worker-ID`.
"""

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Annotated, Literal

from fastapi import APIRouter, Header, Path, Query, Request

from codetether_ray.core.errors import UsageError
from codetether_ray.core.principals import Principal
from codetether_ray.ingress.callers import caller
from codetether_ray.ingress.http.shapes.tasks import Task
from codetether_ray.ingress.http.shapes.work import (
    Claim,
    Claimed,
    Expected,
    HeardShape,
    Heartbeat,
    Printed,
    Registered,
    Registration,
    Release,
    WorkerShown,
)
from codetether_ray.ingress.http.sse import EventStream, Sse, last_event_id
from codetether_ray.ports.work import Platform

if TYPE_CHECKING:
    from codetether_ray.ingress.parts import Parts

_WAIT_S = 25.0
"""Of one look for changes; the stream's keep-alives come meanwhile."""
WorkerHeader = Annotated[str, Header(alias="X-Worker-ID", max_length=200)]
_TaskPath = Annotated[str, Path(max_length=200)]


def router(parts: "Parts") -> APIRouter:
    """The routes of the workers' protocol."""
    made = APIRouter(tags=["workers"])
    _add_workers(made, parts)
    _add_offers(made, parts.platform)
    _add_work(made, parts.platform)
    return made


def _add_workers(made: APIRouter, parts: "Parts") -> None:
    """Who works."""
    platform: Platform = parts.platform

    @made.post("/v1/opencode/workers/register")
    async def register(body: Registration) -> Registered:
        """A worker is there, with what it can do."""
        known = await platform.register(caller(), body.worker())
        return Registered(worker_id=known.id)

    @made.get("/v1/opencode/workers")
    async def workers() -> list[WorkerShown]:
        """The workers that were heard of lately."""
        asker = caller()
        sees_all = await parts.gate.sees_all(asker)
        return [WorkerShown.of(one) for one in await platform.workers(asker, sees_all=sees_all)]


def _add_offers(made: APIRouter, platform: Platform) -> None:
    """What waits to be done, and as it comes."""

    @made.get("/v1/opencode/tasks")
    async def pending(
        worker: WorkerHeader = "", status: Literal["pending"] = "pending"
    ) -> list[Task]:
        """What waits: for the worker that asks, or for any."""
        return [Task.of(task) for task in await platform.pending(caller(), worker)]

    @made.get("/v1/worker/tasks/stream", status_code=200, response_class=EventStream)
    async def stream(
        request: Request,
        worker: WorkerHeader = "",
        worker_id: Annotated[str, Query(max_length=200)] = "",
    ) -> EventStream:
        """Tasks as they are offered (`task`), and those to be stopped (`cancel`)."""
        asker, id = caller(), _demanded(worker or worker_id)
        seen = last_event_id(request)
        after = int(seen) if seen.isascii() and seen.isdigit() and len(seen) < 16 else None
        await platform.pending(asker, id)  # refused before it begins
        return EventStream(_changes(platform, asker, id, after))


def _add_work(made: APIRouter, platform: Platform) -> None:
    """A task in a worker's hands, from its claim to its release."""

    @made.post("/v1/worker/tasks/claim")
    async def claim(body: Claim, worker: WorkerHeader = "") -> Claimed:
        """Have a task for oneself; 409 where another has it."""
        task = await platform.claim(caller(), _demanded(worker), body.task_id)
        left = max(0.0, task.lease_until - task.updated_at)
        return Claimed(task_id=task.id, lease=task.lease, lease_s=left, task=Task.of(task))

    @made.post("/v1/opencode/tasks/{task_id}/output")
    async def output(task_id: _TaskPath, body: Printed, worker: WorkerHeader = "") -> Expected:
        """Keep what a task's worker printed, in its order."""
        texts = [body.output] if isinstance(body.output, str) else body.output
        id = _demanded(worker or body.worker_id)
        expected = await platform.output(
            caller(), id, task_id, texts, first=body.seq, lease=body.lease
        )
        return Expected(next_seq=expected)

    @made.post("/v1/worker/tasks/release")
    async def release(body: Release, worker: WorkerHeader = "") -> Task:
        """Be done with a task; 409 where it is not the worker's any more."""
        task = await platform.release(
            caller(), _demanded(worker), body.task_id, body.ended(), lease=body.lease
        )
        return Task.of(task)

    @made.post("/v1/opencode/workers/{worker_id}/heartbeat")
    async def heartbeat(worker_id: _TaskPath, body: Heartbeat) -> HeardShape:
        """A worker lives, and what it works on."""
        heard = await platform.heartbeat(
            caller(),
            worker_id,
            status=body.status,
            active=body.active_task_count,
            held=body.held(),
            cognition=body.cognition,
        )
        return HeardShape.of(heard)


async def _changes(
    platform: Platform, asker: Principal, worker_id: str, after: int | None
) -> AsyncIterator[Sse]:
    """Events without end. Only a batch's last one has an id: it stands for all of them."""
    while True:
        found = await platform.changes(asker, worker_id, after=after, wait_s=_WAIT_S)
        after = found.last
        for change in found.items:
            id = str(found.last) if change is found.items[-1] else ""
            if change.kind == "cancel":
                told = {"type": "cancelled", "task_id": change.task.id}
                yield Sse(event="cancel", id=id, data=told)
            else:
                yield Sse(event="task", id=id, data={"task": Task.of(change.task).model_dump()})


def _demanded(worker_id: str) -> str:
    if not worker_id:
        raise UsageError("say which worker asks: its id in the header X-Worker-ID")
    return worker_id
