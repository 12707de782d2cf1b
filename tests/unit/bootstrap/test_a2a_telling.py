"""What a task is told: the answer as a client puts it together."""

from typing import Any

from a2a.types import (
    Artifact,
    Message,
    Part,
    Role,
    Task,
    TaskArtifactUpdateEvent,
    TaskStatusUpdateEvent,
)
from hypothesis import given
from hypothesis import strategies as st

from codetether_ray.a2a.agents import Order
from codetether_ray.bootstrap.a2a.leaving import RESPONSE, fitting
from codetether_ray.bootstrap.a2a.telling import Telling, takes
from codetether_ray.bootstrap.a2a.workspaces import OutboxFile, Yield
from codetether_ray.bootstrap.session.home import SessionResult
from codetether_ray.core.events import Event, ModelResponded, Record, Retrying, TextStreamed
from codetether_ray.core.messages import ToolCall, assistant
from codetether_ray.core.models import ModelResponse
from codetether_ray.core.principals import Principal
from codetether_ray.core.spec import Correlation, TurnResult

_HERE = Correlation(run_id="ses_0mabc12345_deadbeef")


def _telling(*modes: str) -> Telling:
    message = Message(message_id="m", role=Role.ROLE_USER, parts=[Part(text="x")])
    task = Task(id="t", context_id="c", history=[message])
    principal = Principal(user_id="ann")
    return Telling(Order(task=task, message=message, principal=principal, output_modes=modes))


def _record(event: Event, agent: str = "main") -> Record:
    return Record(correlation=_HERE, agent=agent, event=event, time=0.0)


def _responded(step: int, text: str, *calls: ToolCall) -> ModelResponded:
    reason: Any = "tool_calls" if calls else "stop"
    response = ModelResponse(message=assistant(text, *calls), finish_reason=reason)
    return ModelResponded(step=step, response=response, elapsed_ms=1)


def _answer(telling: Telling, events: list[Event], text: str, outcome: Any = "completed") -> Any:
    updates = [u for event in events for u in telling.told(_record(event))]
    turn = TurnResult(outcome=outcome, text=text)
    updates += telling.ended(SessionResult(session_id="s", turn=turn), Yield())
    return updates


def _read(updates: list[Any]) -> str:
    """The response as the protocol says it is put together."""
    text = ""
    for update in updates:
        if isinstance(update, TaskArtifactUpdateEvent) and update.artifact.artifact_id == RESPONSE:
            said = "".join(part.text for part in update.artifact.parts)
            text = text + said if update.append else said
    return text


def _marks(updates: list[Any]) -> list[bool]:
    return [u.last_chunk for u in updates if isinstance(u, TaskArtifactUpdateEvent)]


@given(st.lists(st.lists(st.text(min_size=1, max_size=5), max_size=4), min_size=1, max_size=4))
def test_whatever_streams_the_response_is_the_last_text_and_only_its_last_piece_ends_it(
    steps: list[list[str]],
) -> None:
    events: list[Event] = []
    for number, pieces in enumerate(steps):
        events += [TextStreamed(step=number, text=piece) for piece in pieces]
        call = ToolCall(id=str(number), name="glob", arguments="{}")
        calls = (call,) if number < len(steps) - 1 else ()
        events.append(_responded(number, "".join(pieces), *calls))
    last = "".join(steps[-1])
    updates = _answer(_telling(), events, last)
    assert _read(updates) == last or not last
    if last:
        assert _marks(updates)[-1]
        assert not any(_marks(updates)[:-1])


def test_what_was_said_before_a_call_was_made_again_is_replaced() -> None:
    events = [
        TextStreamed(step=0, text="Hel"),
        TextStreamed(step=0, text="lo wor"),
        Retrying(step=0, attempt=1, next_in_s=1.0, reason="cut off"),
        TextStreamed(step=0, text="Good "),
        TextStreamed(step=0, text="day"),
        _responded(0, "Good day"),
    ]
    updates = _answer(_telling(), events, "Good day")
    assert _read(updates) == "Good day"
    assert _marks(updates)[-1]


def test_events_that_were_missed_leave_no_hole() -> None:
    events = [TextStreamed(step=0, text="beginning, "), _responded(0, "beginning, middle, end")]
    assert _read(_answer(_telling(), events, "beginning, middle, end")) == "beginning, middle, end"
    assert _read(_answer(_telling(), [], "all of it")) == "all of it"


def test_what_other_agents_say_is_not_the_answer() -> None:
    telling = _telling()
    assert not list(telling.told(_record(TextStreamed(step=0, text="x"), "sub/a")))


def test_every_outcome_but_success_a_question_and_a_cancel_is_a_failure_with_a_reason() -> None:
    for outcome in ("max_steps", "budget", "stuck", "timeout", "waiting", "failed"):
        last = _answer(_telling(), [], "", outcome)[-1]
        assert isinstance(last, TaskStatusUpdateEvent)
        assert last.status.state == 4  # failed
        assert last.status.message.parts[0].text


def test_a_client_takes_what_it_named() -> None:
    assert takes((), "text/x-diff")
    assert takes(("text/*",), "text/x-diff")
    assert takes(("Text/Plain; charset=utf-8",), "text/plain")
    assert not takes(("application/json", "text/plain"), "text/x-diff")


def test_what_is_too_large_for_a_task_stays_behind_and_is_named_and_the_task_is_done() -> None:
    large, small = (
        OutboxFile(name="a", content=b"x" * 3_500_000),
        OutboxFile(name="b", content=b"y"),
    )
    left = Yield(files=(large, small), patch=b"z" * 2_000_000)
    turn = TurnResult(outcome="completed", text="done")
    *updates, last = _telling().ended(SessionResult(session_id="s", turn=turn), left)
    told = [one.artifact.name for one in updates if isinstance(one, TaskArtifactUpdateEvent)]
    assert told == [RESPONSE, "b", "changes.patch"]
    assert isinstance(last, TaskStatusUpdateEvent)
    assert last.status.state == 3  # completed
    [note] = last.metadata["notes"]
    assert "a stays in the workspace" in note


def test_what_an_earlier_turn_left_in_the_task_takes_room_until_it_is_replaced() -> None:
    held = Artifact(artifact_id="file-a", parts=[Part(raw=b"x" * 2_000_000)])
    task = Task(id="t", artifacts=[held])
    again = Yield(files=(OutboxFile(name="a", content=b"\0" * 2_500_000),))
    assert [one.name for one in fitting(again, task, "")[0]] == ["a"]
    other = Yield(files=(OutboxFile(name="b", content=b"\0" * 1_500_000),))
    assert fitting(other, task, "")[0] == []
