"""What `run` prints: answers on stdout, everything else on stderr."""

import io
import json

import pytest

from codetether_ray.bootstrap.session.home import SessionResult
from codetether_ray.cli.output import JsonOutput, StreamJsonOutput, TextOutput
from codetether_ray.core import events as e
from codetether_ray.core.events import Event, Record
from codetether_ray.core.messages import ToolCall, ToolResult, assistant
from codetether_ray.core.models import ModelResponse
from codetether_ray.core.spec import Correlation, Outcome, TurnResult
from codetether_ray.core.usage import Usage

CALL = ToolCall(id="1", name="bash", arguments='{"command": "ls"}')


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def record(event: Event, agent: str = "main") -> Record:
    return Record(correlation=Correlation(run_id="r"), agent=agent, event=event, time=1.0)


def responded(text: str, *calls: ToolCall) -> Record:
    response = ModelResponse(message=assistant(text, *calls), finish_reason="stop")
    return record(e.ModelResponded(step=0, response=response, elapsed_ms=1))


def ended(text: str, outcome: Outcome = "completed", error: str = "") -> SessionResult:
    usage = Usage(prompt_tokens=1500, completion_tokens=20)
    turn = TurnResult(
        outcome=outcome, text=text, usage=usage, cost_usd=0.25, elapsed_s=3.0, error=error
    )
    return SessionResult(session_id="ses_1", turn=turn)


TURN = [
    record(e.ModelRequested(step=0, attempt=0, model="m", digest="", messages=1)),
    record(e.TextStreamed(step=0, text="let me look")),
    responded("let me look", CALL),
    record(
        e.ToolFinished(
            step=0, result=ToolResult(call_id="1", name="bash", content="no\nway", is_error=True)
        )
    ),
    record(e.Retrying(step=1, attempt=1, next_in_s=2, reason="busy")),
    record(e.ModelRequested(step=1, attempt=0, model="m", digest="", messages=3)),
    record(e.TextStreamed(step=1, text="the ")),
    record(e.TextStreamed(step=1, text="answer")),
    responded("the answer"),
]


def test_a_pipe_gets_the_answer_alone() -> None:
    out, err = io.StringIO(), io.StringIO()
    output = TextOutput(out, err)
    for each in TURN:
        output.show(each)
    assert out.getvalue() == ""
    output.finish(ended("the answer"))
    assert out.getvalue() == "the answer\n"
    assert err.getvalue().splitlines() == [
        "· bash ls",
        "! bash: no way",
        "retry 1 in 2.0 s: busy",
        "completed · 1.5k in, 20 out · $0.2500 · 3.0 s",
        'go on: codetether run --session ses_1 "go on"',
    ]


def test_a_terminal_sees_the_answer_stream_once() -> None:
    out = Terminal()
    output = TextOutput(out, io.StringIO())
    for each in TURN:
        output.show(each)
    assert out.getvalue() == "let me look\nthe answer\n"
    output.finish(ended("the answer"))
    assert out.getvalue() == "let me look\nthe answer\n"


def test_an_answer_that_did_not_stream_is_printed_at_the_end() -> None:
    out = Terminal()
    output = TextOutput(out, io.StringIO())
    output.show(responded("all at once"))
    output.finish(ended("all at once"))
    assert out.getvalue() == "all at once\n"


def test_json_is_one_object() -> None:
    out, err = io.StringIO(), io.StringIO()
    output = JsonOutput(out, err)
    for each in TURN:
        output.show(each)
    output.finish(ended("the answer"))
    assert json.loads(out.getvalue()) == {
        "text": "the answer",
        "session_id": "ses_1",
        "outcome": "completed",
        "usage": {
            "prompt_tokens": 1500,
            "completion_tokens": 20,
            "total_tokens": 1520,
            "cache_read_tokens": 0,
            "cache_write_tokens": 0,
            "reasoning_tokens": 0,
        },
        "cost_usd": 0.25,
    }


def test_stream_json_is_json_on_every_line_and_ends_with_the_result() -> None:
    out = io.StringIO()
    output = StreamJsonOutput(out, io.StringIO())
    for each in TURN:
        output.show(each)
    output.show(record(e.TextStreamed(step=1, text="a\u2028b\nc")))
    output.finish(ended("the answer"))
    lines = [json.loads(line) for line in out.getvalue().split("\n")[:-1]]
    assert len(lines) == len(TURN) + 2
    assert [Record.from_json(line) for line in lines[: len(TURN)]] == TURN
    assert lines[-1]["kind"] == "result"
    assert lines[-1]["text"] == "the answer"


@pytest.mark.parametrize("error", ["the stack\nis deep", ""])
def test_a_turn_that_failed_says_why_on_stderr(error: str) -> None:
    out, err = io.StringIO(), io.StringIO()
    TextOutput(out, err).finish(ended("", "failed", error))
    assert out.getvalue() == ""
    assert "failed: " in err.getvalue().splitlines()[0]


def test_colours_are_for_terminals_without_no_color(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    err = Terminal()
    TextOutput(io.StringIO(), err).finish(ended("x"))
    assert "\x1b[" in err.getvalue()
    monkeypatch.setenv("NO_COLOR", "1")
    err = Terminal()
    TextOutput(io.StringIO(), err).finish(ended("x"))
    assert "\x1b[" not in err.getvalue()


async def test_a_terminal_counts_down_to_the_next_try_and_the_line_is_cleared() -> None:
    err = Terminal()
    output = TextOutput(io.StringIO(), err)
    output.show(record(e.Retrying(step=0, attempt=1, next_in_s=30, reason="busy")))
    assert err.getvalue().endswith("\r\x1b[K  again in 30 s")
    output.show(record(e.TextStreamed(step=0, text="x")))
    assert err.getvalue().endswith("\r\x1b[K")


def test_off_a_terminal_nothing_is_counted() -> None:
    err = io.StringIO()
    TextOutput(io.StringIO(), err).show(
        record(e.Retrying(step=0, attempt=1, next_in_s=30, reason="busy"))
    )
    assert err.getvalue() == "retry 1 in 30 s: busy\n"


def test_the_lines_of_a_difference_stay_lines() -> None:
    err = io.StringIO()
    error = "it departs:\n--- recorded\n+++ asked\n-  \x1b[31mone\n+  two"
    TextOutput(io.StringIO(), err).finish(ended("", "failed", error))
    told = ["failed: it departs:", "--- recorded", "+++ asked", "- [31mone", "+ two"]
    assert err.getvalue().splitlines()[:5] == told


def test_a_cancelled_turn_is_not_told_twice() -> None:
    err = io.StringIO()
    TextOutput(io.StringIO(), err).finish(ended("", "cancelled", "cancelled"))
    assert err.getvalue().startswith("cancelled · ")


async def test_a_wait_for_a_quota_is_shown_and_counted_down_on_a_terminal() -> None:
    err = Terminal()
    output = TextOutput(io.StringIO(), err)
    output.show(record(e.Queued(reason="the provider's quota", next_in_s=185.0)))
    assert "waiting 3 min 05 s for the provider's quota" in err.getvalue()
    assert err.getvalue().endswith("\r\x1b[K  again in 3 min 05 s")
    output.show(record(e.ModelRequested(step=0, attempt=0, model="m", digest="", messages=1)))
    assert err.getvalue().endswith("\r\x1b[K")
