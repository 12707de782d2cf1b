"""OKRs and runs to test with."""

from typing import Any

from codetether_ray.core.measures import CommandMeasure
from codetether_ray.core.okrs import ApprovalDecision, KeyResult, Okr, OkrRun

OBJECTIVE = """\
objective: Search is fast
  For whoever searches.

key result: p95 below 100 ms
  target: 100
  better: lower
  unit: ms
  measure: command
  command: python3 scripts/bench.py
  parse: regex ^p95=(\\d+)
"""
"""As a person writes it."""


def an_okr(**changes: Any) -> Okr:
    """Its one key result: p95 of at most 100 ms, by a command."""
    key_result = KeyResult(
        id="k1",
        okr_id="o1",
        title="p95 below 100 ms",
        target_value=100,
        direction="lower",
        unit="ms",
        measure=CommandMeasure(
            command="python scripts/bench.py", parse="regex", pattern=r"p95=(\d+)"
        ),
    )
    return Okr(**{"id": "o1", "title": "Fast", "key_results": (key_result,), **changes})


def a_run(**changes: Any) -> OkrRun:
    """It waits for approval."""
    given = {"id": "r1", "okr_id": "o1", "name": "Run", "status": "pending_approval", **changes}
    return OkrRun(**given)


def approval(who: str = "ada") -> ApprovalDecision:
    """A yes."""
    return ApprovalDecision(
        id="d1", run_id="r1", decision="approved", approver=who, decided_at="then"
    )


def denial(reason: str = "") -> ApprovalDecision:
    """A no."""
    return ApprovalDecision(
        id="d2", run_id="r1", decision="denied", reason=reason, approver="bob", decided_at="then"
    )
