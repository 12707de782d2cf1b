"""Swarms and PRDs, as they are ordered over HTTP."""

import json
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from codetether_ray.bootstrap.control.orders import PrdOrder, SwarmOrder
from codetether_ray.core.errors import UsageError
from codetether_ray.ingress.http.shapes.runs import Count, Terms


class NewSwarm(Terms):
    """A swarm."""

    task: Annotated[str, Field(min_length=1, max_length=200_000)]
    strategy: Literal["auto", "domain", "data", "stage", "none"] | None = None
    max_subagents: Annotated[int, Field(ge=1, le=10_000)] | None = None
    max_depth: Annotated[int, Field(ge=1, le=100)] | None = None
    approved: bool = Field(
        default=False,
        description="Carry out a plan of any size. Otherwise one of more than 20 sub-agents, which "
        "needs somebody's word, ends the run before it is begun.",
    )

    def order(self) -> SwarmOrder:
        """As a value."""
        return SwarmOrder(
            task=self.task,
            source=self.repository.source(),
            limits=self.limits(),
            strategy=self.strategy,
            max_subagents=self.max_subagents,
            max_depth=self.max_depth,
            approved=self.approved,
        )


class NewPrd(Terms):
    """A PRD to work off."""

    prd: dict[str, Any] | None = Field(
        default=None, description="The PRD; null: it is in the repository, at `path`."
    )
    path: Annotated[str, Field(min_length=1, max_length=1000)] = "prd.json"
    max_iterations: Count | None = None
    gate_timeout_s: Annotated[float, Field(gt=0, le=1_000_000, allow_inf_nan=False)] | None = None

    def order(self) -> PrdOrder:
        """As a value.

        Raises:
            UsageError: the PRD holds what no JSON file can.
        """
        return PrdOrder(
            prd="" if self.prd is None else json_text(self.prd),
            path=self.path,
            source=self.repository.source(),
            limits=self.limits(),
            max_iterations=self.max_iterations,
            gate_timeout_s=self.gate_timeout_s,
        )


class BundleBody(BaseModel):
    """A bundle that has come; it is kept for a day."""

    id: str
    size: int = Field(description="Bytes.")
    sha256: str
    refs: dict[str, str]


def json_text(value: Any) -> str:
    """JSON as text that a file can hold.

    Raises:
        UsageError: it holds NaN, or half of a character.
    """
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False)
        text.encode()
    except (ValueError, RecursionError):
        raise UsageError("the body holds numbers or characters that JSON has not") from None
    return text
