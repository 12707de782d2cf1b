import json

import pytest

from codetether_ray.agent.fold import apply, fold
from codetether_ray.core.errors import HistoryError
from codetether_ray.core.events import (
    AgentRestarted,
    AgentStarted,
    ModelRequested,
    ModelResponded,
    Nudged,
    ToolFinished,
    ToolStarted,
    TurnFinished,
    TurnStarted,
)
from codetether_ray.core.messages import ToolResult, assistant, user
from codetether_ray.core.models import ModelResponse
from codetether_ray.core.spec import TurnResult
from codetether_ray.core.usage import Usage
from codetether_ray.ports.tool import Todo
from codetether_ray.testing.fakes import make_spec
from tests.unit.agent.scenes import call

_A, _B = call("a", "read", path="x"), call("b", "shell", command="ls")


def _answered(*calls, text="", step=0, **more):
    response = ModelResponse(
        message=assistant(text, *calls),
        finish_reason="tool_calls" if calls else "stop",
        usage=Usage(prompt_tokens=10, completion_tokens=2),
        **more,
    )
    return ModelResponded(step=step, response=response, elapsed_ms=1)


def _result(call, content="ok", **more):
    return ToolFinished(
        step=0, result=ToolResult(call_id=call.id, name=call.name, content=content), **more
    )


_START = (
    AgentStarted(spec=make_spec(), system="s"),
    TurnStarted(turn=0, message=user("do it")),
    ModelRequested(step=0, attempt=0, model="m", digest="d", messages=1),
)


def test_results_stand_in_call_order_whatever_their_order_of_finishing() -> None:
    c = fold([*_START, _answered(_A, _B), _result(_B, "2"), _result(_A, "1")])
    assert [r.content for r in c.messages[-1].tool_results] == ["1", "2"]
    assert not c.pending


def test_no_tool_message_stands_there_while_a_call_is_open() -> None:
    c = fold([*_START, _answered(_A, _B), _result(_B)])
    assert c.messages[-1].role == "assistant"
    assert [p.call.id for p in c.pending] == ["a"]


def test_a_second_result_for_one_call_is_rejected() -> None:
    events = [*_START, _answered(_A, _B), _result(_A)]
    with pytest.raises(HistoryError, match="a second result"):
        fold([*events, _result(_A, "other")])
    with pytest.raises(HistoryError, match="a second result"):
        fold([*events, _result(_B), _result(_A)])


@pytest.mark.parametrize(
    "event",
    [
        _answered(text="more"),
        TurnFinished(turn=0, result=TurnResult(outcome="completed")),
        TurnStarted(turn=1, message=user("next")),
        AgentStarted(spec=make_spec(), system="s"),
        ToolStarted(step=0, call=call("z", "read"), effect="read"),
        _result(call("z", "read")),
    ],
    ids=lambda e: e.tag,
)
def test_what_cannot_follow_open_calls_is_rejected(event) -> None:
    with pytest.raises(HistoryError):
        apply(fold([*_START, _answered(_A)]), event)


def test_an_answer_with_one_id_for_two_calls_is_rejected() -> None:
    with pytest.raises(HistoryError):
        fold([*_START, _answered(_A, _A)])


def test_steps_attempts_usage_and_calls_are_counted() -> None:
    c = fold([*_START, _START[2]])
    assert (c.step, c.attempts) == (0, 1)
    c = fold(
        [
            *_START,
            _answered(_A, cost_usd=0.5),
            ToolStarted(step=0, call=_A, effect="read"),
            ToolStarted(step=0, call=_A, effect="read"),
            _result(_A),
            ModelRequested(step=1, attempt=0, model="m", digest="d", messages=3),
            _answered(text="done", step=1, cost_usd=0.25),
        ]
    )
    assert (c.step, c.attempts, c.turn.steps, c.turn.tool_calls) == (2, 0, 2, 1)
    assert c.turn.usage == c.usage == Usage(prompt_tokens=20, completion_tokens=4)
    assert c.turn.cost_usd == 0.75
    assert c.turn.answer is not None


def test_a_cost_is_unknown_as_soon_as_one_answer_has_none() -> None:
    c = fold([*_START, _answered(_A, cost_usd=0.5), _result(_A), _answered(text="x", step=1)])
    assert c.turn.cost_usd is None


def test_an_empty_answer_is_no_message() -> None:
    c = fold([*_START, _answered(text=" \n")])
    assert [m.role for m in c.messages] == ["user"]
    c = apply(c, Nudged(step=1, reason="empty", text="go on"))
    assert [m.text for m in c.messages] == ["do it", "go on"]
    assert c.turn.nudges == ("empty",)


def test_a_turn_that_is_taken_up_again_keeps_its_messages_and_its_count() -> None:
    done = TurnFinished(turn=0, result=TurnResult(outcome="waiting"))
    before = fold([*_START, done])
    after = apply(before, _START[1])
    assert before.finished_turns == 1
    assert after.finished_turns == 0
    assert after.messages == before.messages
    assert after.turn.is_open


def test_the_task_is_the_first_message_of_all() -> None:
    done = TurnFinished(turn=0, result=TurnResult(outcome="completed"))
    c = fold([*_START, _answered(text="yes"), done, TurnStarted(turn=1, message=user("more"))])
    assert c.task == user("do it")
    assert c.turn.message == user("more")


def test_the_list_of_todos_is_what_the_last_successful_write_said() -> None:
    write = call("w", "todo_write", todos=[{"id": "1", "content": "a", "status": "completed"}])
    broken = call("v", "todo_write", todos=[])
    batch = call("u", "batch", calls=[{"tool": "todo_write", "arguments": {"todos": []}}])
    failed = ToolFinished(
        step=0,
        result=ToolResult(call_id="v", name="todo_write", content="no", is_error=True),
    )
    c = fold([*_START, _answered(write, broken, batch), _result(write), failed])
    assert c.todos == (Todo(id="1", content="a", status="completed"),)
    assert apply(c, _result(batch)).todos == ()


def test_todo_arguments_that_are_not_json_change_nothing() -> None:
    odd = call("w", "todo_write")
    odd = type(odd)(id="w", name="todo_write", arguments="{")
    assert fold([*_START, _answered(odd), _result(odd)]).todos == ()


def test_events_of_others_change_nothing() -> None:
    c = fold(_START)
    assert apply(c, AgentRestarted(attempt=1, reason="gone")) is c


def test_the_estimate_of_the_prompt_follows_what_the_provider_counted() -> None:
    big = user("x" * 4000)
    events = [_START[0], TurnStarted(turn=0, message=big), _START[2]]
    estimate = fold(events).prompt_tokens
    response = ModelResponse(
        message=assistant("", _A), finish_reason="tool_calls", usage=Usage(prompt_tokens=2000)
    )
    told = fold([*events, ModelResponded(step=0, response=response, elapsed_ms=1), _result(_A)])
    assert 900 < estimate < 1100
    assert 2000 < told.prompt_tokens < 2100


def test_json_of_arguments_may_be_a_list_without_harm() -> None:
    odd = type(_A)(id="w", name="todo_write", arguments=json.dumps([1]))
    assert fold([*_START, _answered(odd), _result(odd)]).todos == ()
