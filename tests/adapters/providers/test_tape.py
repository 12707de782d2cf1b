"""A run becomes a tape, and the tape answers the same run and no other."""

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codetether_ray.core.errors import TapeDepartureError, TapeError
from codetether_ray.core.events import (
    AgentStarted,
    Compacted,
    Event,
    ModelRequested,
    ModelResponded,
    Nudged,
    Record,
    ToolFinished,
    TurnStarted,
)
from codetether_ray.core.ids import RunKind, new_run_id
from codetether_ray.core.messages import (
    Message,
    Reasoning,
    Text,
    ToolCall,
    ToolResult,
    assistant,
    tool_results,
    user,
)
from codetether_ray.core.models import (
    Finished,
    ModelRef,
    ModelRequest,
    ModelResponse,
    ReasoningDelta,
    TextDelta,
    ToolCallDelta,
)
from codetether_ray.core.spec import Correlation
from codetether_ray.core.usage import Usage
from codetether_ray.providers.http import HttpClient
from codetether_ray.providers.registry import open_provider
from codetether_ray.providers.tape import NORMALISERS, Tape, TapeProvider, load, tape_from_records
from codetether_ray.testing.clock import FakeClock
from codetether_ray.testing.fakes import make_spec
from tests.adapters.providers.asking import READ, EagerClock, events_of, request

CALL = ToolCall(id="c1", name="read_file", arguments='{"path": "a.py"}')
SAID = "1 passed in 0.02s at /tmp/run-1/a.py (object at 0x7f01, commit a6382c9)"
SAME = "1 passed in 1.73s at /home/u/w/a.py (object at 0x55aa, commit 0123abc)"
FIRST = ModelResponse(
    message=Message(role="assistant", parts=(Reasoning(text="I look at the file first."), CALL)),
    finish_reason="tool_calls",
    usage=Usage(prompt_tokens=100, completion_tokens=9),
)
LAST = ModelResponse(
    message=assistant("All is well with the file."), finish_reason="stop", cost_usd=0.01
)
TASK = user("check a.py")


def _records(agent: str, events: list[Event]) -> list[Record]:
    run = Correlation(run_id="ses_0000000000_00000000")
    return [Record(correlation=run, agent=agent, event=event, time=0.0) for event in events]


def _started(agent: str, model: str = "anthropic/claude-haiku-4-5") -> AgentStarted:
    return AgentStarted(spec=make_spec(agent, model=model), system="s", tools=(READ,))


def _result(text: str = SAID, call_id: str = "c1") -> ToolResult:
    return ToolResult(call_id=call_id, name="read_file", content=text)


def _run(agent: str) -> list[Record]:
    return _records(
        agent,
        [
            _started(agent),
            TurnStarted(turn=0, message=TASK),
            ModelRequested(step=0, attempt=0, model="claude-haiku-4-5", digest="", messages=1),
            ModelResponded(step=0, response=FIRST, elapsed_ms=1),
            ToolFinished(step=0, result=_result()),
            ModelResponded(step=1, response=LAST, elapsed_ms=1),
        ],
    )


STEP_0 = request(TASK, model="tape.jsonl", agent="main", step=0)
STEP_1 = request(
    TASK, FIRST.message, tool_results(_result(SAME)), model="tape.jsonl", agent="main", step=1
)


def _provider(tape: Tape, **more: object) -> TapeProvider:
    return TapeProvider(tape, clock=EagerClock(), model="tape.jsonl", **more)  # type: ignore[arg-type]


async def _answer(tape: Tape, asked: ModelRequest) -> ModelResponse:
    last = (await events_of(_provider(tape), asked))[-1]
    assert isinstance(last, Finished)
    return last.response


async def _departure(tape: Tape, asked: ModelRequest) -> str:
    with pytest.raises(TapeDepartureError) as seen:
        await events_of(_provider(tape), asked)
    assert (seen.value.agent, seen.value.step) == (asked.agent, asked.step)
    return str(seen.value)


async def test_a_journal_exported_saved_and_loaded_answers_as_the_models_did(
    tmp_path: Path,
) -> None:
    path = tmp_path / "run.jsonl"
    tape_from_records([*_run("main"), *_run("sub/a")], note="a test").save(path)
    tape = load(path)
    assert tape.note == "a test"
    assert tape.normalisers == NORMALISERS
    for agent in ("main", "sub/a"):
        assert await _answer(tape, replace(STEP_0, agent=agent)) == FIRST
        assert await _answer(tape, replace(STEP_1, agent=agent)) == LAST
    assert list(tmp_path.iterdir()) == [path]


async def test_an_answer_is_streamed_in_pieces() -> None:
    events = await events_of(_provider(tape_from_records(_run("main"))), STEP_0)
    thoughts = [e.text for e in events if isinstance(e, ReasoningDelta)]
    pieces = [e.arguments for e in events if isinstance(e, ToolCallDelta)]
    assert len(thoughts) > 1
    assert "".join(thoughts) == "I look at the file first."
    assert "".join(pieces) == CALL.arguments
    events = await events_of(_provider(tape_from_records(_run("main"))), STEP_1)
    texts = [e.text for e in events if isinstance(e, TextDelta)]
    assert len(texts) > 1
    assert "".join(texts) == LAST.message.text


async def test_many_agents_replay_at_once_and_any_step_may_be_asked_first() -> None:
    agents = [f"sub/{n}" for n in range(50)]
    tape = tape_from_records([record for agent in agents for record in _run(agent)])
    asked = [replace(s, agent=a) for a in agents for s in (STEP_1, STEP_0)]
    answers = await asyncio.gather(*(_answer(tape, one) for one in asked))
    assert answers == [LAST, FIRST] * 50


CHANGES = {
    "another model": (replace(STEP_1, model="gpt-4o"), ["claude-haiku-4-5", "gpt-4o"]),
    "other tools": (
        replace(STEP_1, tools=(READ, replace(READ, name="bash"))),
        ["-tools: read_file", "+tools: read_file, bash"],
    ),
    "another result": (
        replace(STEP_1, messages=(*STEP_1.messages[:2], tool_results(_result("2 failed")))),
        ["-  1 passed in <duration>", "+  2 failed"],
    ),
    "an error instead of a result": (
        replace(
            STEP_1,
            messages=(*STEP_1.messages[:2], tool_results(replace(_result(), is_error=True))),
        ),
        ["-result of read_file", "+error of read_file"],
    ),
    "another call": (
        replace(
            STEP_1,
            messages=(
                TASK,
                assistant("", replace(CALL, arguments='{"path": "b.py"}')),
                STEP_1.messages[2],
            ),
        ),
        ['-called: read_file {"path": "a.py"}', '+called: read_file {"path": "b.py"}'],
    ),
    "a result is missing": (replace(STEP_1, messages=STEP_1.messages[:2]), ["-result of"]),
    "one more message": (
        replace(STEP_1, messages=(*STEP_1.messages, user("and b.py"))),
        ["+user:", "+  and b.py"],
    ),
    "another task": (replace(STEP_0, messages=(user("check b.py"),)), ["-  check a.py"]),
    "a step too many": (replace(STEP_1, step=2), ["2 calls", "the last is step 1"]),
    "an unknown agent": (replace(STEP_1, agent="sub/x"), ["no call of this agent", "main"]),
}


@pytest.mark.parametrize("change", CHANGES)
async def test_a_departure_fails_loudly_with_the_difference(change: str) -> None:
    asked, words = CHANGES[change]
    told = await _departure(tape_from_records(_run("main")), asked)
    for word in words:
        assert word in told


async def test_the_recorded_model_may_be_named_instead_of_the_tape() -> None:
    tape = tape_from_records(_run("main"))
    for model in ("claude-haiku-4-5", "anthropic/claude-haiku-4-5"):
        assert await _answer(tape, replace(STEP_1, model=model)) == LAST


@pytest.mark.parametrize("kind", get_args(RunKind))
async def test_what_varies_between_runs_is_not_compared(kind: RunKind) -> None:
    tape = tape_from_records(
        _records(
            "main",
            [
                _started("main"),
                TurnStarted(
                    turn=0,
                    message=Message(
                        role="user",
                        parts=(
                            Text(text=f"look into {new_run_id(kind)} from 2026-11-22 10:00:01"),
                            Text(text="<situation>\nbase abc\nport 8000\n</situation>"),
                        ),
                    ),
                ),
                ModelResponded(step=0, response=LAST, elapsed_ms=1),
            ],
        )
    )
    asked = user(f"look into {new_run_id(kind)} from 2027-01-01 00:00:00")
    assert await _answer(tape, replace(STEP_0, messages=(asked,))) == LAST


async def test_own_normalisers_are_declared_in_the_tape(tmp_path: Path) -> None:
    path = tmp_path / "own.jsonl"
    tape_from_records(_run("main"), normalisers=()).save(path)
    assert "1 passed" in await _departure(load(path), STEP_1)
    lines = path.read_text().splitlines()
    header = json.loads(lines[0])
    header["normalisers"] = [{"name": "all", "pattern": "(?s)1 passed.*", "replacement": "ok"}]
    other = tmp_path / "other.jsonl"
    other.write_text("\n".join([json.dumps(header), *lines[1:]]))
    assert await _answer(load(other), STEP_1) == LAST


async def test_results_are_compared_in_the_order_of_their_calls_not_of_their_ends() -> None:
    two = (CALL, replace(CALL, id="c2", arguments='{"path": "b"}'))
    response = replace(FIRST, message=assistant("", *two))
    records = _records(
        "main",
        [
            _started("main"),
            TurnStarted(turn=0, message=TASK),
            ModelResponded(step=0, response=response, elapsed_ms=1),
            ToolFinished(step=0, result=_result("b", "c2")),
            ToolFinished(step=0, result=_result("a", "c1")),
            ModelResponded(step=1, response=LAST, elapsed_ms=1),
        ],
    )
    results = tool_results(_result("a", "c1"), _result("b", "c2"))
    asked = replace(STEP_1, messages=(TASK, response.message, results))
    assert await _answer(tape_from_records(records), asked) == LAST


async def test_nudges_compactions_and_resumed_turns_replay() -> None:
    cut = replace(LAST, finish_reason="length")
    notes = replace(LAST, message=assistant("notes"))
    records = _records(
        "main",
        [
            _started("main"),
            TurnStarted(turn=0, message=TASK),
            ModelResponded(step=0, response=cut, elapsed_ms=1),
            Nudged(step=1, reason="length", text="go on"),
            TurnStarted(turn=0, message=TASK),
            ModelResponded(step=1, response=FIRST, elapsed_ms=1),
            ToolFinished(step=1, result=_result()),
            ModelResponded(step=2, response=notes, elapsed_ms=1, purpose="compaction"),
            Compacted(step=2, stage="summary", summary="notes", keep_from=1),
            ModelResponded(step=3, response=LAST, elapsed_ms=1),
        ],
    )
    tape = tape_from_records(records)
    nudged = (TASK, cut.message, user("go on"))
    assert await _answer(tape, replace(STEP_0, messages=nudged, step=1)) == FIRST
    assert "+  stop" in await _departure(
        tape, replace(STEP_0, messages=(*nudged[:2], user("stop")), step=1)
    )
    summing_up = replace(STEP_0, messages=(user("sum it up"),), tools=(), step=2)
    assert await _answer(tape, summing_up) == notes
    shortened = (user("check a.py\nnotes"), FIRST.message, tool_results(_result(SAME)))
    assert await _answer(tape, replace(STEP_0, messages=shortened, step=3)) == LAST
    bare = replace(STEP_0, messages=(user("check a.py\nnotes"),), step=3)
    assert await _answer(tape, bare) == LAST


async def test_answers_can_be_delayed_in_a_way_that_is_the_same_each_time(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    tape_from_records(_run("main")).save(path)
    waits = []
    for query in ("", "?delay=0.2", "?delay=1..2&seed=1", "?delay=1..2&seed=1", "?delay=1..2"):
        clock = EagerClock()
        ref = ModelRef(provider="tape", model=f"{path}{query}")
        provider = open_provider(ref, secret=None, http=HttpClient(), clock=clock)
        assert provider.name == "tape"
        for asked in (STEP_0, STEP_1):
            await events_of(provider, replace(asked, model=ref.model))
        waits.append(clock.slept)
    assert waits[0] == []
    assert waits[1] == [0.2, 0.2]
    assert waits[2] == waits[3] != waits[4]
    assert waits[2][0] != waits[2][1]
    assert all(1 <= wait <= 2 for wait in (*waits[2], *waits[4]))


def test_a_replay_has_the_window_and_price_of_the_recorded_model() -> None:
    info = _provider(tape_from_records(_run("main"))).info("tape.jsonl")
    assert info is not None
    assert (info.id, info.context_window) == ("claude-haiku-4-5", 200_000)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "line 1 is not JSON"),
        ("[]", "line 1 is no object"),
        ('{"tape": 99}', "version 1"),
        (
            '{"tape": 1, "normalisers": [{"name": "x", "pattern": "(", "replacement": ""}]}',
            "line 1",
        ),
        ('{"tape": 1}\n{"agent": "main"}', "line 2"),
        ('{"tape": 1}\nnonsense', "line 2 is not JSON"),
    ],
)
def test_what_is_no_tape_is_refused_with_the_line(
    text: str, complaint: str, tmp_path: Path
) -> None:
    path = tmp_path / "odd.jsonl"
    path.write_text(text)
    with pytest.raises(TapeError, match=complaint):
        load(path)


def test_a_tape_that_is_not_there_or_asked_for_wrongly_is_said(tmp_path: Path) -> None:
    for model, complaint in ((f"{tmp_path}/no", "No such file"), ("x?delay=soon", "delay is SEC")):
        ref = ModelRef(provider="tape", model=model)
        with pytest.raises(TapeError, match=complaint):
            open_provider(ref, secret=None, http=HttpClient(), clock=FakeClock())


@given(st.text())
def test_normalising_twice_changes_nothing_more(text: str) -> None:
    tape = Tape(entries=())
    once = tape.normalise(text)
    assert tape.normalise(once) == once


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("in /tmp/a-b/c.py:12 and src/x.py", "in <path>:12 and src/x.py"),
        ("https://example.org/a", "https://example.org/a"),
        ("and/or 1/2", "and/or 1/2"),
        ("took 12.5 s (0:00:12)", "took <duration>"),
        ("pytest-9.2.0, Python 3.11.7", "pytest-<v>, Python <v>"),
        ("deadbeef1 facade 1234567", "<id> facade 1234567"),
        ("http://127.0.0.1:8123/x", "http://127.0.0.1:<port>/x"),
        ("at Sun Nov 22 18:32:06 UTC 2026", "at <time>"),
        ("root 4096 Nov  2 18:32 a; Dec 11  2025 b", "root 4096 <time> a; <time> b"),
        ("Mar 3 tests, May 4096", "Mar 3 tests, May 4096"),
    ],
)
def test_the_default_normalisers_touch_what_they_should(text: str, normal: str) -> None:
    assert Tape(entries=()).normalise(text) == normal
