"""Bodies of `/v1/tasks`: what is asked for, and a task as everybody is told of it."""

import json
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from codetether_ray.core.work import Output, WorkStatus, WorkTask, WorkWish
from codetether_ray.worker.routing import model_ref

Name = Annotated[str, Field(max_length=200)]
TaskId = Annotated[str, Field(pattern=r"^[A-Za-z0-9._:-]{1,200}$")]
Text = Annotated[str, Field(max_length=1_000_000)]
_METADATA_BYTES = 64_000


def _plain(value: dict[str, Any]) -> dict[str, Any]:
    """Metadata that is JSON, and not too much of it."""
    try:
        size = len(json.dumps(value, allow_nan=False).encode("utf-8", "replace"))
    except (TypeError, ValueError, RecursionError):
        raise ValueError("must be JSON, without NaN or Infinity") from None
    if size > _METADATA_BYTES:
        raise ValueError(f"may take {_METADATA_BYTES} bytes; it takes {size}")
    return value


Metadata = Annotated[dict[str, Any], AfterValidator(_plain)]


class NewTask(BaseModel):
    """A task for the fleet of workers."""

    model_config = ConfigDict(extra="forbid")

    title: Annotated[str, Field(max_length=500)] = "Untitled"
    prompt: Text = Field(default="", description="What to do; empty: the title says it.")
    agent_type: Name = Field(
        default="build", description="`build` for one agent; `swarm` for a swarm of them."
    )
    model: Name = Field(default="", description="`provider/model`; empty: the worker's own.")
    codebase: Annotated[str, Field(max_length=4096)] = Field(
        default="", description="Path (or its last part) of a codebase that a worker registered."
    )
    agent_name: Name = Field(default="", description="The one worker that shall do it, by name.")
    priority: Annotated[int, Field(ge=-1000, le=1000)] = Field(
        default=0, description="The higher goes first."
    )
    session_id: Name = Field(default="", description="A session of the worker's to go on with.")
    metadata: Metadata = Field(default_factory=dict)
    idempotency_key: Name = Field(
        default="", description="The same key again gives the task that it gave before."
    )

    def wish(self) -> WorkWish:
        """As the platform takes it."""
        given = self.model_dump(exclude={"idempotency_key", "model"})
        key = self.idempotency_key
        return WorkWish(
            **given, model=model_ref(self.model), source="key" if key else "", event=key
        )


class Task(BaseModel):
    """A task as it stands."""

    id: str
    title: str
    prompt: str
    agent_type: str
    model: str
    model_ref: str = Field(description="The same as `model`.")
    codebase: str
    target_agent_name: str
    priority: int
    resume_session_id: str
    metadata: dict[str, object]
    status: WorkStatus
    cancel_requested: bool = Field(description="Its worker was told to stop.")
    worker_id: str = Field(description="Who has it, or had it last.")
    lease: int = Field(description="Number of the claim that it is done by.")
    attempt: int = Field(description="Grows where a worker fell silent over it.")
    result: str
    error: str
    session_id: str = Field(description="What its worker did it as.")
    created_at: float = Field(description="Seconds since the epoch.")
    updated_at: float

    @classmethod
    def of(cls, task: WorkTask) -> "Task":
        """As people and workers are told of it."""
        wish = task.wish
        return cls(
            id=task.id,
            title=wish.title,
            prompt=wish.prompt or wish.title,
            agent_type=wish.agent_type,
            model=wish.model,
            model_ref=wish.model,
            codebase=wish.codebase,
            target_agent_name=wish.agent_name,
            priority=wish.priority,
            resume_session_id=wish.session_id,
            metadata=dict(wish.metadata),
            status=task.status,
            cancel_requested=task.is_cancelling,
            worker_id=task.worker_id,
            lease=task.lease,
            attempt=task.attempt,
            result=task.result,
            error=task.error,
            session_id=task.session_id,
            created_at=task.created_at,
            updated_at=task.updated_at,
        )


class Tasks(BaseModel):
    """Some tasks."""

    tasks: list[Task]
    next: str | None = Field(
        default=None, description="What `before` should be to get those after these; null: no more."
    )


class Piece(BaseModel):
    """A piece of output."""

    n: int
    lease: int = Field(description="Number of the claim under which it was printed.")
    text: str

    @classmethod
    def of(cls, output: Output) -> "Piece":
        """As it is told."""
        return cls(n=output.n, lease=output.lease, text=output.text)


class Pieces(BaseModel):
    """Output that there is by now."""

    output: list[Piece]
    is_all: bool = Field(description="The task is over and this is the end of its output.")
