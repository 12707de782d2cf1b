"""Bodies of CloudEvents about tasks."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field, JsonValue, model_validator

from codetether_ray.core.work import WorkWish
from codetether_ray.ingress.http.shapes.tasks import Metadata, Name, TaskId, Text
from codetether_ray.worker.routing import model_ref


class CloudEvent(BaseModel):
    """An event, structured. Extension attributes are let be."""

    id: Annotated[str, Field(min_length=1, max_length=500)]
    source: Annotated[str, Field(min_length=1, max_length=2000)]
    type: Annotated[str, Field(min_length=1, max_length=500)]
    specversion: Literal["1.0", "0.3"] = "1.0"
    time: Annotated[str, Field(max_length=100)] | None = None
    data: JsonValue = None


class NewWork(BaseModel):
    """`data` of an event that asks for a task; members that are not ours are let be."""

    task_id: TaskId | None = Field(default=None, description="Its id; absent: a fresh one.")
    title: Annotated[str, Field(max_length=500)] = ""
    description: Text = ""
    prompt: Text = Field(default="", description="What to do; empty: the description says it.")
    agent_type: Name = "build"
    model: Name = ""
    codebase: Annotated[str, Field(max_length=4096)] = ""
    agent_name: Name = ""
    priority: Annotated[int, Field(ge=-1000, le=1000)] = 0
    metadata: Metadata = Field(default_factory=dict)

    @model_validator(mode="after")
    def _asks_for_something(self) -> "NewWork":
        said = (self.prompt, self.description, self.title)
        if not any(text.strip() for text in said):
            raise ValueError("no title, description or prompt says what to do")
        return self

    def wish(self, source: str, event: str) -> WorkWish:
        """As the platform takes it."""
        return WorkWish(
            id=self.task_id or "",
            title=self.title or "Untitled",
            prompt=self.prompt or self.description,
            agent_type=self.agent_type,
            model=model_ref(self.model),
            codebase=self.codebase,
            agent_name=self.agent_name,
            priority=self.priority,
            metadata=self.metadata,
            source=source,
            event=event,
        )


class Cancelling(BaseModel):
    """`data` of an event that gives a task up."""

    task_id: TaskId


class KnativeTask(BaseModel):
    """A task in the reference's shape."""

    task_id: str
    title: str
    description: str
    agent_type: str
    priority: int
    received_at: float
    status: str
