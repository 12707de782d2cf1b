"""The scripted model server: what tests and benches stand on."""

import asyncio
import json
import sys
from pathlib import Path

import aiohttp
import pytest

from codetether_ray.testing.model_server import (
    ModelCall,
    ModelServer,
    Reply,
    call,
    fail,
    say,
    script_of,
    spoil,
)

CHAT = {
    "model": "m",
    "stream": True,
    "messages": [
        {"role": "system", "content": "be brief"},
        {"role": "user", "content": "look"},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {"id": "c1", "function": {"name": "read_file", "arguments": '{"path":"a"}'}}
            ],
        },
        {"role": "tool", "tool_call_id": "c1", "content": "text of a"},
    ],
    "tools": [{"type": "function", "function": {"name": "read_file", "parameters": {}}}],
}
MESSAGES = {
    "model": "m",
    "stream": True,
    "max_tokens": 10,
    "system": [{"type": "text", "text": "be brief"}],
    "messages": [
        {"role": "user", "content": "look"},
        {
            "role": "assistant",
            "content": [
                {"type": "tool_use", "id": "c1", "name": "read_file", "input": {"path": "a"}}
            ],
        },
        {
            "role": "user",
            "content": [{"type": "tool_result", "tool_use_id": "c1", "content": "text of a"}],
        },
    ],
    "tools": [{"name": "read_file", "input_schema": {}}],
}


async def _post(server: ModelServer, path: str, body: object) -> tuple[int, str]:
    async with (
        aiohttp.ClientSession() as session,
        session.post(server.root + path, json=body) as answer,
    ):
        return answer.status, await answer.text()


@pytest.mark.parametrize(
    ("path", "body"), [("/v1/chat/completions", CHAT), ("/v1/messages", MESSAGES)]
)
async def test_a_script_reads_the_same_conversation_from_either_wire_format(
    path: str, body: object
) -> None:
    seen: list[ModelCall] = []

    def script(asked: ModelCall) -> Reply:
        seen.append(asked)
        return say("fine")

    async with ModelServer(script) as server:
        status, text = await _post(server, path, body)
    asked = seen[0]
    assert status == 200
    assert "fine" in text
    assert asked.system == "be brief"
    assert asked.tools == ("read_file",)
    assert [m.role for m in asked.messages] == ["user", "assistant", "tool"]
    assert json.loads(asked.messages[1].tool_calls[0].arguments) == {"path": "a"}
    assert (asked.last_results[0].name, asked.last_results[0].content) == ("read_file", "text of a")
    assert (asked.first_user_text, asked.step, asked.step_in_turn) == ("look", 1, 1)
    assert server.by_agent == {"look": 1}


@pytest.mark.parametrize(
    ("path", "body", "complaint"),
    [
        ("/v1/chat/completions", {**CHAT, "messages": CHAT["messages"][:3]}, "no response"),
        ("/v1/chat/completions", {**CHAT, "messages": CHAT["messages"][3:]}, "must answer"),
        ("/v1/messages", {**MESSAGES, "messages": MESSAGES["messages"][:2]}, "tool_result"),
        ("/v1/messages", {**MESSAGES, "messages": MESSAGES["messages"][2:]}, "tool_result"),
        ("/v1/messages", {**MESSAGES, "messages": MESSAGES["messages"][:1] * 2}, "alternate"),
    ],
)
async def test_a_conversation_that_a_vendor_would_refuse_is_refused(
    path: str, body: object, complaint: str
) -> None:
    async with ModelServer(script_of(say("no"))) as server:
        status, text = await _post(server, path, body)
    assert status == 400
    assert complaint in text
    assert server.refused
    assert not server.requests


async def test_faults_show_on_the_wire() -> None:
    script = script_of(
        fail(429, "slow down", retry_after_s=2),
        spoil(say("hello"), "error_body", message="odd"),
        spoil(say("hello"), "truncate", after=2),
        spoil(call("t", a=1), "unterminated"),
        say("again"),
    )
    async with ModelServer(script) as server:
        answers = [await _post(server, "/v1/chat/completions", CHAT) for _ in range(5)]
    assert answers[0][0] == 429
    assert answers[1] == (
        200,
        '{"error":{"type":"overloaded_error","message":"odd","code":"overloaded_error"}}',
    )
    assert not answers[2][1].endswith("\n")
    assert "DONE" not in answers[3][1]
    assert 'finish_reason":"' not in answers[3][1]
    assert answers[4][1].endswith("data: [DONE]\n\n")


async def test_a_dropped_connection_is_seen_as_one() -> None:
    async with ModelServer(script_of(spoil(say("hello"), "drop"))) as server:
        with pytest.raises(aiohttp.ClientError):
            await _post(server, "/v1/chat/completions", CHAT)


async def test_it_runs_as_a_process_and_tells_its_url(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "from codetether_ray.testing.model_server import say\n"
        "async def reply(asked):\n"
        "    return say('hello ' + asked.last_user_text)\n"
    )
    command = ["-m", "codetether_ray.testing.model_server", "--script", str(script)]
    process = await asyncio.create_subprocess_exec(
        sys.executable, *command, stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        url = json.loads(await process.stdout.readline())["url"]
        async with (
            aiohttp.ClientSession() as session,
            session.post(url + "/chat/completions", json=CHAT) as answer,
        ):
            assert "hello look" in await answer.text()
    finally:
        process.terminate()
        await process.wait()
