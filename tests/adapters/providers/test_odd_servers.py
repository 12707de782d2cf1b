"""Imitations of chat completions, each with its own idea of the format."""

import json
from typing import Any

import pytest

from codetether_ray.core.errors import (
    CodetetherError,
    ConnectionLostError,
    CredentialsError,
    MalformedResponseError,
    ModelRefusedError,
    ModelUnavailableError,
    QuotaSpentError,
)
from codetether_ray.core.messages import Reasoning, Text, ToolCall
from codetether_ray.core.models import ModelResponse
from codetether_ray.core.usage import Usage
from codetether_ray.providers.failures import failure, failure_in_body
from codetether_ray.providers.openai import OpenAIAssembler
from codetether_ray.providers.sse import SseEvent
from tests.adapters.providers.asking import request


def _assembled(*chunks: dict[str, Any] | str) -> ModelResponse:
    assembler = OpenAIAssembler("odd", request(step=3), 4_000)
    for chunk in chunks:
        data = chunk if isinstance(chunk, str) else json.dumps(chunk)
        assert list(assembler.feed(SseEvent("message", data))) is not None
    return assembler.response()


def _delta(finish: str | None = None, **delta: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}


def test_usage_may_come_within_a_choice() -> None:
    last = _delta("stop")
    last["choices"][0]["usage"] = {
        "prompt_tokens": 9,
        "completion_tokens": 2,
        "cached_tokens": 4,
    }
    response = _assembled(_delta(content="x"), last, "[DONE]")
    assert response.usage == Usage(prompt_tokens=9, completion_tokens=2, cache_read_tokens=4)


def test_a_server_that_counts_nothing_is_counted_for() -> None:
    response = _assembled(_delta(content="x" * 40), _delta("stop"), "[DONE]")
    assert response.usage == Usage(prompt_tokens=1000, completion_tokens=10)


def test_a_cost_that_the_vendor_states_is_believed() -> None:
    usage = {"prompt_tokens": 1, "completion_tokens": 1, "cost": 0.125}
    response = _assembled(_delta("stop", content="x"), {"choices": [], "usage": usage}, "[DONE]")
    assert response.cost_usd == 0.125


def test_calls_without_numbers_ids_or_reason_are_told_apart() -> None:
    first = [{"id": "a", "function": {"name": "one", "arguments": {"n": 1}}}]
    second = [{"id": "b", "function": {"name": "two", "arguments": '{"n"'}}]
    rest = [{"function": {"arguments": ": 2}"}}]
    response = _assembled(
        _delta(tool_calls=first), _delta(tool_calls=second), _delta("stop", tool_calls=rest)
    )
    assert response.message.parts == (
        ToolCall(id="a", name="one", arguments='{"n":1}'),
        ToolCall(id="b", name="two", arguments='{"n": 2}'),
    )
    assert response.finish_reason == "tool_calls"


def test_a_call_without_an_id_gets_one_of_its_step() -> None:
    calls = [{"index": 1, "function": {"name": "one", "arguments": "{}"}}]
    (call,) = _assembled(_delta("tool_calls", tool_calls=calls)).message.tool_calls
    assert call.id == "call_3_1"


def test_pieces_of_reasoning_details_are_joined_and_kept() -> None:
    kind = {"type": "reasoning.text", "index": 0}
    response = _assembled(
        _delta(reasoning="he", reasoning_details=[{**kind, "text": "he"}]),
        _delta(reasoning="llo", reasoning_details=[{**kind, "text": "llo"}]),
        _delta(reasoning_details=[{**kind, "signature": "c2ln"}]),
        _delta("stop", content="x"),
    )
    thought = response.message.parts[0]
    assert isinstance(thought, Reasoning)
    assert thought.text == "hello"
    assert json.loads(thought.opaque or "") == {
        "reasoning_details": [{**kind, "text": "hello", "signature": "c2ln"}]
    }


def test_a_refusal_is_text_that_was_filtered() -> None:
    response = _assembled(_delta(refusal="no"), "[DONE]")
    assert (response.message.parts, response.finish_reason) == (
        (Text(text="no"),),
        "content_filter",
    )


@pytest.mark.parametrize(
    ("chunk", "error"),
    [
        ("[DONE]", MalformedResponseError),
        ("[1]", MalformedResponseError),
        ("{", MalformedResponseError),
        (_delta("network_error"), ConnectionLostError),
        ({"error": {"message": "busy", "code": 503}}, ModelUnavailableError),
    ],
)
def test_what_is_no_answer_is_an_error(
    chunk: dict[str, Any] | str, error: type[CodetetherError]
) -> None:
    with pytest.raises(error):
        _assembled(_delta(content="x"), chunk)


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ({"error": {"code": "1302", "message": "High concurrency"}}, ModelUnavailableError),
        ({"error": {"code": "1113", "message": "in arrears"}}, QuotaSpentError),
        ({"error": {"code": "1310", "message": "Weekly/Monthly Limit Exhausted"}}, QuotaSpentError),
        ({"error": {"code": "1001", "message": "no token"}}, CredentialsError),
        ({"error": {"code": 429, "message": "slow"}}, ModelUnavailableError),
        ({"error": "what?"}, MalformedResponseError),
        (
            {"type": "error", "error": {"type": "not_found_error", "message": "m"}},
            ModelRefusedError,
        ),
    ],
)
def test_an_error_under_status_200_is_told_by_its_type_or_code(
    body: dict[str, Any], error: type[CodetetherError]
) -> None:
    assert type(failure_in_body("odd", body)) is error


@pytest.mark.parametrize(
    "body", [b"", b"plain words", b'{"detail": "plain words"}', b'"plain words"', b"\xff\xfe"]
)
def test_an_error_body_may_be_anything(body: bytes) -> None:
    error = failure("odd", 500, {}, body, 0.0)
    assert isinstance(error, ModelUnavailableError)
    assert str(error).startswith("odd answered 500: ")
