"""Where a supervisor that was replaced goes on."""

import pytest

from codetether_ray.bootstrap.restarted import Known
from codetether_ray.core.errors import CodetetherError
from codetether_ray.core.events import Event, Record, RunFinished, RunStarted, TurnFinished
from codetether_ray.core.spec import Correlation, TurnResult

STARTED = RunStarted(kind="swarm", title="x", directory="/x")
DONE = RunFinished(outcome="success", summary={"exit_code": 0, "outcome": "success"})


def known(*events: Event, agent: str = "run") -> Known:
    correlation = Correlation(run_id="swm_x")
    return Known.of(
        Record(correlation=correlation, agent=agent, event=event, time=1.0) for event in events
    )


def test_a_try_of_which_nothing_is_recorded_has_not_begun() -> None:
    assert known() == Known()


def test_a_try_that_began_goes_on() -> None:
    found = known(STARTED)
    assert found.has_begun
    assert found.finished is None


def test_a_try_that_came_to_its_end_has_its_result() -> None:
    found = known(STARTED, STARTED, DONE)
    assert found.finished == DONE
    assert found.result(DONE) == DONE.summary


def test_a_try_that_began_again_after_an_end_goes_on() -> None:
    assert known(STARTED, DONE, STARTED).finished is None


def test_a_swarm_that_failed_before_it_had_a_result_fails_again_with_the_same_words() -> None:
    failed = RunFinished(outcome="failed", summary={"error": "git refuses"})
    with pytest.raises(CodetetherError, match="git refuses"):
        known(STARTED, failed).result(failed)


def test_only_the_main_agents_turn_is_the_sessions() -> None:
    turn = TurnFinished(turn=0, result=TurnResult(outcome="completed", text="yes"))
    assert known(turn, agent="main").turn == turn.result
    assert known(turn, agent="main/task-1").turn is None
