"""Answers as they come off a real socket, in each wire format."""

import asyncio
import json

import pytest

from codetether_ray.core.codec import JsonObject
from codetether_ray.core.messages import Reasoning, Text, ToolCall
from codetether_ray.core.models import Finished, ReasoningDelta, TextDelta, ToolCallDelta
from codetether_ray.core.usage import Usage
from codetether_ray.ports.secrets import ProviderSecret
from codetether_ray.providers.http import HttpClient
from codetether_ray.providers.registry import open_provider, parse_model
from codetether_ray.testing.model_server import ModelServer, Reply, ToolUse, say, script_of
from tests.adapters.providers.asking import (
    KEY,
    WIRES,
    Connect,
    EagerClock,
    events_of,
    request,
    response_of,
)

ARGUMENTS: JsonObject = {"path": "ø/日本語.txt", "text": 'quote " and \\ and 🐙' * 5}
FULL = Reply(
    reasoning="Erst denken … 🤔 dann",
    text="Grüße, 世界! 🌍",
    calls=(ToolUse(name="read_file", arguments=ARGUMENTS), ToolUse(name="list_dir")),
    usage=Usage(
        prompt_tokens=1000, completion_tokens=50, cache_read_tokens=600, reasoning_tokens=0
    ),
)


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("frame_bytes", [0, 1, 2, 3, 7, 64])
async def test_text_thinking_and_calls_survive_any_cutting_of_the_bytes(
    wire: str, frame_bytes: int, connect: Connect
) -> None:
    reply = Reply(
        reasoning=FULL.reasoning,
        text=FULL.text,
        calls=FULL.calls,
        usage=FULL.usage,
        piece=5,
        frame_bytes=frame_bytes,
    )
    async with ModelServer(script_of(reply)) as server:
        events = await events_of(connect(wire, server), request())
    last = events[-1]
    assert isinstance(last, Finished)
    thought, text, first, second = last.response.message.parts
    assert isinstance(thought, Reasoning)
    assert isinstance(first, ToolCall)
    assert isinstance(second, ToolCall)
    assert thought.text == FULL.reasoning
    assert text == Text(text=FULL.text)
    assert (first.name, json.loads(first.arguments)) == ("read_file", ARGUMENTS)
    assert (second.name, json.loads(second.arguments)) == ("list_dir", {})
    assert first.id != second.id
    assert last.response.finish_reason == "tool_calls"
    assert "".join(e.text for e in events if isinstance(e, TextDelta)) == FULL.text
    assert "".join(e.text for e in events if isinstance(e, ReasoningDelta)) == FULL.reasoning
    deltas = [e for e in events if isinstance(e, ToolCallDelta)]
    assert len(deltas) > 4  # in pieces
    pieces = [d.arguments for d in deltas if d.index == deltas[0].index]
    assert json.loads("".join(pieces)) == ARGUMENTS


@pytest.mark.parametrize("wire", WIRES)
async def test_tokens_are_counted_with_what_the_cache_gave(wire: str, connect: Connect) -> None:
    async with ModelServer(script_of(FULL)) as server:
        response = await response_of(connect(wire, server), request())
    usage = response.usage
    assert (usage.prompt_tokens, usage.completion_tokens, usage.cache_read_tokens) == (
        1000,
        50,
        600,
    )


async def test_cache_writes_are_counted_and_priced(connect: Connect) -> None:
    usage = Usage(
        prompt_tokens=10_000,
        completion_tokens=100,
        cache_read_tokens=6_000,
        cache_write_tokens=3_000,
    )
    async with ModelServer(script_of(Reply(text="ok", usage=usage))) as server:
        provider = connect("anthropic", server, "claude-opus-5-5")
        response = await response_of(provider, request(model="claude-opus-5-5"))
    assert response.usage == usage
    dollars = (1_000 * 4 + 6_000 * 0.2 + 3_000 * 5 + 100 * 20) / 1e6
    assert response.cost_usd == pytest.approx(dollars)


async def test_a_model_of_unknown_price_has_no_cost(connect: Connect) -> None:
    async with ModelServer(script_of(say("ok"))) as server:
        assert (await response_of(connect("local", server), request())).cost_usd is None


@pytest.mark.parametrize(
    ("wire", "word", "reason"),
    [
        ("local", "length", "length"),
        ("local", "content_filter", "content_filter"),
        ("local", "eos", "stop"),
        ("anthropic", "max_tokens", "length"),
        ("anthropic", "refusal", "content_filter"),
        ("anthropic", "stop_sequence", "stop"),
    ],
)
async def test_every_ending_has_one_name(
    wire: str, word: str, reason: str, connect: Connect
) -> None:
    async with ModelServer(script_of(Reply(text="so", finish=word))) as server:
        assert (await response_of(connect(wire, server), request())).finish_reason == reason


@pytest.mark.parametrize(
    ("wire", "header", "value"),
    [("openai", "Authorization", f"Bearer {KEY}"), ("anthropic", "x-api-key", KEY)],
)
async def test_the_key_goes_into_the_vendors_header(
    wire: str, header: str, value: str, connect: Connect
) -> None:
    async with ModelServer(script_of(say("ok"))) as server:
        await response_of(connect(wire, server), request())
    assert server.requests[0].headers[header] == value


@pytest.mark.parametrize("wire", WIRES)
async def test_one_connection_serves_call_after_call(wire: str, connect: Connect) -> None:
    async with ModelServer(script_of(*[FULL] * 5)) as server:
        provider = connect(wire, server)
        for _ in range(5):
            await response_of(provider, request())
        assert server.connections == 1


@pytest.mark.parametrize("wire", WIRES)
async def test_closing_the_stream_ends_the_call_on_the_wire(wire: str, connect: Connect) -> None:
    slow = Reply(text="a" * 4000, piece=10, piece_delay_s=0.01)
    async with ModelServer(script_of(slow)) as server:
        events = connect(wire, server).stream(request())
        assert isinstance(await anext(events), TextDelta)
        await events.aclose()
        async with asyncio.timeout(60):
            while server.open_answers:
                await asyncio.sleep(0.005)


@pytest.mark.parametrize("ending", ["", "/", "/v1", "/v1/"])
async def test_a_base_url_may_end_in_the_version_or_not(
    ending: str, http: HttpClient, clock: EagerClock
) -> None:
    async with ModelServer(script_of(say("ok"))) as server:
        provider = open_provider(
            parse_model("anthropic/m"),
            secret=ProviderSecret(api_key=KEY, base_url=server.root + ending),
            http=http,
            clock=clock,
        )
        assert (await response_of(provider, request())).message.text == "ok"
