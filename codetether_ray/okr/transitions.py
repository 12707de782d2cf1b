"""How a run of an OKR goes from draft to its end, as functions of values.

draft → pending_approval → approved → running → completed | failed | paused | cancelled; a pending
one may be denied. Nothing runs that nobody approved, and what was approved is what was shown.
"""

from dataclasses import replace

from codetether_ray.core.errors import NotApprovedError, OkrChangedError, OkrTransitionError
from codetether_ray.core.okrs import (
    ApprovalDecision,
    GoOutcome,
    KeyResult,
    Okr,
    OkrRun,
    OkrRunStatus,
)
from codetether_ray.okr.progress import is_met

_RESUMABLE: frozenset[OkrRunStatus] = frozenset({"running", "paused", "waiting_approval", "failed"})
_OVER: frozenset[OkrRunStatus] = frozenset({"completed", "denied", "cancelled"})
_SPENT: frozenset[GoOutcome] = frozenset({"max_rounds", "converged"})
"""Outcomes of a run that went its whole way without meeting all."""
_STATUS_OF: dict[GoOutcome, OkrRunStatus] = {
    "all_met": "completed",
    "max_rounds": "completed",
    "converged": "completed",
    "budget": "paused",
    "interrupted": "paused",
    "cancelled": "paused",
    "failed": "failed",
    "denied": "denied",
}


def is_resumable(run: OkrRun) -> bool:
    """Whether the run began and may go on."""
    return run.status in _RESUMABLE


def is_extensible(run: OkrRun) -> bool:
    """Whether the run is over only because all its rounds were done, and may be given more."""
    return run.status == "completed" and run.outcome == "max_rounds"


def is_over(run: OkrRun) -> bool:
    """Whether nothing more can happen to the run."""
    return run.status in _OVER


def submit(run: OkrRun, now: str) -> OkrRun:
    """Ask for approval of a draft.

    Raises:
        OkrTransitionError: it is none.
    """
    _must_be(run, ("draft",), "submitted")
    return replace(run, status="pending_approval", updated_at=now)


def decide(
    okr: Okr, run: OkrRun, decision: ApprovalDecision, *, seen: int | None = None
) -> tuple[Okr, OkrRun]:
    """Approve or deny a run that waits for it; `seen` is the OKR's version that was shown.

    Raises:
        OkrTransitionError: somebody decided before, or it does not wait for a decision.
        OkrChangedError: the OKR is not the one that was shown.
    """
    _must_be(run, ("pending_approval",), decision.decision)
    if seen is not None and seen != okr.version:
        raise OkrChangedError(okr.id, seen, okr.version)
    now = decision.decided_at
    kept = replace(decision, run_id=run.id, metadata={**decision.metadata, "version": okr.version})
    if decision.decision == "approved":
        decided = replace(run, status="approved", approval=kept, updated_at=now)
        return replace(okr, status="active", updated_at=now), decided
    denied = replace(
        run, status="denied", outcome="denied", approval=kept, completed_at=now, updated_at=now
    )
    if okr.status != "draft":
        return okr, denied
    return replace(okr, status="cancelled", updated_at=now), denied


def edit(okr: Okr, run: OkrRun, edited: Okr, *, seen: int, now: str) -> tuple[Okr, OkrRun]:
    """Put an edited OKR in the place of one that nobody has decided on.

    Raises:
        OkrTransitionError: somebody has.
        OkrChangedError: it is not the one that was edited.
    """
    _must_be(run, ("draft", "pending_approval"), "edited")
    if seen != okr.version:
        raise OkrChangedError(okr.id, seen, okr.version)
    return replace(edited, id=okr.id, version=okr.version, updated_at=now), run


def begin(run: OkrRun, relay_id: str, now: str) -> OkrRun:
    """Let an approved run begin.

    Raises:
        NotApprovedError: nobody approved it.
    """
    if run.status != "approved" or run.approval is None or run.approval.decision != "approved":
        raise NotApprovedError(run.id, run.status, "started", _decided(run))
    return replace(
        run,
        status="running",
        relay_id=relay_id,
        correlation_id=relay_id,
        started_at=run.started_at or now,
        updated_at=now,
    )


def take_up(run: OkrRun, relay_id: str, now: str) -> OkrRun:
    """Let a run go on that began and did not end, by the relay that it has.

    Raises:
        NotApprovedError: nobody approved it.
        OkrTransitionError: it is over, never began, or is another relay's.
    """
    if run.status in ("draft", "pending_approval"):
        raise NotApprovedError(run.id, run.status, "resumed", "")
    if not is_extensible(run):
        _must_be(run, tuple(_RESUMABLE), "resumed")
    if run.relay_id not in (None, relay_id):
        raise OkrTransitionError(run.id, run.status, "resumed", f"by {run.relay_id} alone")
    return replace(
        run, relay_id=relay_id, status="running", outcome=None, completed_at=None, updated_at=now
    )


def end(okr: Okr, run: OkrRun, outcome: GoOutcome, now: str) -> tuple[Okr, OkrRun]:
    """A run that is under way ends; one that was cancelled meanwhile stays so.

    Raises:
        OkrTransitionError: it is not under way; or all shall be met, and not all are.
    """
    if run.status == "cancelled":
        return okr, run
    _must_be(run, ("running", "paused", "waiting_approval", "failed"), "ended")
    unmet = [kr.title for kr in okr.key_results if not is_met(kr)]
    if outcome == "all_met" and (unmet or not okr.key_results):
        raise OkrTransitionError(run.id, run.status, "ended with all met", f"unmet: {unmet}")
    status = _STATUS_OF[outcome]
    over = now if status in ("completed", "failed") else None
    ended = replace(run, status=status, outcome=outcome, completed_at=over, updated_at=now)
    if outcome == "all_met":
        return replace(okr, status="completed", updated_at=now), ended
    if outcome in _SPENT:
        results = tuple(_missed(kr, outcome, now) for kr in okr.key_results)
        okr = replace(okr, key_results=results, updated_at=now)
    return okr, ended


def cancel(okr: Okr, run: OkrRun, now: str) -> tuple[Okr, OkrRun]:
    """Give a run up for good.

    Raises:
        OkrTransitionError: it is over.
    """
    if is_over(run):
        raise OkrTransitionError(run.id, run.status, "cancelled", _decided(run))
    cancelled = replace(
        run, status="cancelled", outcome="cancelled", completed_at=now, updated_at=now
    )
    return replace(okr, status="cancelled", updated_at=now), cancelled


def _missed(key_result: KeyResult, outcome: GoOutcome, now: str) -> KeyResult:
    if is_met(key_result):
        return key_result
    why = f"the run ended ({outcome}) before it was met"
    return replace(key_result, status="failed", at_risk_because=why, updated_at=now)


def _must_be(run: OkrRun, allowed: tuple[OkrRunStatus, ...], verb: str) -> None:
    if run.status not in allowed:
        raise OkrTransitionError(run.id, run.status, verb, _decided(run))


def _decided(run: OkrRun) -> str:
    made = run.approval
    if made is None:
        return ""
    return f"{made.decision} by {made.approver or 'somebody'} at {made.decided_at}"
