"""Questions to a truth as JSON over HTTP."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field


class Asked(BaseModel):
    """The arguments of a question, in its order."""

    model_config = ConfigDict(extra="forbid")

    arguments: Annotated[list[Any], Field(max_length=8)] = []


class Told(BaseModel):
    """The answer, and who gives it."""

    answer: Any
    source: str
