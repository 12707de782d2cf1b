"""A run's records come to the right numbers, under few labels, and without their content."""

import pytest

from codetether_ray.core import events as e
from codetether_ray.local.metrics import LocalMetrics
from codetether_ray.telemetry import instruments as i
from codetether_ray.telemetry.instruments import INSTRUMENTS
from codetether_ray.telemetry.kinds import kind_of
from codetether_ray.telemetry.measure import Measurer
from tests.unit.telemetry.scene import (
    MODEL,
    SECRET,
    Story,
    answered,
    asked,
    call,
    finished,
    live,
    started,
    swarm,
)

_MODEL = tuple(MODEL.split("/"))


def _measured(*records: e.Record) -> LocalMetrics:
    metrics = LocalMetrics()
    measurer = Measurer(metrics)
    for record in records:
        measurer.take(record)
    return metrics


def test_a_swarm_is_counted_from_its_records() -> None:
    metrics = _measured(*swarm(Story()))
    assert metrics.value(i.RUNS_FINISHED, "swarm", "success") == 1
    assert metrics.value(i.RUNS, "swarm") == 0
    assert metrics.value(i.AGENTS_STARTED, "subagent") == 1
    assert metrics.value(i.TURNS, "subagent", "completed") == 1
    assert metrics.value(i.TOOL_CALLS, "bash", "ok") == 1
    assert metrics.value(i.MODEL_REQUESTS, *_MODEL, "ok") == 2
    assert metrics.value(i.TOKENS, *_MODEL, "input") == 200
    assert metrics.value(i.TOKENS, *_MODEL, "output") == 20
    assert metrics.value(i.TOKENS, *_MODEL, "cache_read") == 80
    assert metrics.value(i.COST, *_MODEL) == pytest.approx(0.5)
    assert metrics.value(i.SUBTASKS, "completed") == 1
    assert metrics.value(i.MERGES, "merged") == 1
    assert metrics.observed(i.SPAWN, "subagent").total == pytest.approx(0.12)
    assert metrics.observed(i.TURN, "subagent").total == pytest.approx(7.5)
    assert metrics.observed(i.TOOL, "bash").total == pytest.approx(0.5)
    assert metrics.observed(i.MODEL, *_MODEL).count == 2


def test_a_run_is_under_way_until_its_last_record() -> None:
    records = list(swarm(Story()))
    assert _measured(*records[:-1]).value(i.RUNS, "swarm") == 1


@pytest.mark.parametrize(
    ("status", "reason"), [(429, "rate_limit"), (503, "server"), (None, "connection")]
)
def test_a_retry_is_counted_by_its_reason(status: int | None, reason: str) -> None:
    story = Story()
    retry = e.Retrying(step=0, attempt=1, next_in_s=1.0, reason=SECRET, status=status)
    metrics = _measured(story.tell("main", asked(0)), live(story.tell("main", retry)))
    assert metrics.value(i.RETRIES, *_MODEL, reason) == 1


def test_a_call_without_a_price_is_counted_apart_from_the_cost() -> None:
    story = Story()
    metrics = _measured(story.tell("main", asked(0)), story.tell("main", answered(0, cost=None)))
    assert metrics.value(i.UNPRICED, *_MODEL) == 1
    assert metrics.value(i.COST, *_MODEL) == 0


def test_a_failed_call_is_no_answer_and_what_it_took_is_spent() -> None:
    story = Story()
    failed = e.ModelFailed(step=0, error_kind="ServerError", error=SECRET, cost_usd=0.1)
    metrics = _measured(story.tell("main", asked(0)), story.tell("main", failed))
    assert metrics.value(i.MODEL_REQUESTS, *_MODEL, "failed") == 1
    assert metrics.value(i.COST, *_MODEL) == pytest.approx(0.1)


def test_a_tool_that_nobody_offered_is_called_other() -> None:
    story = Story()
    metrics = _measured(
        story.tell("main", started("main", "main")),
        story.tell("main", finished(1, name=f"x{SECRET}", is_error=True)),
    )
    assert metrics.value(i.TOOL_CALLS, "other", "error") == 1


def test_a_thousand_models_are_few_labels() -> None:
    story, metrics = Story(), LocalMetrics()
    measurer = Measurer(metrics)
    for number in range(1000):
        request = e.ModelRequested(
            step=number, attempt=0, model=f"p/m{number}", digest="", messages=1
        )
        measurer.take(story.tell("main", request))
        measurer.take(story.tell("main", answered(number)))
    samples = [s for s in metrics.drain() if s.instrument == i.COST.name]
    assert len(samples) < 100
    assert sum(s.values[0] for s in samples) == pytest.approx(250)


def test_no_label_holds_what_somebody_wrote_or_the_name_of_a_run_or_a_path() -> None:
    metrics = _measured(*swarm(Story()))
    labels = " ".join(label for sample in metrics.drain() for label in sample.labels)
    assert SECRET not in labels
    assert "swm_" not in labels
    assert "/" not in labels


def test_every_name_ends_in_its_unit_and_counters_in_total() -> None:
    for name, instrument in INSTRUMENTS.items():
        assert name.startswith("codetether_")
        assert name.endswith("_total") == (instrument.kind == "counter")
        assert bool(instrument.buckets) == (instrument.kind == "histogram")
        if instrument.kind == "histogram":
            assert name.endswith("_seconds")
            assert list(instrument.buckets) == sorted(set(instrument.buckets))


def test_what_is_drained_is_told_once_and_the_sums_stay() -> None:
    metrics = _measured(*swarm(Story()))
    assert metrics.drain()
    assert metrics.drain() == ()
    assert metrics.value(i.TURNS, "subagent", "completed") == 1


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("main", "main"),
        ("main/task-1", "subagent"),
        ("planner", "planner"),
        ("sub/a", "subagent"),
        ("sub/a/task-2", "subagent"),
        ("resolver/a", "resolver"),
        ("resolver/us-001/2/again", "resolver"),
        ("story/us-001/2", "subagent"),
        ("story/us-001/diagnosis-2", "aide"),
        ("story/us-001/2/diagnosis-2", "subagent"),
        ("synthesis", "synthesis"),
    ],
)
def test_a_path_tells_the_kind(path: str, kind: str) -> None:
    assert kind_of(path) == kind


def test_a_call_is_measured_though_its_beginning_was_before_a_restart() -> None:
    story = Story()
    metrics = _measured(story.tell("sub/a", answered(3, call(1))))
    assert metrics.value(i.MODEL_REQUESTS, "unknown", "unknown", "ok") == 1
