import pytest
from hypothesis import given
from hypothesis import strategies as st

from codetether_ray.agent.conversation import Round
from codetether_ray.agent.stuck import is_stuck
from codetether_ray.core.messages import ToolCall, ToolResult


def _round(arguments: str, content: str, name: str = "bash", is_error: bool = False) -> Round:
    return Round(
        calls=(ToolCall(id="i", name=name, arguments=arguments),),
        results=(ToolResult(call_id="i", name=name, content=content, is_error=is_error),),
    )


_A, _B = _round('{"c": 1}', "a"), _round('{"c": 2}', "b")


@pytest.mark.parametrize(
    ("rounds", "stuck"),
    [
        ([], False),
        ([_A, _A], False),
        ([_A, _A, _A], True),
        ([_B, _A, _A, _A], True),
        ([_A, _A, _A, _B], False),
        ([_A, _B, _A, _B], False),
        ([_A, _B, _A, _B, _A, _B], True),
        ([_B, _B, _A, _B, _A, _B], False),
        ([_A, _round('{"c": 1}', "other"), _A], False),
        ([_A, _A, _round('{"c": 1}', "a", is_error=True)], False),
        ([_A, _A, _round('{"c": 1}', "a", name="read")], False),
    ],
)
def test_three_laps_of_the_same_are_stuck(rounds, stuck) -> None:
    assert is_stuck(rounds) is stuck


def test_arguments_are_compared_as_json() -> None:
    spellings = ['{"a": 1, "b": 2}', '{"b":2,"a":1}', '{ "a": 1, "b": 2 }']
    assert is_stuck([_round(spelling, "x") for spelling in spellings])
    assert is_stuck([_round("{broken", "x")] * 3)


def test_durations_and_times_do_not_make_results_differ() -> None:
    rounds = [_round("{}", f"1 failed in 0.1{n}s at 12:00:0{n}") for n in range(3)]
    assert is_stuck(rounds)
    assert not is_stuck([_round("{}", f"{n} failed in 0.1s") for n in range(3)])


def test_the_same_calls_of_one_answer_are_one_lap() -> None:
    twice = Round(calls=_A.calls * 3, results=_A.results * 3)
    assert not is_stuck([twice])
    assert is_stuck([twice] * 3)


@given(st.lists(st.integers(0, 50), unique=True, max_size=8))
def test_progress_is_never_stuck(values) -> None:
    assert not is_stuck([_round('{"c": 1}', f"result {v} of many") for v in values])
