"""The model of the peers' benchmark: three wire formats, nothing refused, one small script.

    python scripts/bench/peers_model.py        # prints its address; loopback only

Chat completions, Anthropic messages and OpenAI responses. Whoever says `FAN n` and has a tool that
starts sub-agents calls it n times at once, with `PART k` for a task; each part's answer is held
back until all have asked (or for a minute), so that all live at the same time. Everybody else is
answered "done" after DELAY_S. `GET /stats` tells when who asked; `POST /reset` forgets.
"""

import asyncio
import json
import os
import re
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

from aiohttp import web

DELAY_S = float(os.environ.get("BENCH_DELAY_S", "0.2"))
_HOLD_S = 60.0
_SETTLE_S = 2.0
"""All parts have asked: their memory is looked at for this long before they are answered."""
_SPAWNERS = ("Task", "Agent", "task", "spawn_agent")
_FAN, _PART = re.compile(r"\bFAN (\d+)\b"), re.compile(r"\bPART (\d+)\b")


class Script:
    """What has been asked so far, and what is answered."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Begin anew."""
        self.requests = 0
        self.fanned_at = 0.0
        self.wanted = 0
        self.parts: dict[str, float] = {}
        self.all_asked = asyncio.Event()
        self.tools: set[str] = set()
        self.firsts: list[float] = []

    def stats(self) -> dict[str, Any]:
        """Times in seconds of this machine's monotonic clock, which all processes share."""
        return {
            "requests": self.requests,
            "fanned_at": self.fanned_at,
            "parts": sorted(self.parts.values()),
            "tools": sorted(self.tools),
            "firsts": self.firsts,
        }

    async def answer(self, said: str, tools: list[dict[str, Any]], steps: int) -> list[Any]:
        """`[text, calls]` for a conversation: what its user said, its tools, answers so far."""
        self.requests += 1
        self.firsts.append(time.monotonic())
        self.tools |= {tool["name"] for tool in tools}
        part, fan = _PART.search(said), _FAN.search(said)
        if fan and tools:
            return await self._fanned(int(fan[1]), tools, steps)
        if part:
            await self._held(part[1])
        else:
            await asyncio.sleep(DELAY_S)
        return ["done", []]

    async def _fanned(self, count: int, tools: list[dict[str, Any]], steps: int) -> list[Any]:
        tool = next((t for t in tools if t["name"] in _SPAWNERS), None)
        if tool is None or steps:
            if tool is not None and tool["name"] == "spawn_agent":  # it does not wait by itself
                await self._until_all_asked()
                await asyncio.sleep(_SETTLE_S)
            return ["done", []]
        self.wanted, self.fanned_at = count, time.monotonic()
        return ["", [(tool["name"], _arguments(tool, k)) for k in range(count)]]

    async def _held(self, part: str) -> None:
        if part not in self.parts:
            self.parts[part] = time.monotonic()
        if self.wanted and len(self.parts) >= self.wanted:
            self.all_asked.set()
        await self._until_all_asked()
        await asyncio.sleep(_SETTLE_S)

    async def _until_all_asked(self) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self.all_asked.wait(), _HOLD_S)


def _arguments(tool: dict[str, Any], k: int) -> dict[str, Any]:
    """Something for every argument that a sub-agent tool asks for."""
    properties, needed = tool["schema"].get("properties", {}), tool["schema"].get("required", [])
    words = f"PART {k}: look at part {k} and answer with one word."
    given: dict[str, Any] = {}
    for name in properties:
        if name in ("prompt", "message"):
            given[name] = words
        elif name in ("description", "task_name", "name"):
            given[name] = f"part_{k}"
        elif name == "subagent_type":
            given[name] = "general" if tool["name"] == "task" else "general-purpose"
        elif name == "run_in_background":
            given[name] = False
        elif name in needed:
            given[name] = (properties[name].get("enum") or ["default"])[0]
    return given


SCRIPT: Script


async def _chat(request: web.Request) -> web.StreamResponse:
    body = await request.json()
    said = " ".join(_words(m["content"]) for m in body["messages"] if m["role"] == "user")
    steps = sum(m["role"] == "assistant" for m in body["messages"])
    tools = [
        {"name": t["function"]["name"], "schema": t["function"].get("parameters", {})}
        for t in body.get("tools", ())
    ]
    text, calls = await SCRIPT.answer(said, tools, steps)
    return await _stream(request, _chat_events(text, calls))


async def _chat_events(text: str, calls: list[Any]) -> AsyncIterator[tuple[str, Any]]:
    head = {"id": "c", "object": "chat.completion.chunk", "created": 0, "model": "m"}

    def chunk(delta: dict[str, Any], finish: str | None = None) -> tuple[str, Any]:
        return "", {**head, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}

    yield chunk({"role": "assistant", "content": text})
    for index, (name, arguments) in enumerate(calls):
        function = {"name": name, "arguments": json.dumps(arguments)}
        use = {"index": index, "id": f"call_{index}", "type": "function", "function": function}
        yield chunk({"tool_calls": [use]})
    yield chunk({}, "tool_calls" if calls else "stop")
    usage = {"prompt_tokens": 10, "completion_tokens": 10, "total_tokens": 20}
    yield "", {**head, "choices": [], "usage": usage}
    yield "", "[DONE]"


async def _messages(request: web.Request) -> web.StreamResponse:
    body = await request.json()
    said = " ".join(_words(m["content"]) for m in body["messages"] if m["role"] == "user")
    steps = sum(m["role"] == "assistant" for m in body["messages"])
    tools = [
        {"name": t["name"], "schema": t.get("input_schema", {})} for t in body.get("tools", ())
    ]
    text, calls = await SCRIPT.answer(said, tools, steps)
    if not body.get("stream"):
        return web.json_response(_message(text))
    return await _stream(request, _message_events(text, calls))


def _message(text: str) -> dict[str, Any]:
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "m",
        "content": [{"type": "text", "text": text}] if text else [],
        "stop_reason": "end_turn" if text else None,
        "stop_sequence": None,
        "usage": {"input_tokens": 10, "output_tokens": 1},
    }


async def _message_events(text: str, calls: list[Any]) -> AsyncIterator[tuple[str, Any]]:
    yield "message_start", {"type": "message_start", "message": _message("")}
    blocks = [({"type": "text", "text": ""}, {"type": "text_delta", "text": text})] if text else []
    for index, (name, arguments) in enumerate(calls):
        use = {"type": "tool_use", "id": f"toolu_{index}", "name": name, "input": {}}
        blocks.append((use, {"type": "input_json_delta", "partial_json": json.dumps(arguments)}))
    for index, (block, delta) in enumerate(blocks):
        kind = "content_block_start"
        yield kind, {"type": kind, "index": index, "content_block": block}
        kind = "content_block_delta"
        yield kind, {"type": kind, "index": index, "delta": delta}
        yield "content_block_stop", {"type": "content_block_stop", "index": index}
    why = {"stop_reason": "tool_use" if calls else "end_turn", "stop_sequence": None}
    yield "message_delta", {"type": "message_delta", "delta": why, "usage": {"output_tokens": 9}}
    yield "message_stop", {"type": "message_stop"}


async def _responses(request: web.Request) -> web.StreamResponse:
    body = await request.json()
    items = body["input"] if isinstance(body["input"], list) else []
    said = " ".join(_words(i["content"]) for i in items if i.get("role") == "user")
    said += " ".join(_words(i["content"]) for i in items if i.get("type") == "agent_message")
    steps = sum(i.get("type") == "function_call_output" for i in items)
    tools = [
        {**inner, "space": tool["name"] if tool["type"] == "namespace" else ""}
        for tool in body.get("tools", ())
        for inner in _functions(tool)
    ]
    text, calls = await SCRIPT.answer(said, tools, steps)
    spaces = {tool["name"]: tool["space"] for tool in tools}
    return await _stream(request, _response_events(text, calls, spaces))


def _functions(tool: dict[str, Any]) -> list[dict[str, Any]]:
    """The functions that a tool of the responses format stands for: itself, or its members."""
    listed = tool.get("tools", ()) if tool["type"] == "namespace" else (tool,)
    return [{"name": t.get("name", t["type"]), "schema": t.get("parameters") or {}} for t in listed]


async def _response_events(
    text: str, calls: list[Any], spaces: dict[str, str]
) -> AsyncIterator[tuple[str, Any]]:
    made = {"id": "resp_1", "object": "response", "status": "in_progress", "output": []}
    yield "response.created", {"type": "response.created", "response": made}
    output: list[dict[str, Any]] = []
    if text:
        content = [{"type": "output_text", "text": text, "annotations": []}]
        output.append({"type": "message", "id": "m1", "role": "assistant", "content": content})
    for index, (name, arguments) in enumerate(calls):
        use = {"type": "function_call", "id": f"fc_{index}", "call_id": f"call_{index}"}
        space = {"namespace": spaces[name]} if spaces.get(name) else {}
        output.append({**use, **space, "name": name, "arguments": json.dumps(arguments)})
    for index, item in enumerate(output):
        kind = "response.output_item.added"
        yield kind, {"type": kind, "output_index": index, "item": item}
        kind = "response.output_item.done"
        yield kind, {"type": kind, "output_index": index, "item": item}
    usage = {
        "input_tokens": 10,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": 10,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": 20,
    }
    done = {**made, "status": "completed", "output": output, "usage": usage}
    yield "response.completed", {"type": "response.completed", "response": done}


def _words(content: Any) -> str:
    if isinstance(content, str):
        return content
    return " ".join(str(block.get("text", "")) for block in content or ())


async def _stream(
    request: web.Request, events: AsyncIterator[tuple[str, Any]]
) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    with suppress(ConnectionError):  # whoever asked may be gone
        await response.prepare(request)
        async for kind, data in events:
            text = data if isinstance(data, str) else json.dumps(data)
            head = f"event: {kind}\n" if kind else ""
            await response.write(f"{head}data: {text}\n\n".encode())
        await response.write_eof()
    return response


async def _stats(_: web.Request) -> web.Response:
    return web.json_response(SCRIPT.stats())


async def _reset(_: web.Request) -> web.Response:
    SCRIPT.forget()
    return web.json_response({})


async def _models(_: web.Request) -> web.Response:
    return web.json_response({"object": "list", "data": [], "models": []})


async def _nothing(_: web.Request) -> web.Response:
    return web.json_response({})


async def _count(_: web.Request) -> web.Response:
    return web.json_response({"input_tokens": 10})


async def _serve() -> None:
    global SCRIPT
    SCRIPT = Script()
    app = web.Application(client_max_size=1 << 28)
    app.router.add_post("/v1/chat/completions", _chat)
    app.router.add_post("/v1/messages", _messages)
    app.router.add_post("/v1/messages/count_tokens", _count)
    app.router.add_post("/v1/responses", _responses)
    app.router.add_get("/v1/models", _models)
    app.router.add_get("/stats", _stats)
    app.router.add_post("/reset", _reset)
    app.router.add_route("*", "/{rest:.*}", _nothing)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", int(os.environ.get("BENCH_PORT", "0"))).start()
    print(json.dumps({"root": f"http://127.0.0.1:{runner.addresses[0][1]}"}), flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_serve())
