"""Tiny applications behind the real gate, on real loopback sockets; tokens in a real directory."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import uvicorn

from codetether_ray.bootstrap.truth.address import Address
from codetether_ray.bootstrap.truth.place import truth_here
from codetether_ray.bootstrap.truth.reach import Reach
from codetether_ray.core.principals import Principal
from codetether_ray.ingress.callers import CALLER
from codetether_ray.ingress.gate import Gate, GateInterceptor, GateMiddleware, open_gate
from codetether_ray.ingress.options import IngressOptions
from codetether_ray.stores.tokens import FileTokens

SEND, GET = "/lf.a2a.v1.A2AService/SendMessage", "/lf.a2a.v1.A2AService/GetTask"
STREAM = "/lf.a2a.v1.A2AService/SendStreamingMessage"
CHAT = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"
FORGOTTEN = "/some.Service/NobodyWroteDown"


@dataclass
class Door:
    """An application behind the gate, and what reached it."""

    gate: Gate
    data_dir: Path
    url: str = ""
    target: str = ""
    reached: list[tuple[str, Principal | None]] = field(default_factory=list)

    @property
    def token(self) -> str:
        return FileTokens(self.data_dir).make_server_token().read_text().strip()

    async def app(self, scope: Any, receive: Any, send: Any) -> None:
        self.reached.append((f"{scope.get('method')} {scope['path']}", CALLER.get(None)))
        await send({"type": "http.response.start", "status": 200, "headers": []})
        if scope["path"].endswith("/endless"):
            await self._go_on(receive, send, is_quiet="/quiet/" in scope["path"])
        await send({"type": "http.response.body", "body": b"inside"})

    async def _wait(self, send: Any) -> None:
        """Send one piece, and no more."""
        await send({"type": "http.response.body", "body": b"piece", "more_body": True})
        try:
            await asyncio.Event().wait()
        finally:
            self.reached.append(("gone", None))

    async def _go_on(self, receive: Any, send: Any, *, is_quiet: bool) -> None:
        """Send a piece now and then, until the client is gone."""
        await receive()
        if is_quiet:
            await self._wait(send)
        gone = asyncio.create_task(receive())
        try:
            while not gone.done():
                await send({"type": "http.response.body", "body": b"piece", "more_body": True})
                await asyncio.wait({gone}, timeout=0.05)
        finally:
            gone.cancel()
            self.reached.append(("gone", None))


@asynccontextmanager
async def opened_gate(data_dir: Path, **options: Any) -> AsyncIterator[Gate]:
    reach = Reach(address=Address(), truth=truth_here(data_dir))
    gate = await open_gate(IngressOptions(data_dir=str(data_dir), **options), reach)
    try:
        yield gate
    finally:
        await gate.close()


@asynccontextmanager
async def http_door(data_dir: Path, **options: Any) -> AsyncIterator[Door]:
    async with opened_gate(data_dir, **options) as gate:
        door = Door(gate, data_dir)
        config = uvicorn.Config(
            GateMiddleware(door.app, gate), log_level="critical", lifespan="off", ws="none"
        )
        listening = socket.socket()
        listening.bind(("127.0.0.1", 0))
        door.url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        server = uvicorn.Server(config)
        serving = asyncio.create_task(server.serve([listening]))
        while not server.started:
            await asyncio.sleep(0.01)
        try:
            yield door
        finally:
            server.should_exit = True
            await serving
            listening.close()


class _Handlers(grpc.GenericRpcHandler):
    def __init__(self, door: Door) -> None:
        async def unary(request: bytes, _: Any) -> bytes:
            door.reached.append(("unary", CALLER.get(None)))
            return request

        async def stream(request: bytes, _: Any) -> AsyncIterator[bytes]:
            door.reached.append(("stream", CALLER.get(None)))
            for _n in range(100_000 if request == b"endless" else 3):
                yield request
                await asyncio.sleep(0.01)
                if request == b"quiet":
                    try:
                        await asyncio.Event().wait()
                    finally:
                        door.reached.append(("gone", None))

        async def chat(requests: Any, _: Any) -> AsyncIterator[bytes]:
            door.reached.append(("chat", CALLER.get(None)))
            async for request in requests:
                yield request

        async def fails(request: bytes, context: Any) -> bytes:
            await context.abort(grpc.StatusCode.NOT_FOUND, "no such task")

        self._of = {
            SEND: grpc.unary_unary_rpc_method_handler(unary),
            GET: grpc.unary_unary_rpc_method_handler(fails),
            FORGOTTEN: grpc.unary_unary_rpc_method_handler(unary),
            STREAM: grpc.unary_stream_rpc_method_handler(stream),
            CHAT: grpc.stream_stream_rpc_method_handler(chat),
        }

    def service(self, details: grpc.HandlerCallDetails) -> Any:
        return self._of.get(details.method)


@asynccontextmanager
async def grpc_door(data_dir: Path, **options: Any) -> AsyncIterator[Door]:
    async with opened_gate(data_dir, **options) as gate:
        door = Door(gate, data_dir)
        server = grpc.aio.server(interceptors=[GateInterceptor(gate)])
        server.add_generic_rpc_handlers((_Handlers(door),))
        door.target = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
        await server.start()
        try:
            yield door
        finally:
            await server.stop(None)
