"""Bodies of the workers' protocol. Members that are not ours are let be: workers are many."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from codetether_ray.core.work import Ended, Heard, Held, Worker
from codetether_ray.ingress.http.shapes.tasks import Metadata, Name, Task, TaskId
from codetether_ray.worker.routing import model_ref

WorkerId = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[\x21-\x7e]+$")]
Number = Annotated[int, Field(ge=0, le=2**53)]
Chunk = Annotated[str, Field(max_length=200_000)]


class Model(BaseModel):
    """A model that a worker can ask."""

    id: Name = Field(description="`provider/model`.")


class Registration(BaseModel):
    """A worker says that it is there."""

    worker_id: WorkerId
    name: Name = ""
    hostname: Name = ""
    capabilities: Annotated[list[Name], Field(max_length=100)] = []
    models: Annotated[list[Model | Name], Field(max_length=5000)] = []
    codebases: Annotated[list[Annotated[str, Field(max_length=4096)]], Field(max_length=1000)] = []

    def worker(self) -> Worker:
        """As the platform takes it."""
        ids = (one if isinstance(one, str) else one.id for one in self.models)
        return Worker(
            id=self.worker_id,
            tenant="",
            name=self.name,
            hostname=self.hostname,
            capabilities=tuple(self.capabilities),
            models=tuple(model_ref(id) for id in ids),
            codebases=tuple(self.codebases),
        )


class Registered(BaseModel):
    """What a worker is told when it has registered."""

    worker_id: str
    status: Literal["registered"] = "registered"


class WorkerShown(BaseModel):
    """A worker, as others see it."""

    worker_id: str
    name: str
    hostname: str
    capabilities: list[str]
    models: list[str]
    codebases: list[str]
    status: str
    active_task_count: int
    registered_at: float
    last_seen: float
    cognition: dict[str, object]

    @classmethod
    def of(cls, worker: Worker) -> "WorkerShown":
        """As it is told."""
        return cls(
            worker_id=worker.id,
            name=worker.name,
            hostname=worker.hostname,
            capabilities=list(worker.capabilities),
            models=list(worker.models),
            codebases=list(worker.codebases),
            status=worker.status,
            active_task_count=worker.active,
            registered_at=worker.registered_at,
            last_seen=worker.seen_at,
            cognition=dict(worker.cognition),
        )


class Claim(BaseModel):
    """A worker wants a task."""

    task_id: TaskId


class Claimed(BaseModel):
    """It has it."""

    task_id: str
    lease: int = Field(description="To be named with output, heartbeat and release.")
    lease_s: float = Field(description="How long it holds without a heartbeat.")
    task: Task


class Printed(BaseModel):
    """What a task's worker printed."""

    worker_id: Annotated[str, Field(max_length=200)] = ""
    output: Chunk | Annotated[list[Chunk], Field(max_length=1000)]
    seq: Number | None = Field(
        default=None, description="Number of the first piece within the claim, from 0."
    )
    lease: Number | None = None


class Expected(BaseModel):
    """What is kept."""

    next_seq: int


class Release(BaseModel):
    """How a task ended at its worker's."""

    task_id: TaskId
    status: Literal["completed", "failed", "cancelled", "released"]
    result: Annotated[str, Field(max_length=2_000_000)] | None = None
    error: Annotated[str, Field(max_length=200_000)] | None = None
    session_id: Name | None = None
    lease: Number | None = None

    def ended(self) -> Ended:
        """As the platform takes it."""
        return Ended(
            status=self.status,
            result=self.result or "",
            error=self.error or "",
            session_id=self.session_id or "",
        )


class ActiveTask(BaseModel):
    """A task that a worker works on."""

    task_id: TaskId
    lease: Number


class Heartbeat(BaseModel):
    """A worker lives."""

    worker_id: Annotated[str, Field(max_length=200)] = ""
    agent_name: Name = ""
    status: Literal["idle", "processing"] = "idle"
    active_task_count: Annotated[int, Field(ge=0, le=100_000)] = 0
    active_tasks: Annotated[list[ActiveTask], Field(max_length=1000)] | None = Field(
        default=None, description="Those to be renewed; absent: all that the platform knows of."
    )
    cognition: Metadata | None = None

    def held(self) -> tuple[Held, ...] | None:
        """The tasks that it names."""
        if self.active_tasks is None:
            return None
        return tuple(Held(id=one.task_id, lease=one.lease) for one in self.active_tasks)


class HeardShape(BaseModel):
    """What a worker should know."""

    status: Literal["ok"] = "ok"
    cancelled: list[str] = Field(description="Tasks to be stopped.")
    lost: list[str] = Field(description="Tasks that are not the worker's any more.")
    lease_s: float

    @classmethod
    def of(cls, heard: Heard) -> "HeardShape":
        """As it is told."""
        return cls(cancelled=list(heard.cancelled), lost=list(heard.lost), lease_s=heard.lease_s)
