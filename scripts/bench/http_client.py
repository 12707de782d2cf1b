"""HTTP clients for streamed model turns: aiohttp against httpx2, and what our client adds.

A local server in another process streams one recorded turn (a prefix of about 4,000 tokens goes
up; 12 events come down). Each case makes the same turns on one process-wide client, parsing events
and JSON, `--at-once` turns together. CPU is this process's own. Prints one JSON line per case:
`ours` is milliseconds of CPU per turn, `against` httpx2's, `ratio` ours over against.
"""

import argparse
import asyncio
import contextlib
import gc
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from codetether_ray.core.messages import ToolCall, ToolResult, assistant, tool_results, user
from codetether_ray.core.models import ModelRequest, ToolSchema
from codetether_ray.local.clock import SystemClock
from codetether_ray.providers.http import HttpClient
from codetether_ray.providers.registry import open_provider, parse_model
from codetether_ray.providers.sse import SseParser

_SERVER = """
import asyncio, sys
EVENTS = b"".join(
    b'data: {"id":"c","object":"chat.completion.chunk","model":"m","choices":[{"index":0,'
    b'"delta":%s,"finish_reason":null}]}\\n\\n' % delta
    for delta in [b'{"role":"assistant","content":""}']
    + [b'{"content":"some words of an answer "}'] * 4
    + [b'{"tool_calls":[{"index":0,"id":"c1","type":"function",'
       b'"function":{"name":"read_file","arguments":""}}]}']
    + [b'{"tool_calls":[{"index":0,"function":{"arguments":%s}}]}' % a
       for a in (b'"{\\\\"path"', b'"\\\\":\\\\"src/a.py"', b'"\\\\"}"')]
) + (
    b'data: {"id":"c","choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]}\\n\\n'
    b'data: {"id":"c","choices":[],"usage":{"prompt_tokens":4100,"completion_tokens":40}}\\n\\n'
    b'data: [DONE]\\n\\n'
)
CHUNK = b"%x\\r\\n%s\\r\\n0\\r\\n\\r\\n" % (len(EVENTS), EVENTS)
ANSWER = (
    b"HTTP/1.1 200 OK\\r\\nContent-Type: text/event-stream\\r\\n"
    b"Transfer-Encoding: chunked\\r\\n\\r\\n" + CHUNK
)

async def serve(reader, writer):
    try:
        while True:
            head = await reader.readuntil(b"\\r\\n\\r\\n")
            length = int(head.lower().split(b"content-length:")[1].split(b"\\r\\n")[0])
            await reader.readexactly(length)
            writer.write(ANSWER)
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()

async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", 0, limit=1 << 20, backlog=512)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()

asyncio.run(main())
"""
_HEADERS = {"Content-Type": "application/json", "Authorization": "Bearer none"}

Turn = Callable[[], Awaitable[None]]


def _request() -> ModelRequest:
    """A third turn: about 4,000 tokens of prefix and a short conversation."""
    schema: dict[str, Any] = {
        "type": "object",
        "properties": {
            f"field_{n}": {"type": "string", "description": "What it is for. " * 3}
            for n in range(4)
        },
    }
    tools = tuple(
        ToolSchema(name=f"tool_{n}", description="Does one thing. " * 8, parameters=schema)
        for n in range(14)
    )
    call = ToolCall(id="c1", name="tool_1", arguments='{"field_1": "src/a.py"}')
    result = ToolResult(call_id="c1", name="tool_1", content="a line of a file\n" * 60)
    return ModelRequest(
        model="m",
        system="You work in a repository. " * 240,
        messages=(user("Mend the tests."), assistant("I look.", call), tool_results(result)),
        tools=tools,
    )


def _read(parser: SseParser, chunk: bytes) -> None:
    for event in parser.feed(chunk):
        if event.data != "[DONE]":
            json.loads(event.data)


async def _aiohttp(url: str, body: bytes, stack: contextlib.AsyncExitStack) -> Turn:
    import aiohttp

    session = await stack.enter_async_context(
        aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0), cookie_jar=aiohttp.DummyCookieJar()
        )
    )

    async def turn() -> None:
        parser = SseParser()
        async with session.post(url, data=body, headers=_HEADERS) as response:
            async for chunk in response.content.iter_any():
                _read(parser, chunk)

    return turn


async def _httpx2(url: str, body: bytes, stack: contextlib.AsyncExitStack) -> Turn:
    import httpx2

    limits = httpx2.Limits(max_connections=None, max_keepalive_connections=None)
    client = await stack.enter_async_context(httpx2.AsyncClient(limits=limits, timeout=120))

    async def turn() -> None:
        parser = SseParser()
        async with client.stream("POST", url, content=body, headers=_HEADERS) as response:
            async for chunk in response.aiter_raw():
                _read(parser, chunk)

    return turn


async def _ours(url: str, _: bytes, stack: contextlib.AsyncExitStack) -> Turn:
    http = HttpClient()
    stack.push_async_callback(http.aclose)
    provider = open_provider(
        parse_model("local/m"),
        secret=None,
        http=http,
        clock=SystemClock(),
        base_url=url.removesuffix("/chat/completions"),
    )
    request = _request()

    async def turn() -> None:
        async for _event in provider.stream(request):
            pass

    return turn


async def _measure(turn: Turn, turns: int, at_once: int) -> float:
    """Milliseconds of CPU per turn."""
    gc.collect()
    started = time.process_time()
    for _ in range(turns // at_once):
        await asyncio.gather(*(turn() for _ in range(at_once)))
    return (time.process_time() - started) * 1000 / (turns // at_once * at_once)


async def _compare(url: str, options: argparse.Namespace, at_once: int) -> None:
    body = _body()
    makers = {"aiohttp": _aiohttp, "provider": _ours, "httpx2": _httpx2}
    async with contextlib.AsyncExitStack() as stack:
        turns = {name: await make(url, body, stack) for name, make in makers.items()}
        found: dict[str, list[float]] = {name: [] for name in turns}
        for turn in turns.values():
            await _measure(turn, at_once * 3, at_once)
        for _ in range(options.rounds):
            for name, turn in turns.items():
                found[name].append(await _measure(turn, options.turns, at_once))
    against = statistics.median(found["httpx2"])
    for name in ("aiohttp", "provider"):
        _say(f"{name}, {at_once} at once", statistics.median(found[name]), against)


def _body() -> bytes:
    from codetether_ray.providers.openai import OpenAIWire
    from codetether_ray.providers.profiles import PROFILES

    return OpenAIWire(PROFILES["local"]).encode(_request())


def _say(case: str, ours: float, against: float, unit: str = "ms CPU per turn") -> None:
    line = {
        "bench": "http_client",
        "case": case,
        "unit": unit,
        "ours": round(ours, 3),
        "against": round(against, 3),
        "ratio": round(ours / against, 3),
    }
    print(json.dumps(line), flush=True)


_FIRST_USE = {
    "aiohttp": "async def use():\n    import aiohttp\n    await aiohttp.ClientSession().close()",
    "httpx2": "async def use():\n    import httpx2\n    await httpx2.AsyncClient().aclose()",
}


def _first_use(library: str) -> tuple[float, float]:
    """CPU seconds and MB that importing a library and making a client costs a process."""
    code = (
        f"import asyncio, psutil, time\n{_FIRST_USE[library]}\n"
        "asyncio.run(asyncio.sleep(0))\nrss = lambda: psutil.Process().memory_info().rss\n"
        "t, m = time.process_time(), rss()\nasyncio.run(use())\n"
        "print(time.process_time() - t, (rss() - m) / 1e6)"
    )
    runs = [
        subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout.split()
        for _ in range(5)
    ]
    return min(float(run[0]) for run in runs), statistics.median(float(run[1]) for run in runs)


def main() -> None:
    """Run all cases."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int, default=400, help="turns per round and case")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--at-once", type=int, default=20)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "server.py"
        script.write_text(_SERVER)
        server = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True)
        try:
            assert server.stdout is not None
            url = f"http://127.0.0.1:{int(server.stdout.readline())}/v1/chat/completions"
            for at_once in (1, options.at_once):
                asyncio.run(_compare(url, options, at_once))
        finally:
            server.terminate()
            server.wait()
    ours, against = _first_use("aiohttp"), _first_use("httpx2")
    _say("first use", ours[0] * 1000, against[0] * 1000, unit="ms CPU per process")
    _say("first use, memory", ours[1], against[1], unit="MB per process")


if __name__ == "__main__":
    main()
