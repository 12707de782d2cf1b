"""A run's way: nothing runs that nobody approved, and what was approved is what was shown."""

from dataclasses import replace
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codetether_ray.core.errors import (
    CodetetherError,
    NotApprovedError,
    OkrChangedError,
    OkrTransitionError,
)
from codetether_ray.core.okrs import GoOutcome, Okr, OkrRun, OkrRunStatus
from codetether_ray.okr.transitions import (
    begin,
    cancel,
    decide,
    edit,
    end,
    is_over,
    is_resumable,
    submit,
    take_up,
)
from tests.unit.okr.okrs import a_run, an_okr, approval, denial

MET = replace(an_okr(), key_results=(replace(an_okr().key_results[0], current_value=90.0),))


def running() -> tuple[Okr, OkrRun]:
    okr, run = decide(an_okr(), a_run(), approval(), seen=1)
    return okr, begin(run, "rly_1", "now")


def test_a_draft_is_submitted_approved_begun_and_ended() -> None:
    run = submit(a_run(status="draft"), "now")
    okr, run = decide(an_okr(), run, approval(), seen=1)
    assert (okr.status, run.status) == ("active", "approved")
    run = begin(run, "rly_1", "now")
    assert (run.status, run.relay_id, run.started_at) == ("running", "rly_1", "now")
    okr, run = end(MET, run, "all_met", "later")
    assert (okr.status, run.status, run.completed_at) == ("completed", "completed", "later")


@pytest.mark.parametrize("status", ["draft", "pending_approval", "denied", "cancelled"])
def test_nothing_begins_that_is_not_approved(status: OkrRunStatus) -> None:
    with pytest.raises(NotApprovedError):
        begin(a_run(status=status), "rly_1", "now")


def test_a_status_of_approved_without_a_decision_is_no_approval() -> None:
    with pytest.raises(NotApprovedError):
        begin(a_run(status="approved"), "rly_1", "now")
    with pytest.raises(NotApprovedError):
        begin(a_run(status="approved", approval=denial()), "rly_1", "now")


def test_who_decides_second_is_told_who_was_first() -> None:
    okr, run = decide(an_okr(), a_run(), approval("ada"), seen=1)
    with pytest.raises(OkrTransitionError, match="approved by ada at then"):
        decide(okr, run, denial())


def test_a_draft_that_was_changed_meanwhile_is_not_approved() -> None:
    with pytest.raises(OkrChangedError):
        decide(an_okr(version=3), a_run(), approval(), seen=2)


def test_a_denied_run_is_over_and_its_draft_is_given_up() -> None:
    okr, run = decide(an_okr(), a_run(), denial("not this"), seen=1)
    assert (okr.status, run.status, run.outcome) == ("cancelled", "denied", "denied")
    assert run.approval is not None
    assert run.approval.reason == "not this"
    assert is_over(run)


def test_an_active_objective_outlives_a_denied_run() -> None:
    okr, _ = decide(an_okr(status="active"), a_run(), denial())
    assert okr.status == "active"


def test_only_what_waits_is_edited_and_only_by_who_saw_it() -> None:
    edited = an_okr(title="Faster")
    okr, _ = edit(an_okr(version=4), a_run(), edited, seen=4, now="now")
    assert (okr.title, okr.version) == ("Faster", 4)
    with pytest.raises(OkrChangedError):
        edit(an_okr(version=4), a_run(), edited, seen=3, now="now")
    with pytest.raises(OkrTransitionError):
        edit(an_okr(), a_run(status="approved"), edited, seen=1, now="now")


def test_all_met_is_not_believed_without_values() -> None:
    okr, run = running()
    with pytest.raises(OkrTransitionError, match="unmet"):
        end(okr, run, "all_met", "now")


@pytest.mark.parametrize(
    ("outcome", "status"),
    [
        ("max_rounds", "completed"),
        ("converged", "completed"),
        ("budget", "paused"),
        ("interrupted", "paused"),
        ("cancelled", "paused"),
        ("failed", "failed"),
    ],
)
def test_an_outcome_says_whether_a_run_may_go_on(outcome: GoOutcome, status: str) -> None:
    okr, run = end(*running(), outcome, "now")
    assert run.status == status
    assert is_resumable(run) == (status != "completed")
    missed = okr.key_results[0].status
    assert missed == ("failed" if status == "completed" else "pending")
    assert okr.status == "active"


def test_a_paused_run_goes_on_by_its_own_relay_alone() -> None:
    _, run = end(*running(), "interrupted", "now")
    again = take_up(run, "rly_1", "later")
    assert (again.status, again.outcome) == ("running", None)
    with pytest.raises(OkrTransitionError, match="rly_1 alone"):
        take_up(run, "rly_2", "later")


def test_a_cancelled_run_stays_so_whatever_its_relay_says_after() -> None:
    okr, run = cancel(*running(), "now")
    assert (okr.status, run.status) == ("cancelled", "cancelled")
    assert end(MET, run, "all_met", "later")[1] == run
    with pytest.raises(OkrTransitionError):
        take_up(run, "rly_1", "later")
    with pytest.raises(OkrTransitionError):
        cancel(okr, run, "later")


VERBS = st.sampled_from(["submit", "approve", "deny", "begin", "take_up", "end", "cancel"])


@given(st.lists(VERBS, max_size=12))
def test_no_sequence_of_verbs_makes_a_run_work_that_nobody_approved(verbs: list[str]) -> None:
    okr, run = an_okr(), a_run(status="draft")
    for verb in verbs:
        try:
            okr, run = _apply(verb, okr, run)
        except CodetetherError:
            continue
        assert run.status in get_args(OkrRunStatus)
        if run.status in ("running", "completed", "paused", "failed"):
            assert run.approval is not None
            assert run.approval.decision == "approved"


def _apply(verb: str, okr: Okr, run: OkrRun) -> tuple[Okr, OkrRun]:
    match verb:
        case "submit":
            return okr, submit(run, "now")
        case "approve":
            return decide(okr, run, approval())
        case "deny":
            return decide(okr, run, denial())
        case "begin":
            return okr, begin(run, "rly_1", "now")
        case "take_up":
            return okr, take_up(run, "rly_1", "now")
        case "end":
            return end(okr, run, "max_rounds", "now")
        case _:
            return cancel(okr, run, "now")
