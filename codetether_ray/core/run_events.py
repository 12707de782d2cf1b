"""What happens to a run as a whole. Durable: the journal keeps it."""

from dataclasses import dataclass, field
from typing import ClassVar

from codetether_ray.core.codec import JsonObject

SUCCESSES = frozenset({"completed", "success"})
"""Outcomes of a run that did what was asked, where its result does not say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStarted:
    """A run began (or, with `resumed`, went on). `command` is its kind and task, for listings."""

    tag: ClassVar[str] = "run.started"
    kind: str
    title: str
    directory: str
    model: str = ""
    command: JsonObject = field(default_factory=dict)
    resumed: bool = False
    version: str = ""
    traceparent: str = ""
    """The span of somebody else's trace that the run is part of (W3C Trace Context)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFinished:
    """A run ended. `outcome` is truthful; `summary` is the result object."""

    tag: ClassVar[str] = "run.finished"
    outcome: str
    summary: JsonObject = field(default_factory=dict)

    @property
    def is_success(self) -> bool:
        """Whether what was asked is done."""
        said = self.summary.get("success")
        return said if isinstance(said, bool) else self.outcome in SUCCESSES


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalGiven:
    """Somebody decided; asked for again only if `digest` (of what was decided on) changed."""

    tag: ClassVar[str] = "approval"
    subject: str
    """What was asked about: `plan`."""
    digest: str
    is_granted: bool
    by: str = ""
    """Who decided: `user`, or the rule that did."""


RunEvent = RunStarted | RunFinished | ApprovalGiven
