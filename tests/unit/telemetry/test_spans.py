"""A run's records become one tree of spans, the same whoever folds them, without their content."""

from collections.abc import Iterable
from dataclasses import replace

import pytest

from codetether_ray.core import events as e
from codetether_ray.core.events import Record, RunFinished
from codetether_ray.core.messages import user
from codetether_ray.core.spec import Correlation
from codetether_ray.telemetry.identity import parse_traceparent, trace_id
from codetether_ray.telemetry.span import Span
from codetether_ray.telemetry.spans import SpanFold
from tests.unit.telemetry.scene import (
    BEGAN,
    RUN,
    SECRET,
    Story,
    agent_turn,
    asked,
    call,
    done,
    run_started,
    started,
    subtask,
    swarm,
)

OUTER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def _spans(records: Iterable[Record], fold: SpanFold | None = None) -> dict[str, Span]:
    fold = fold or SpanFold(RUN)
    return {span.name: span for record in records for span in fold.take(record)}


def _all_spans(records: Iterable[Record], fold: SpanFold) -> list[Span]:
    return [span for record in records for span in fold.take(record)]


def test_a_swarm_is_one_tree() -> None:
    spans = _spans(swarm(Story()))
    root = spans["invoke_workflow swarm"]
    work, turn = spans["subtask tests"], spans["invoke_agent tests"]
    chat, tool = spans["chat claude-x"], spans["execute_tool bash"]
    assert root.parent_id == 0
    assert work.parent_id == root.span_id
    assert turn.parent_id == work.span_id
    assert chat.parent_id == tool.parent_id == turn.span_id
    assert {span.trace_id for span in spans.values()} == {trace_id(RUN)}


def test_spans_carry_the_ids_of_what_they_belong_to() -> None:
    ids = Correlation(run_id=RUN, task_id="us-1", relay_id="rly_1", okr_id="o", okr_run_id="r")
    records = [replace(record, correlation=ids) for record in swarm(Story())]
    for span in _spans(records).values():
        assert span.attributes["codetether.task.id"] == "us-1"
        assert span.attributes["codetether.relay.id"] == "rly_1"
        assert span.attributes["codetether.okr.id"] == "o"
        assert span.attributes["codetether.okr_run.id"] == "r"


def test_a_relay_that_did_what_was_asked_is_no_error() -> None:
    (begun, *_), end = swarm(Story()), RunFinished(outcome="max_rounds", summary={"success": True})
    spans = _spans([begun, replace(begun, event=end)])
    assert spans["invoke_workflow swarm"].error == ""


def test_spans_begin_and_end_with_their_records() -> None:
    spans = _spans(swarm(Story()))
    root, tool = spans["invoke_workflow swarm"], spans["execute_tool bash"]
    assert root.start == BEGAN + 1
    assert root.end == BEGAN + 17
    assert tool.end - tool.start == pytest.approx(1.0)
    assert all(root.start <= span.start <= span.end <= root.end for span in spans.values())


def test_model_spans_bear_the_names_of_the_conventions() -> None:
    chat = _spans(swarm(Story()))["chat claude-x"]
    assert chat.is_client
    assert chat.attributes["gen_ai.operation.name"] == "chat"
    assert chat.attributes["gen_ai.provider.name"] == "anthropic"
    assert chat.attributes["gen_ai.request.model"] == "claude-x"
    assert chat.attributes["gen_ai.usage.input_tokens"] == 100
    assert chat.attributes["gen_ai.usage.output_tokens"] == 10
    assert chat.attributes["gen_ai.usage.cache_read.input_tokens"] == 40
    assert chat.attributes["gen_ai.response.finish_reasons"] == ("stop",)


def test_nothing_that_somebody_wrote_is_in_a_span() -> None:
    for span in _spans(swarm(Story())).values():
        assert SECRET not in repr(span)
        assert "/secret/place" not in repr(span)


def test_whoever_goes_on_with_a_run_that_was_cut_off_completes_the_same_tree() -> None:
    records = list(swarm(Story()))
    whole = _all_spans(records, SpanFold(RUN))
    for cut in range(1, len(records)):
        before, after = SpanFold(RUN), SpanFold(RUN)
        parts = _all_spans(records[:cut], before)
        _all_spans(records[:cut], after)  # the successor reads what is recorded
        assert parts + _all_spans(records[cut:], after) == whole, cut
    assert len({span.span_id for span in whole}) == len(whole) == 6


def test_a_run_that_ended_and_is_taken_up_again_has_another_root_in_its_trace() -> None:
    story, fold = Story(), SpanFold(RUN)
    first = _spans(swarm(story), fold)
    second = _spans(swarm(story, resumed=True), fold)
    roots = {found["invoke_workflow swarm"].span_id for found in (first, second)}
    assert len(roots) == 2
    assert first["invoke_workflow swarm"].trace_id == second["invoke_workflow swarm"].trace_id
    assert second["subtask tests"].parent_id == second["invoke_workflow swarm"].span_id


def test_a_run_within_somebody_elses_trace_goes_on_with_that() -> None:
    spans = _spans(swarm(Story(), traceparent=OUTER))
    root = spans["invoke_workflow swarm"]
    assert root.trace_id == 0x0AF7651916CD43DD8448EB211C80319C
    assert root.parent_id == 0xB7AD6B7169203331
    assert {span.trace_id for span in spans.values()} == {root.trace_id}


def test_a_trace_that_its_beginner_does_not_keep_is_not_sampled() -> None:
    fold = SpanFold(RUN)
    _spans(swarm(Story(), traceparent=OUTER[:-1] + "0"), fold)
    assert not fold.is_sampled


@pytest.mark.parametrize(
    "text", ["", "hello", "00-" + "0" * 32 + "-b7ad6b7169203331-01", OUTER[:-3], "ff" + OUTER[2:]]
)
def test_what_is_no_traceparent_is_ignored(text: str) -> None:
    assert parse_traceparent(text) is None


def test_a_request_whose_process_died_ends_in_an_error_and_is_made_again() -> None:
    story, fold = Story(), SpanFold(RUN)
    records = [
        story.tell("sub/a", started("sub/a")),
        story.tell("sub/a", e.TurnStarted(turn=0, message=user("x"))),
        story.tell("sub/a", asked(0)),
        story.tell("sub/a", e.AgentRestarted(attempt=1, reason="killed")),
        story.tell("sub/a", asked(0, attempt=1)),
        story.tell("sub/a", done()),
    ]
    spans = [span for record in records for span in fold.take(record)]
    calls = [span for span in spans if span.name.startswith("chat")]
    assert [span.error for span in calls] == ["AgentLostError", "cancelled"]
    assert len({span.span_id for span in calls}) == 2


def test_a_child_is_below_the_turn_of_its_parent() -> None:
    story, fold = Story(), SpanFold(RUN)
    begun = [
        story.tell("run", run_started()),
        story.tell("main", started("main", "main")),
        story.tell("main", e.TurnStarted(turn=0, message=user("x"))),
    ]
    assert not _spans(begun, fold)
    child = _spans(agent_turn(story, "main/task-1"), fold)
    ended = _spans([story.tell("main", done())], fold)
    assert child["invoke_agent task-1"].parent_id == ended["invoke_agent main"].span_id


def test_what_is_open_at_the_end_of_a_run_ends_with_it() -> None:
    story = Story()
    records = [
        story.tell("run", run_started()),
        story.tell("run", subtask("running")),
        story.tell("sub/tests", started("sub/tests")),
        story.tell("sub/tests", e.TurnStarted(turn=0, message=user("x"))),
        story.tell("sub/tests", e.ToolStarted(step=0, call=call(1), effect="shell")),
        story.tell("run", e.RunFinished(outcome="cancelled")),
    ]
    spans = _spans(records)
    assert spans["execute_tool bash"].error == "cancelled"
    assert spans["invoke_agent tests"].error == "cancelled"
    assert spans["subtask tests"].error == "interrupted"
    assert spans["invoke_workflow swarm"].error == "cancelled"
