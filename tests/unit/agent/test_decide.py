from dataclasses import replace

import pytest

from codetether_ray.agent.conversation import Conversation, PendingCall, Round, Turn
from codetether_ray.agent.decide import (
    CallModel,
    Finish,
    Limits,
    Nudge,
    RunTools,
    Settle,
    decide,
)
from codetether_ray.core.messages import ToolResult, assistant, user
from codetether_ray.core.models import ModelResponse
from codetether_ray.testing.fakes import make_spec
from tests.unit.agent.scenes import NAMES, call

_LIMITS = Limits(max_steps=10, max_tool_calls=10, room=100_000, effects=NAMES)
_OPEN = Conversation(
    spec=make_spec(),
    messages=(user("x"),),
    task=user("x"),
    step=1,
    turn=Turn(number=0, message=user("x")),
)


def _pending(*calls, started=()):
    return replace(
        _OPEN,
        pending=tuple(
            PendingCall(call=c, effect=str(NAMES[c.name]) if c.id in started else None)
            for c in calls
        ),
    )


def _calls(names):
    return [call(str(n), name) for n, name in enumerate(names)]


def _ids(decision):
    assert isinstance(decision, RunTools)
    return [[p.call.id for p in group] for group in decision.groups]


def test_a_fresh_turn_asks_the_model() -> None:
    assert decide(_OPEN, _LIMITS) == CallModel()


def test_neighbouring_reads_or_children_run_at_once_and_all_else_alone_and_in_order() -> None:
    calls = _calls(["read", "read", "write", "write", "read", "shell", "task", "task", "read"])
    found = _ids(decide(_pending(*calls), _LIMITS))
    assert found == [["0", "1"], ["2"], ["3"], ["4"], ["5"], ["6", "7"], ["8"]]


def test_a_tool_that_does_not_exist_stands_in_no_ones_way() -> None:
    assert _ids(decide(_pending(call("0", "read"), call("1", "nonsense")), _LIMITS)) == [["0", "1"]]


def test_after_a_crash_a_started_command_is_not_run_again_and_the_model_is_told() -> None:
    c = _pending(*_calls(["shell", "shell"]), started={"0"})
    decision = decide(c, _LIMITS)
    assert isinstance(decision, Settle)
    (event,) = decision.results
    assert event.result.call_id == "0"
    assert event.interrupted
    assert event.result.is_error
    assert "interrupted" in event.result.content


@pytest.mark.parametrize("name", ["read", "note", "write", "task"])
def test_after_a_crash_all_other_started_calls_run_again(name) -> None:
    assert _ids(decide(_pending(call("0", name), started={"0"}), _LIMITS)) == [["0"]]


def test_calls_beyond_the_limit_are_answered_and_not_run() -> None:
    limits = replace(_LIMITS, max_tool_calls=2)
    c = _pending(*_calls(["read", "read", "read"]))
    assert _ids(decide(c, limits)) == [["0", "1"]]
    spent = replace(c, turn=replace(c.turn, tool_calls=2), pending=c.pending[2:])
    decision = decide(spent, limits)
    assert isinstance(decision, Settle)
    assert "limit of 2 tool calls" in decision.results[0].result.content
    assert not decision.results[0].interrupted


def test_a_call_that_was_counted_before_the_crash_is_not_counted_again() -> None:
    c = _pending(*_calls(["write", "write"]), started={"0"})
    c = replace(c, turn=replace(c.turn, tool_calls=10))
    assert _ids(decide(c, _LIMITS)) == [["0"]]


def test_the_limits_end_a_turn_honestly() -> None:
    steps = replace(_OPEN, turn=replace(_OPEN.turn, steps=10))
    assert decide(steps, _LIMITS).outcome == "max_steps"
    tools = replace(_OPEN, turn=replace(_OPEN.turn, tool_calls=10))
    ended = decide(tools, _LIMITS)
    assert ended.outcome == "max_steps"
    assert "10 tool calls" in ended.error


def test_an_answer_at_the_last_step_is_still_an_answer() -> None:
    answer = ModelResponse(message=assistant("yes"), finish_reason="stop")
    c = replace(_OPEN, turn=replace(_OPEN.turn, steps=10, answer=answer))
    assert decide(c, _LIMITS) == Finish(outcome="completed", text="yes")


def test_a_stop_settles_open_calls_and_then_ends() -> None:
    stop = Finish(outcome="timeout", error="late")
    limits = replace(_LIMITS, stop=stop)
    decision = decide(_pending(*_calls(["shell", "write"]), started={"0"}), limits)
    assert isinstance(decision, Settle)
    assert [e.interrupted for e in decision.results] == [True, False]
    assert all("time" in e.result.content for e in decision.results)
    assert decide(_OPEN, limits) is stop


@pytest.mark.parametrize(
    ("finish", "text", "reason", "tries"),
    [
        ("length", "half", "length", 3),
        ("stop", "", "empty", 3),
        ("tool_calls", " ", "empty", 3),
        ("content_filter", "no", "content_filter", 1),
    ],
)
def test_an_unfinished_answer_is_asked_for_again_some_times_and_then_failed(
    finish, text, reason, tries
) -> None:
    answer = ModelResponse(message=assistant(text), finish_reason=finish)
    for n in range(tries):
        turn = replace(_OPEN.turn, answer=answer, nudges=(reason,) * n)
        decision = decide(replace(_OPEN, turn=turn), _LIMITS)
        assert isinstance(decision, Nudge)
        assert decision.reason == reason
    turn = replace(_OPEN.turn, answer=answer, nudges=(reason,) * tries)
    decision = decide(replace(_OPEN, turn=turn), _LIMITS)
    assert decision.outcome == "failed"
    assert decision.error_kind == "UnfinishedAnswerError"


def _round(*pairs):
    calls = tuple(call("x", name, path=path) for name, path, _ in pairs)
    results = tuple(ToolResult(call_id="x", name=n, content=r) for n, _, r in pairs)
    return Round(calls=calls, results=results)


def test_the_same_call_with_the_same_result_three_times_is_stuck() -> None:
    same = _round(("read", "a", "1"))
    turn = replace(_OPEN.turn, rounds=(same,) * 2)
    assert decide(replace(_OPEN, turn=turn), _LIMITS) == CallModel()
    turn = replace(_OPEN.turn, rounds=(same,) * 3)
    decision = decide(replace(_OPEN, turn=turn), _LIMITS)
    assert decision.outcome == "stuck"
    assert "read" in decision.error


def _asked(*results):
    asking = tuple(call(r.call_id, r.name) for r in results)
    return replace(
        _OPEN, turn=replace(_OPEN.turn, steps=1, rounds=(Round(calls=asking, results=results),))
    )


def _result(id, name, content, *, is_error=False):
    return ToolResult(call_id=id, name=name, content=content, is_error=is_error)


def test_a_question_ends_the_turn_and_is_what_it_says() -> None:
    found = decide(_asked(_result("0", "read", "x"), _result("1", "ask_user", "A or B?")), _LIMITS)
    assert found == Finish(outcome="needs_decision", text="A or B?")


def test_two_questions_at_once_are_both_asked() -> None:
    found = decide(_asked(_result("0", "ask_user", "A?"), _result("1", "ask_user", "B?")), _LIMITS)
    assert isinstance(found, Finish)
    assert found.text == "A?\n\nB?"


def test_a_question_that_was_refused_is_none() -> None:
    asked = _asked(_result("0", "ask_user", "question is missing", is_error=True))
    assert decide(asked, _LIMITS) == CallModel()
