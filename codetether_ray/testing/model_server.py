"""A real HTTP server that speaks the models' wire formats, with a script for a model.

In a test:

    async with ModelServer(lambda asked: say("hello")) as server:
        ...  # server.url ends in /v1 (chat completions); server.anthropic_url has no /v1

As a process: `python -m codetether_ray.testing.model_server --script FILE.py --port 0`, where the
script defines `reply(request) -> Reply` (it may be `async`). The URL is printed once it listens.
`GET /stats` answers `{"requests": N, "by_agent": {...}, "digests": {...}}`.
"""

import argparse
import asyncio
import collections
import inspect
import json
import runpy
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Self

from aiohttp import web

from codetether_ray.testing.model_check import complaint
from codetether_ray.testing.model_frames import error_body, error_event, frames, unterminated
from codetether_ray.testing.model_reply import (
    Fault,
    Reply,
    ToolUse,
    call,
    calls,
    fail,
    say,
    spoil,
)
from codetether_ray.testing.model_request import ModelCall, Wire

__all__ = [
    "Fault",
    "ModelCall",
    "ModelServer",
    "Reply",
    "ToolUse",
    "call",
    "calls",
    "fail",
    "say",
    "script_of",
    "spoil",
]

Script = Callable[[ModelCall], Reply | Awaitable[Reply]]

_MAX_BODY_BYTES = 256 * 1024 * 1024


def script_of(*replies: Reply) -> Script:
    """A script that gives these answers in turn, whoever asks; after them, it says so and fails."""
    left = collections.deque(replies)

    def reply(_: ModelCall) -> Reply:
        return left.popleft() if left else fail(400, "the script has no more answers")

    return reply


def _first_words(call: ModelCall) -> str:
    return call.first_user_text.strip().partition("\n")[0][:80]


class ModelServer:
    """Answers `/v1/chat/completions` and `/v1/messages` as its script says, and keeps count.

    `requests` holds every request in order of arrival. Bodies that a vendor would refuse (orphan
    tool results, roles that do not alternate …) are answered 400 and kept in `refused`.
    `agent_of` tells whose request it is; by default by the first line of the first user message.
    """

    def __init__(
        self,
        script: Script,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        agent_of: Callable[[ModelCall], str] = _first_words,
        keep: bool = True,
    ) -> None:
        self._script = script
        self._host, self._port = host, port
        self._agent_of = agent_of
        self._keep = keep
        self._runner: web.AppRunner | None = None
        self._closing = asyncio.Event()
        self.requests: list[ModelCall] = []
        self.refused: list[str] = []
        self.count = 0
        self.open_answers = 0
        """Answers that are being given now."""
        self._sockets: set[object] = set()
        self.by_agent: collections.Counter[str] = collections.Counter()
        self.digests: collections.Counter[str] = collections.Counter()

    @property
    def root(self) -> str:
        """The server's address, without a path."""
        return f"http://{self._host}:{self._port}"

    @property
    def url(self) -> str:
        """Base URL for the OpenAI format."""
        return f"{self.root}/v1"

    @property
    def anthropic_url(self) -> str:
        """Base URL for the Anthropic format."""
        return self.root

    @property
    def connections(self) -> int:
        """How many connections have brought requests."""
        return len(self._sockets)

    async def start(self) -> None:
        """Listen. With port 0 the system chooses one; `url` tells."""
        app = web.Application(client_max_size=_MAX_BODY_BYTES)
        app.router.add_post("/v1/chat/completions", self._chat)
        app.router.add_post("/v1/messages", self._messages)
        app.router.add_get("/stats", self._stats)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
        await self._runner.setup()
        site = web.TCPSite(self._runner, self._host, self._port, backlog=1024)
        await site.start()
        self._port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Stop listening; stalled answers are let go."""
        self._closing.set()
        if self._runner is not None:
            await self._runner.cleanup()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        return await self._answer(request, "openai")

    async def _messages(self, request: web.Request) -> web.StreamResponse:
        return await self._answer(request, "anthropic")

    async def _stats(self, _: web.Request) -> web.Response:
        return web.json_response(
            {"requests": self.count, "by_agent": self.by_agent, "digests": self.digests}
        )

    async def _answer(self, request: web.Request, wire: Wire) -> web.StreamResponse:
        body: dict[str, Any] = await request.json()
        asked = ModelCall(wire=wire, body=body, headers=dict(request.headers), number=self.count)
        self.count += 1
        self._sockets.add(request.transport)
        refusal = complaint(wire, body)
        if refusal:
            self.refused.append(refusal)
            fault = Fault(
                kind="status", status=400, message=refusal, error_type="invalid_request_error"
            )
            return _error(asked, fault)
        self._note(asked)
        answer = self._script(asked)
        reply = await answer if inspect.isawaitable(answer) else answer
        if reply.delay_s:
            await asyncio.sleep(reply.delay_s)
        fault_now = reply.fault
        if fault_now is not None and fault_now.kind in ("status", "error_body"):
            return _error(asked, fault_now)
        self.open_answers += 1
        try:
            return await self._stream(request, asked, reply)
        finally:
            self.open_answers -= 1

    def _note(self, asked: ModelCall) -> None:
        self.by_agent[self._agent_of(asked)] += 1
        if self._keep:
            self.requests.append(asked)
            self.digests[asked.digest] += 1

    async def _stream(
        self, request: web.Request, asked: ModelCall, reply: Reply
    ) -> web.StreamResponse:
        fault = reply.fault
        events = frames(asked, reply) if fault is None else _spoilt(asked, reply, fault)
        response = web.StreamResponse(
            headers={"Content-Type": "text/event-stream", "Cache-Control": "no-cache"}
        )
        response.headers.extend(reply.headers)
        await response.prepare(request)
        await _send(response, events, reply)
        if fault is not None and fault.kind == "stall":
            await self._closing.wait()
        if fault is not None and fault.kind == "drop":
            if request.transport is not None:
                request.transport.abort()
            return response
        await response.write_eof()
        return response


def _error(asked: ModelCall, fault: Fault) -> web.Response:
    status = fault.status if fault.kind == "status" else 200
    return web.Response(
        status=status,
        body=error_body(asked, fault),
        content_type="application/json",
        headers=dict(fault.headers),
    )


def _spoilt(asked: ModelCall, reply: Reply, fault: Fault) -> list[bytes]:
    """The events that are sent before (and as) the fault happens."""
    events = frames(asked, reply)
    kept = events[: fault.after]
    if fault.kind == "unterminated":
        return unterminated(asked, reply)
    if fault.kind == "error_event":
        return [*kept, error_event(asked, fault)]
    if fault.kind == "truncate":
        broken = events[min(fault.after, len(events) - 1)]
        return [*kept, broken[: len(broken) // 2]]
    return kept


async def _send(response: web.StreamResponse, events: list[bytes], reply: Reply) -> None:
    if reply.frame_bytes:
        joined = b"".join(events)
        size = reply.frame_bytes
        events = [joined[at : at + size] for at in range(0, len(joined), size)]
    elif not reply.piece_delay_s:
        events = [b"".join(events)] if reply.fault is None else events
    for event in events:
        await response.write(event)
        await asyncio.sleep(reply.piece_delay_s)


async def _serve(options: argparse.Namespace) -> None:
    script: Script = runpy.run_path(str(options.script))["reply"]
    server = ModelServer(script, host=options.host, port=options.port, keep=not options.forget)
    async with server:
        print(json.dumps({"url": server.url, "root": server.root}), flush=True)  # noqa: T201 - its interface
        await asyncio.Event().wait()


def main() -> None:
    """Serve a script until interrupted."""
    parser = argparse.ArgumentParser(description="A scripted model server.")
    parser.add_argument("--script", type=Path, required=True, help="a file that defines reply()")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--forget", action="store_true", help="count requests, keep none")
    try:
        asyncio.run(_serve(parser.parse_args()))
    except KeyboardInterrupt:
        return


if __name__ == "__main__":
    main()
