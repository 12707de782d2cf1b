from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from codetether_ray.agent import compaction
from codetether_ray.agent.compaction import Clear, Summarise
from codetether_ray.agent.conversation import Conversation
from codetether_ray.agent.fold import apply, fold
from codetether_ray.core.events import (
    AgentStarted,
    Compacted,
    ModelResponded,
    Nudged,
    ToolFinished,
    TurnFinished,
    TurnStarted,
)
from codetether_ray.core.messages import Message, Text, ToolResult, assistant, user
from codetether_ray.core.models import ModelResponse
from codetether_ray.core.spec import TurnResult
from codetether_ray.testing.fakes import make_spec
from tests.unit.agent.scenes import call

# -- any conversation -----------------------------------------------------------------------------

_text = st.text(max_size=30) | st.integers(1, 4_000).map(lambda n: "w " * n)
_result = st.tuples(_text, st.booleans())
_step = st.tuples(_text, st.lists(_result, max_size=3))
_turn = st.tuples(_text, st.lists(_step, max_size=5), st.booleans())


def _events(turns):
    yield AgentStarted(spec=make_spec(), system="system")
    step = 0
    for number, (said, steps, is_nudged) in enumerate(turns):
        if number:
            yield TurnFinished(turn=number - 1, result=TurnResult(outcome="completed"))
        yield TurnStarted(turn=number, message=user(f"turn {number}: {said}"))
        for text, results in steps:
            calls = [call(f"{step}.{n}", "read") for n in range(len(results))]
            response = ModelResponse(
                message=assistant(text, *calls), finish_reason="tool_calls" if calls else "stop"
            )
            yield ModelResponded(step=step, response=response, elapsed_ms=1)
            for made, (content, is_error) in zip(calls, results, strict=True):
                result = ToolResult(
                    call_id=made.id, name="read", content=content, is_error=is_error
                )
                yield ToolFinished(step=step, result=result)
            if not calls:
                yield Nudged(step=step, reason="empty", text="go on")
            step += 1
        if is_nudged:
            yield Nudged(step=step, reason="empty", text="well?")


def _assert_valid(messages: tuple[Message, ...]) -> None:
    """Each call has its one result in the message right after; nothing else is there."""
    assert messages[0].role == "user"
    for n, message in enumerate(messages):
        assert message.parts
        following = messages[n + 1] if n + 1 < len(messages) else None
        calls = [c.id for c in message.tool_calls]
        if calls:
            assert following is not None
            assert [r.call_id for r in following.tool_results] == calls
        if message.role == "tool":
            assert len(message.tool_results) == len(message.parts)
            assert n
            assert [c.id for c in messages[n - 1].tool_calls] == [
                r.call_id for r in message.tool_results
            ]
        if message.role == "assistant":
            assert following is None or following.role != "assistant"


def _perform(c: Conversation, decision) -> Conversation:
    if isinstance(decision, Clear):
        return apply(c, Compacted(step=c.step, stage="results", call_ids=decision.call_ids))
    summary = Compacted(
        step=c.step, stage="summary", summary="what happened", keep_from=decision.keep_from
    )
    return apply(c, summary)


def _pinned_are_there(c: Conversation) -> None:
    texts = [p.text for m in c.messages for p in m.parts if isinstance(p, Text)]
    assert c.task.text in texts
    assert c.turn.message.text in texts


@given(st.lists(_turn, min_size=1, max_size=3), st.integers(50, 8_000), st.booleans())
def test_any_conversation_stays_valid_however_often_it_is_compacted(turns, room, overflows) -> None:
    c = fold(_events(turns))
    _assert_valid(c.messages)
    for _ in range(30):
        decision = compaction.plan(c, room, is_overflowing=overflows)
        if decision is None:
            break
        before = c
        c = _perform(c, decision)
        _assert_valid(c.messages)
        _pinned_are_there(c)
        if isinstance(decision, Summarise):
            kept = before.messages[decision.keep_from :]
            assert c.messages[1:] == kept
            assert "what happened" in c.messages[0].text
    else:
        raise AssertionError("compaction never comes to an end")


@given(st.lists(_turn, min_size=1, max_size=3), st.integers(600, 5_000))
def test_a_request_for_a_summary_fits_in_the_room(turns, room) -> None:
    c = fold(_events(turns))
    request = compaction.summary_request(c, len(c.messages), room)
    assert len(request) < 4 * room + 1_500


# -- what is kept ---------------------------------------------------------------------------------


def _long(results: int = 20, size: int = 4_000) -> Conversation:
    step = ("", [("r" * size, False)])
    return fold(_events([("the task", [step] * results, False)]))


def test_nothing_is_done_while_there_is_room() -> None:
    c = _long()
    assert compaction.plan(c, c.prompt_tokens) is None


def test_old_results_go_first_and_the_latest_quarter_stays() -> None:
    c = _long()
    room = c.prompt_tokens - 1
    decision = compaction.plan(c, room)
    assert isinstance(decision, Clear)
    assert decision.call_ids == tuple(f"{n}.0" for n in range(len(decision.call_ids)))
    assert 13 <= len(decision.call_ids) <= 16
    shorter = _perform(c, decision)
    assert shorter.prompt_tokens < room / 2
    contents = [m.tool_results[0].content for m in shorter.messages if m.role == "tool"]
    assert "4000 characters" in contents[0]
    assert contents[-1] == "r" * 4_000
    assert compaction.plan(shorter, room) is None


def test_errors_stay_errors_when_their_text_is_removed() -> None:
    c = fold(_events([("t", [("", [("e" * 9_000, True)])] * 5, False)]))
    decision = compaction.plan(c, 5_000)
    assert isinstance(decision, Clear)
    first = _perform(c, decision).messages[2].tool_results[0]
    assert first.is_error
    assert len(first.content) < 200


def test_results_that_are_cleared_are_not_cleared_twice_but_summed_up() -> None:
    c, cleared = _long(40, 900), []
    for _ in range(10):
        decision = compaction.plan(c, 6_000)
        if isinstance(decision, Summarise):
            break
        if decision is not None:
            cleared += decision.call_ids
            c = _perform(c, decision)
        c = replace(c, calibration=c.calibration * 1.5)
    assert isinstance(decision, Summarise)
    assert cleared
    assert len(set(cleared)) == len(cleared)


def test_the_results_that_the_model_has_not_read_are_never_touched() -> None:
    c = fold(_events([("t", [("", [("small", False)]), ("", [("b" * 90_000, False)] * 2)], False)]))
    decision = compaction.plan(c, 10_000)
    assert isinstance(decision, Summarise)
    assert decision.keep_from == 3
    assert _perform(c, decision).messages[-1] == c.messages[-1]
    assert compaction.plan(_perform(c, decision), 10_000) is None


def test_the_task_and_this_turns_message_stay_verbatim_outside_the_summary() -> None:
    step = ("text " * 300, [("r" * 3_000, False)])
    c = fold(_events([("the task", [step] * 5, True), ("now this", [step] * 9, False)]))
    decision = compaction.plan(c, 2_000, is_overflowing=True)
    c = _perform(c, decision)
    texts = [p.text for p in c.messages[0].parts]
    assert texts[0] == "turn 0: the task"
    assert texts[-1] == "turn 1: now this"
    assert texts[1].startswith("<summary>")
    again = _perform(c, Summarise(keep_from=len(c.messages)))
    assert [p.text for p in again.messages[0].parts] == texts


def test_a_summariser_sees_calls_results_and_texts_without_their_middles() -> None:
    c = _long(3, 9_000)
    request = compaction.summary_request(c, len(c.messages), 100_000)
    assert "the task" in request
    assert request.count("[call read]") == 3
    assert "characters…" in request
    assert len(request) < 9_000


def test_what_does_not_fit_is_left_out_in_the_middle_and_said() -> None:
    c = _long(60, 1_500)
    request = compaction.summary_request(c, len(c.messages), 3_000)
    assert "parts left out]" in request
