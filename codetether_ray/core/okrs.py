"""Objectives, key results and the runs that pursue them. Values only: they travel.

Ids are UUIDs, times RFC 3339 in UTC. What was not measured is None, never 0. How they change is
in `codetether_ray.okr`.
"""

from dataclasses import dataclass, field
from typing import Literal

from codetether_ray.core.codec import JsonObject
from codetether_ray.core.measures import MeasureTerms

OkrStatus = Literal["draft", "active", "completed", "cancelled", "on_hold"]
KeyResultStatus = Literal["pending", "in_progress", "completed", "at_risk", "failed"]
KrMetricType = Literal["progress", "count", "binary", "latency", "quality"]
Direction = Literal["higher", "lower"]
"""Which values are better."""
OkrRunStatus = Literal[
    "draft",
    "pending_approval",
    "approved",
    "running",
    "paused",
    "waiting_approval",
    "completed",
    "failed",
    "denied",
    "cancelled",
]
KrOutcomeType = Literal[
    "evidence",
    "test_pass",
    "code_change",
    "bug_fix",
    "feature_delivered",
    "metric_achievement",
    "review_passed",
    "deployment",
]
GoOutcome = Literal[
    "all_met",
    "max_rounds",
    "converged",
    "budget",
    "failed",
    "interrupted",
    "cancelled",
    "denied",
]
"""How a run of an OKR ended; only `all_met` is success."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KrOutcome:
    """Evidence for (or against) a key result."""

    id: str
    kr_id: str
    run_id: str | None = None
    description: str
    outcome_type: KrOutcomeType = "evidence"
    value: float | None = None
    evidence: tuple[str, ...] = ()
    source: str = ""
    created_at: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyResult:
    """One measurable result. It is met when a measured value reaches the target."""

    id: str
    okr_id: str
    title: str
    description: str = ""
    target_value: float
    current_value: float | None = None
    """The newest measured value; None: never measured, or not measurable now."""
    baseline: float | None = None
    """The value before the work began."""
    direction: Direction = "higher"
    unit: str = "%"
    metric_type: KrMetricType = "progress"
    measure: MeasureTerms | None = None
    """None: nobody said how; it then never has a value."""
    status: KeyResultStatus = "pending"
    at_risk_because: str = ""
    outcomes: tuple[KrOutcome, ...] = ()
    created_at: str = ""
    updated_at: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Okr:
    """An objective and its key results. `version` grows with each change that is stored."""

    id: str
    title: str
    description: str = ""
    status: OkrStatus = "draft"
    key_results: tuple[KeyResult, ...] = ()
    owner: str | None = None
    tenant_id: str | None = None
    tags: tuple[str, ...] = ()
    created_at: str = ""
    updated_at: str = ""
    target_date: str | None = None
    version: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalDecision:
    """What a person (or `--yes`) said to a draft; `okr_version` is what they had before them."""

    id: str
    run_id: str
    decision: Literal["approved", "denied"]
    reason: str = ""
    approver: str | None = None
    metadata: JsonObject = field(default_factory=dict)
    decided_at: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class OkrRun:
    """One pursuit of an OKR. It runs only after somebody approved it."""

    id: str
    okr_id: str
    name: str
    status: OkrRunStatus = "draft"
    correlation_id: str | None = None
    relay_checkpoint_id: str | None = None
    relay_id: str | None = None
    """The run (`rly_…`) that does the work, from when it was wanted."""
    session_id: str | None = None
    kr_progress: dict[str, float] = field(default_factory=dict)
    """The newest value of each key result that has one, in its own unit."""
    approval: ApprovalDecision | None = None
    outcomes: tuple[KrOutcome, ...] = ()
    iterations: int = 0
    """Turns that were measured."""
    outcome: GoOutcome | None = None
    request: JsonObject = field(default_factory=dict)
    """What starts the work once it is approved: plain values, no secrets."""
    started_at: str | None = None
    completed_at: str | None = None
    updated_at: str = ""
    version: int = 1
