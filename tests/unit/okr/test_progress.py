"""Progress follows measurements: direction, baseline, targets of 0, what is unknown, risk."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codetether_ray.core.measures import KrReading
from codetether_ray.core.okrs import Direction, KeyResult, Okr
from codetether_ray.okr.progress import all_met, is_met, progress, risk, standing, total_progress
from codetether_ray.okr.readings import (
    outcome_of,
    run_with_readings,
    with_outcomes,
    with_readings,
)
from tests.unit.okr.okrs import a_run, an_okr

NUMBERS = st.floats(min_value=-1e9, max_value=1e9, allow_nan=False)
TARGETS = st.floats(min_value=0, max_value=1e9, allow_nan=False)


def kr(
    value: float | None,
    target: float,
    direction: Direction = "higher",
    baseline: float | None = None,
) -> KeyResult:
    return KeyResult(
        id="k1",
        okr_id="o",
        title="t",
        target_value=target,
        current_value=value,
        direction=direction,
        baseline=baseline,
    )


def readings(*values: float | None) -> list[KrReading]:
    return [
        KrReading(kr_id="k1", turn=n, commit=f"c{n}", value=v, reason="" if v is not None else "no")
        for n, v in enumerate(values)
    ]


@pytest.mark.parametrize(
    ("key_result", "wanted"),
    [
        (kr(50, 100), 0.5),
        (kr(100, 100), 1),
        (kr(500, 100), 1),
        (kr(-5, 100), 0),
        (kr(None, 100), 0),
        (kr(60, 100, baseline=20), 0.5),
        (kr(10, 100, baseline=20), 0),
        (kr(200, 100, "lower"), 0.5),
        (kr(100, 100, "lower"), 1),
        (kr(90, 100, "lower"), 1),
        (kr(200, 100, "lower", baseline=300), 0.5),
        (kr(400, 100, "lower", baseline=300), 0),
        (kr(0, 0), 1),
        (kr(0, 0, "lower"), 1),
        (kr(3, 0, "lower"), 0),
        (kr(3, 0, "lower", baseline=12), 0.75),
        (kr(None, 0, "lower"), 0),
        (kr(7, 8, baseline=9), 0),
    ],
)
def test_progress_goes_from_the_baseline_to_the_target(
    key_result: KeyResult, wanted: float
) -> None:
    assert progress(key_result) == pytest.approx(wanted)


@given(NUMBERS, TARGETS, st.sampled_from(["higher", "lower"]), st.none() | NUMBERS)
def test_progress_is_a_share_and_whole_exactly_where_the_target_is_met(
    value: float, target: float, direction: Direction, baseline: float | None
) -> None:
    key_result = kr(value, target, direction, baseline)
    assert 0 <= progress(key_result) <= 1
    if is_met(key_result):
        assert progress(key_result) == 1


@given(NUMBERS, NUMBERS, TARGETS, st.sampled_from(["higher", "lower"]), st.none() | NUMBERS)
def test_a_better_value_is_never_less_progress(
    one: float, other: float, target: float, direction: Direction, baseline: float | None
) -> None:
    worse, better = sorted((one, other), reverse=direction == "lower")
    less = progress(kr(worse, target, direction, baseline))
    assert less <= progress(kr(better, target, direction, baseline)) + 1e-9


@given(TARGETS, st.sampled_from(["higher", "lower"]), NUMBERS)
def test_a_baseline_that_does_not_move_is_no_progress(
    target: float, direction: Direction, start: float
) -> None:
    key_result = kr(start, target, direction, start)
    assert progress(key_result) == (1 if is_met(key_result) else 0)


def test_what_is_not_known_is_neither_met_nor_progress() -> None:
    key_result = kr(None, 0, "lower", 5)
    assert not is_met(key_result)
    assert standing(key_result) == "pending"


def test_an_objective_without_key_results_is_not_met() -> None:
    assert not all_met(Okr(id="o", title="t"))
    assert total_progress(Okr(id="o", title="t")) == 0


def test_three_measurements_without_a_better_value_are_a_risk() -> None:
    still = readings(300, 300, 300, 300)
    assert "not come nearer" in risk(kr(300, 100, "lower", 300), still)
    assert risk(kr(300, 100, "lower", 300), still[:-1]) == ""


def test_a_value_worse_than_the_baseline_is_a_risk_and_one_that_wavers_is_not() -> None:
    away = risk(kr(350, 100, "lower", 300), readings(300, 350))
    assert "moved away" in away
    wavers = readings(300, 200, 210)
    assert risk(kr(210, 100, "lower", 300), wavers) == ""
    falls = readings(300, 200, 210, 220)
    assert "moves away" in risk(kr(220, 100, "lower", 300), falls)


def test_what_cannot_be_measured_three_times_in_a_row_is_a_risk_with_its_reason() -> None:
    blind = readings(300, None, None, None)
    assert "no" in risk(kr(None, 100, "lower", 300), blind)
    assert risk(kr(None, 100, "lower", 300), blind[:-1]) == ""


def test_a_met_key_result_is_at_no_risk() -> None:
    assert risk(kr(100, 100), readings(100, 100, 100, 100, 100)) == ""


def test_readings_become_values_statuses_and_a_baseline_and_only_they_do() -> None:
    okr, run = an_okr(), a_run()
    before = with_readings(okr, (), "now")
    assert before == okr
    found = tuple(replace(r, kr_id=okr.key_results[0].id) for r in readings(300, 200, None))
    after = with_readings(okr, found, "now").key_results[0]
    assert (after.baseline, after.current_value, after.status) == (300, None, "pending")
    assert run_with_readings(run, found, "now").kr_progress == {}
    assert run_with_readings(run, found[:2], "now").kr_progress == {okr.key_results[0].id: 200}
    assert run_with_readings(run, found, "now").iterations == 2


def test_a_second_run_goes_on_from_the_baseline_of_the_first() -> None:
    okr = an_okr()
    id = okr.key_results[0].id
    first = tuple(replace(r, kr_id=id) for r in readings(300, 200))
    second = tuple(replace(r, kr_id=id) for r in readings(200, 150))
    after = with_readings(with_readings(okr, first, "now"), second, "later").key_results[0]
    assert (after.baseline, after.current_value) == (300, 150)
    assert progress(after) == pytest.approx(0.75)


def test_ten_turns_that_change_nothing_are_no_progress() -> None:
    okr = an_okr()
    found = tuple(replace(r, kr_id=okr.key_results[0].id) for r in readings(*[300.0] * 11))
    seen = with_readings(okr, found, "now")
    assert total_progress(seen) == 0
    assert seen.key_results[0].status == "at_risk"


def test_the_last_reading_of_each_key_result_is_its_outcome_with_its_evidence() -> None:
    okr, run = an_okr(), a_run()
    id = okr.key_results[0].id
    found = tuple(replace(r, kr_id=id, evidence=("p95=90",)) for r in readings(300, 90))
    okr, run = with_outcomes(with_readings(okr, found, "now"), run, found)
    (made,) = run.outcomes
    assert (made.value, made.run_id, made.kr_id) == (90, run.id, id)
    assert made.outcome_type == "metric_achievement"
    assert "commit:c1" in made.evidence
    assert "p95=90" in made.evidence
    again, _ = with_outcomes(okr, run, found)
    assert len(again.key_results[0].outcomes) == 1
    assert outcome_of(found[1], okr.key_results[0], run.id) == made
