"""Records as letters: the text travels, the event is read when it is asked for."""

import math
import pickle

import pytest

from codetether_ray.core.errors import JournalError
from codetether_ray.core.events import (
    ModelResponded,
    Record,
    RunFinished,
    ToolStarted,
    TurnStarted,
)
from codetether_ray.core.letters import Letter
from codetether_ray.core.messages import Message, Text, ToolCall, user
from codetether_ray.core.models import ModelResponse
from codetether_ray.core.spec import Correlation
from codetether_ray.core.usage import Usage

WHERE = Correlation(run_id="swm_x", task_id="t")
CALL = ToolCall(id="c1", name="grep", arguments='{"pattern":"é\\u2028"}')
EVENTS = (
    TurnStarted(turn=0, message=user("é\u2028\n\x00")),
    ToolStarted(step=0, call=CALL, effect="read"),
    ModelResponded(
        step=1,
        response=ModelResponse(
            message=Message(role="assistant", parts=(Text(text="hi"), CALL)),
            finish_reason="tool_calls",
            usage=Usage(prompt_tokens=7),
            cost_usd=0.25,
        ),
        elapsed_ms=3,
    ),
    RunFinished(outcome="completed", summary={"big": 2**70, "nested": [{"a": None}]}),
)


def record(event: object) -> Record:
    return Record(correlation=WHERE, agent="sub/a", event=event, time=1.5)  # type: ignore[arg-type]


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.tag)
def test_a_letter_that_was_sent_is_the_record_that_it_was_made_of(event: object) -> None:
    given = record(event)
    found = pickle.loads(pickle.dumps(Letter.of(given)))
    assert found.kind == given.kind
    assert found.payload_text() == given.payload_text()
    assert found.to_text() == given.to_text()
    assert found.to_json() == given.to_json()
    assert found.event == event
    assert found == given
    assert given == found


def test_a_letter_with_numbers_is_the_numbered_record() -> None:
    given = record(EVENTS[0])
    assert Letter.of(given).numbered(4, 2, 2.5) == given.numbered(4, 2, 2.5)
    assert Letter.of(given).numbered(4, 2) != given.numbered(5, 2)


def test_a_letter_record_is_pickled_with_its_numbers() -> None:
    given = Letter.of(record(EVENTS[1])).numbered(4, 2)
    assert pickle.loads(pickle.dumps(given)) == given


def test_an_unread_letter_costs_no_reading() -> None:
    broken = Letter(WHERE, "sub/a", "turn.started", 1.0, "{")
    assert broken.kind == "turn.started"
    assert broken.numbered(1, 1).payload_text() == "{"
    with pytest.raises(ValueError, match="Expecting property name"):
        _ = broken.event


def test_a_letter_of_an_unknown_kind_says_so_when_it_is_read() -> None:
    unknown = Letter(WHERE, "sub/a", "no.such", 1.0, "{}")
    with pytest.raises(ValueError, match=r"unknown event kind 'no\.such'"):
        _ = unknown.event


def test_what_has_no_json_form_is_no_letter() -> None:
    with pytest.raises(JournalError, match=r"run\.finished cannot be written as JSON"):
        Letter.of(record(RunFinished(outcome="completed", summary={"x": math.nan})))
