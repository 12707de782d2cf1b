"""Runs, and what starts them, as JSON over HTTP."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from codetether_ray.bootstrap.control.orders import Limits, Source

Count = Annotated[int, Field(ge=1, le=1_000_000)]
Kind = Literal["session", "swarm", "ralph", "relay"]
State = Literal["running", "finished", "interrupted", "damaged"]


class Run(BaseModel):
    """A run. Times are ISO 8601 in UTC; null where something is not known."""

    model_config = ConfigDict(populate_by_name=True, extra="allow")

    id: str
    kind: str
    title: str
    directory: str
    model: str
    state: str
    outcome: str | None = None
    detail: str | None = None
    principal: str | None = None
    started_at: str | None = None
    updated_at: str | None = None
    age_s: float
    total_tokens: int | None = None
    cost_usd: float | None = None
    model_calls: int | None = None
    archived: bool = False
    is_silent: bool = False


class WholeRun(Run):
    """A run with its result."""

    result: dict[str, Any] | None = None


class Runs(BaseModel):
    """Some runs, newest first."""

    runs: list[Run]
    next: str | None = Field(default=None, description="`before` of the next page.")


class RunQuery(BaseModel):
    """Which runs."""

    model_config = ConfigDict(extra="forbid")

    kind: Kind | None = None
    state: State | None = None
    limit: Annotated[int, Field(ge=1, le=500)] = 50
    before: Annotated[str, Field(max_length=200, description="`next` of the page before.")] = ""


class Records(BaseModel):
    """A run's records as its journal holds them."""

    records: list[dict[str, Any]]
    is_alive: bool = Field(description="More may come.")


class Cancelled(BaseModel):
    """What came of a wish to end a run."""

    run_id: str
    was_running: bool


class Links(BaseModel):
    """Where to go on with a run."""

    run: str
    events: str
    cancel: str
    bundle: str

    @classmethod
    def of(cls, run_id: str) -> "Links":
        """The paths of a run."""
        at = f"/v1/runs/{run_id}"
        return cls(run=at, events=f"{at}/events", cancel=f"{at}/cancel", bundle=f"{at}/bundle")


class StartedRun(BaseModel):
    """A run that was started; it goes on when the client is gone."""

    run_id: str
    links: Links
    notes: list[str] = Field(default=[], description="Sentences that a person should read.")


class SourceBody(BaseModel):
    """What a run works on: one of them. None: what this ingress was opened for."""

    model_config = ConfigDict(extra="forbid")

    bundle: str = Field(default="", max_length=64, description="Id from `POST /v1/bundles`.")
    url: str = Field(default="", max_length=2000, description="Of a git repository.")
    directory: str = Field(default="", max_length=4000, description="On the head, absolute.")
    ref: str = Field(default="", max_length=200, description="Branch, tag or commit to start from.")

    def source(self) -> Source:
        """As a value."""
        return Source(bundle=self.bundle, url=self.url, directory=self.directory, ref=self.ref)


class Terms(BaseModel):
    """What a run may take. What is not given is left to the head's settings."""

    model_config = ConfigDict(extra="forbid")

    repository: SourceBody = SourceBody()
    model: str | None = Field(default=None, min_length=1, max_length=200)
    max_steps: Count | None = None
    timeout_s: Annotated[float, Field(gt=0, le=10_000_000, allow_inf_nan=False)] | None = None
    budget_usd: Annotated[float, Field(gt=0, le=10_000_000, allow_inf_nan=False)] | None = None
    max_tokens: Annotated[int, Field(ge=1, le=10**12)] | None = None
    parallel: Count | None = None

    def limits(self) -> Limits:
        """As a value."""
        return Limits(
            model=self.model,
            max_steps=self.max_steps,
            timeout_s=self.timeout_s,
            budget_usd=self.budget_usd,
            max_tokens=self.max_tokens,
            parallel=self.parallel,
        )
