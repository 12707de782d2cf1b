"""OKRs as JSON over HTTP."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from codetether_ray.bootstrap.control.okrs import WorkOrder
from codetether_ray.core.codec import JsonObject
from codetether_ray.core.okrs import Okr, OkrRun
from codetether_ray.ingress.http.shapes.runs import StartedRun, Terms
from codetether_ray.okr.json_form import okr_json, run_json

Text = Annotated[str, Field(max_length=20_000)]


class KeyResultBody(BaseModel):
    """A key result, and how it is measured."""

    model_config = ConfigDict(extra="forbid")

    title: Annotated[str, Field(min_length=1, max_length=200)]
    description: Text = ""
    target: Annotated[float, Field(ge=0, le=1e15, allow_inf_nan=False)] | None = None
    direction: Literal["higher", "lower"] = "higher"
    unit: Annotated[str, Field(max_length=100)] = ""
    metric_type: Literal["progress", "count", "binary", "latency", "quality"] | None = None
    measure: dict[str, Any] | None = Field(
        default=None, description="What measures it: a command, a query, a rubric; see the docs."
    )


class WorkBody(Terms):
    """What the work on an OKR is done with."""

    count: Annotated[int, Field(ge=1, le=100)] | None = None
    rounds: Annotated[int, Field(ge=1, le=10_000)] | None = None

    def work(self) -> WorkOrder:
        """As a value."""
        return WorkOrder(
            source=self.repository.source(),
            limits=self.limits(),
            count=self.count,
            rounds=self.rounds,
        )


class NewOkr(BaseModel):
    """An OKR. With `work`, approving it starts the work."""

    model_config = ConfigDict(extra="forbid")

    objective: Annotated[str, Field(min_length=1, max_length=200)]
    description: Text = ""
    key_results: Annotated[list[KeyResultBody], Field(min_length=1, max_length=50)]
    work: WorkBody | None = None

    def draft(self) -> JsonObject:
        """As `okr.rules.read_okr` reads it."""
        out: JsonObject = self.model_dump(exclude={"work"}, exclude_none=True)
        return out


class Decision(BaseModel):
    """Why, and what was looked at."""

    model_config = ConfigDict(extra="forbid")

    reason: Text = ""
    version: Annotated[int, Field(ge=1, le=2**53)] | None = Field(
        default=None, description="Of the OKR that was seen; another one is not decided on."
    )


class OkrBody(BaseModel):
    """An OKR with its runs."""

    okr: dict[str, Any]
    runs: list[dict[str, Any]]

    @classmethod
    def of(cls, okr: Okr, runs: tuple[OkrRun, ...]) -> "OkrBody":
        """Of values."""
        return cls(okr=okr_json(okr), runs=[run_json(run) for run in runs])


class Okrs(BaseModel):
    """The caller's OKRs, oldest first."""

    okrs: list[OkrBody]


class OkrAndRun(BaseModel):
    """An OKR and the run that it is about."""

    okr: dict[str, Any]
    run: dict[str, Any]
    started: StartedRun | None = Field(default=None, description="The work that approval started.")
    not_started: str | None = Field(default=None, description="Why it could not be started.")


class CancelledOkr(BaseModel):
    """A run that was given up."""

    okr: dict[str, Any]
    run: dict[str, Any]
    was_running: bool
