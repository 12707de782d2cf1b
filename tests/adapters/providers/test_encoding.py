"""What is sent: valid for each wire format, and the same bytes for the same prefix."""

import json
from typing import Any

import pytest

from codetether_ray.core.messages import (
    File,
    Image,
    Message,
    Reasoning,
    Text,
    ToolCall,
    ToolResult,
    assistant,
    tool_results,
    user,
)
from codetether_ray.core.models import ModelRequest
from codetether_ray.providers.anthropic import AnthropicWire
from codetether_ray.providers.openai import OpenAIWire
from codetether_ray.providers.profiles import PROFILES
from codetether_ray.testing.model_check import complaint
from codetether_ray.testing.model_server import ModelServer, Reply, say, script_of
from tests.adapters.providers.asking import READ, WIRES, Connect, request, response_of

CALLS = (
    ToolCall(id="c1", name="read_file", arguments='{"path": "a"}'),
    ToolCall(id="c2", name="read_file", arguments='{"path": '),
)
RESULTS = (
    ToolResult(call_id="c1", name="read_file", content="text of a"),
    ToolResult(call_id="c2", name="read_file", content="not JSON", is_error=True),
)
STRICT: dict[str, Any] = {
    "type": "object",
    "properties": {"answer": {"type": "string"}},
    "required": ["answer"],
    "additionalProperties": False,
}
LOOSE: dict[str, Any] = {"type": "object", "properties": {"n": {"type": "number", "minimum": 1}}}

AWKWARD: dict[str, tuple[Message, ...]] = {
    "results in one message, then a user message": (
        user("go"),
        assistant("", *CALLS),
        tool_results(*RESULTS),
        user("wait"),
    ),
    "results in two messages": (
        user("go"),
        assistant("both", *CALLS),
        tool_results(RESULTS[0]),
        tool_results(RESULTS[1]),
    ),
    "two user messages in a row": (user("go"), user("on")),
    "an answer comes first": (assistant("summary"), user("go on")),
    "an empty answer": (user("go"), assistant(""), user("again")),
    "an answer of blanks": (user("go"), assistant("  \n"), user("again")),
    "thinking alone": (
        user("go"),
        Message(role="assistant", parts=(Reasoning(text="hm", opaque="{}", origin="x/y"),)),
        user("again"),
    ),
    "an empty user message": (user(""),),
    "an empty result": (
        user("go"),
        assistant("", CALLS[0]),
        tool_results(ToolResult(call_id="c1", name="read_file", content="")),
    ),
    "a lone surrogate": (user("a \udcff b"),),
}


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("case", AWKWARD)
async def test_every_conversation_is_sent_in_a_form_that_vendors_take(
    wire: str, case: str, connect: Connect
) -> None:
    async with ModelServer(script_of(say("ok"))) as server:
        await response_of(connect(wire, server), request(*AWKWARD[case]))
        assert server.refused == []


@pytest.mark.parametrize("wire", WIRES)
async def test_what_was_said_arrives_as_it_was_said(wire: str, connect: Connect) -> None:
    said = (user("go"), assistant("looking", CALLS[0]), tool_results(RESULTS[0]), user("and ø?"))
    async with ModelServer(script_of(say("ok"))) as server:
        await response_of(connect(wire, server), request(*said))
    asked = server.requests[0]
    assert asked.system == "You are terse."
    assert asked.tools == ("read_file",)
    assert asked.messages == said


@pytest.mark.parametrize("wire", WIRES)
async def test_pictures_and_files_are_sent(wire: str, connect: Connect) -> None:
    parts = (
        Text(text="what is this?"),
        Image(media_type="image/png", data="aGk="),
        Image(media_type="image/png", url="https://example.org/a.png"),
        File(name="a.txt", content="text"),
    )
    async with ModelServer(script_of(say("ok"))) as server:
        await response_of(connect(wire, server), request(Message(role="user", parts=parts)))
    got = server.requests[0].messages[0].parts
    assert got[1] == parts[1]
    assert isinstance(got[2], Image)
    assert got[2].url == "https://example.org/a.png"
    assert got[3] == Text(text='<file name="a.txt">\ntext\n</file>')


async def test_thinking_goes_back_byte_for_byte_and_only_to_its_own_model(
    connect: Connect,
) -> None:
    thought = 'a "quoted" thought\nwith ünïcode \\ and \u2028'
    reply = Reply(reasoning=thought, signature="c2ln/+==", text="so", piece=3, frame_bytes=5)
    async with ModelServer(lambda _: reply) as server:
        provider = connect("anthropic", server)
        first = await response_of(provider, request())
        later = (user("hi"), first.message, user("on"))
        await response_of(provider, request(*later))
        await response_of(provider, request(*later, model="another"))
    block = {"type": "thinking", "thinking": thought, "signature": "c2ln/+=="}
    sent = server.requests[1].body["messages"][1]["content"]
    assert sent == [block, {"type": "text", "text": "so"}]
    assert server.requests[2].body["messages"][1]["content"] == [{"type": "text", "text": "so"}]


@pytest.mark.parametrize(
    ("provider", "field"), [("moonshotai", "reasoning_content"), ("openrouter", "reasoning")]
)
async def test_thinking_in_words_goes_back_where_vendors_want_it(
    provider: str, field: str, connect: Connect
) -> None:
    async with ModelServer(lambda _: Reply(reasoning="hm", text="so")) as server:
        open_one = connect(provider, server)
        first = await response_of(open_one, request())
        await response_of(open_one, request(user("hi"), first.message, user("on")))
    assert server.requests[1].body["messages"][2][field] == "hm"


def _bodies(wire: str, *requests: ModelRequest) -> list[bytes]:
    profile = PROFILES[wire]
    made = AnthropicWire(profile) if wire == "anthropic" else OpenAIWire(profile)
    return [made.encode(each) for each in requests]


@pytest.mark.parametrize("wire", ["openai", "anthropic", "openrouter", "moonshotai", "zai"])
def test_equal_requests_are_equal_bytes_whoever_encodes_them(wire: str) -> None:
    talk = (user("go"), assistant("x", *CALLS), tool_results(*RESULTS))
    copy = tuple(Message(role=m.role, parts=m.parts) for m in talk)
    asked, again = request(*talk), request(*copy)
    bodies = [*_bodies(wire, asked, asked, again), *_bodies(wire, again)]
    assert len(set(bodies)) == 1
    assert complaint("anthropic" if wire == "anthropic" else "openai", json.loads(bodies[0])) == ""


@pytest.mark.parametrize("wire", ["openai", "zai"])
def test_a_longer_conversation_begins_with_the_bytes_of_the_shorter(wire: str) -> None:
    talk = (user("go"), assistant("x", *CALLS), tool_results(*RESULTS))
    short, long = _bodies(wire, request(*talk[:1]), request(*talk))
    messages = short[: short.index(b'],"tools":')]
    assert long.startswith(messages)
    assert long[long.index(b'],"tools":[') :] == short[short.index(b'],"tools":[') :]


def test_anthropic_marks_the_end_of_prefix_and_conversation_and_nothing_else() -> None:
    talk = (user("go"), assistant("x", CALLS[0]), tool_results(RESULTS[0]))
    for count in (1, 3):
        body = json.loads(_bodies("anthropic", request(*talk[:count]))[0])
        blocks = [b for m in body["messages"] for b in m["content"]]
        assert [bool(b.get("cache_control")) for b in blocks] == [False] * (len(blocks) - 1) + [
            True
        ]
        assert body["system"][-1]["cache_control"] == {"type": "ephemeral"}
        assert "cache_control" not in body["tools"][-1]
    bare = json.loads(_bodies("anthropic", request(system=""))[0])
    assert "system" not in bare
    assert bare["tools"][-1]["cache_control"] == {"type": "ephemeral"}


@pytest.mark.parametrize(
    ("provider", "schema", "tools", "is_native"),
    [
        ("openai", STRICT, (READ,), True),
        ("openai", LOOSE, (READ,), True),
        ("anthropic", STRICT, (READ,), True),
        ("anthropic", LOOSE, (READ,), False),
        ("zai", STRICT, (), False),
        ("local", STRICT, (), True),
        ("local", STRICT, (READ,), False),
    ],
)
def test_an_output_schema_is_asked_for_as_the_vendor_can(
    provider: str, schema: dict[str, Any], tools: tuple[Any, ...], is_native: bool
) -> None:
    asked = request(tools=tools, output_schema=schema)
    body = json.loads(_bodies(provider, asked)[0])
    field = "output_config" if provider == "anthropic" else "response_format"
    assert (field in body) == is_native
    said = json.dumps(body.get("system", body["messages"][0]))
    assert ("JSON Schema" in said) != is_native
    if provider == "openai":
        assert body[field]["json_schema"].get("strict", False) == (schema is STRICT)


@pytest.mark.parametrize(
    ("provider", "model", "field", "value"),
    [
        ("openai", "gpt-4o", "temperature", 0.5),
        ("openai", "gpt-6-sol", "temperature", None),
        ("openai", "gpt-6-sol", "reasoning_effort", "none"),
        ("openai", "gpt-4o", "reasoning_effort", None),
        ("openai", "gpt-4o", "max_completion_tokens", 8192),
        ("zai", "glm-5", "max_tokens", 8192),
        ("zai", "glm-5", "temperature", 0.5),
        ("zai", "glm-5", "tool_stream", True),
        ("moonshotai", "kimi-k2.5", "temperature", None),
        ("anthropic", "claude-sonnet-5-5", "temperature", None),
        ("anthropic", "claude-haiku-4-5", "temperature", 0.5),
        ("local", "anything", "temperature", 0.5),
    ],
)
def test_the_profile_table_says_what_each_model_is_sent(
    provider: str, model: str, field: str, value: object
) -> None:
    body = json.loads(_bodies(provider, request(model=model, temperature=0.5))[0])
    assert body.get(field) == value


async def test_rules_add_headers_for_the_models_that_need_them(connect: Connect) -> None:
    async with ModelServer(lambda _: say("ok")) as server:
        for model in ("claude-opus-5-5", "claude-haiku-4-5"):
            await response_of(connect("anthropic", server), request(model=model))
    has_beta = ["anthropic-beta" in asked.headers for asked in server.requests]
    assert has_beta == [True, False]


def test_a_body_of_many_megabytes_is_encoded_once() -> None:
    picture = Message(
        role="user", parts=(Image(media_type="image/png", data="A" * 5_000_000), Text(text="?"))
    )
    wire = OpenAIWire(PROFILES["openai"])
    first = wire.encode(request(picture))
    assert wire.encode(request(picture)) == first


async def test_a_body_of_many_megabytes_is_sent(connect: Connect) -> None:
    picture = Message(role="user", parts=(Image(media_type="image/png", data="A" * 3_000_000),))
    async with ModelServer(script_of(say("ok"))) as server:
        await response_of(connect("local", server), request(picture))
    assert server.requests[0].messages[0].parts == picture.parts
