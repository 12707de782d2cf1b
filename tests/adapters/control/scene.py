"""An ingress' control plane behind the real gate, on loopback, over a data directory of its own."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import grpc
import uvicorn

from codetether_ray.bootstrap.truth.address import Address
from codetether_ray.bootstrap.truth.place import truth_here
from codetether_ray.bootstrap.truth.reach import Reach
from codetether_ray.core.errors import UnauthenticatedError
from codetether_ray.ingress.app import build_app
from codetether_ray.ingress.gate import open_gate
from codetether_ray.ingress.grpc.server import build_server
from codetether_ray.ingress.opening import close_parts
from codetether_ray.ingress.options import IngressOptions
from codetether_ray.ingress.parts import Parts
from codetether_ray.ports.tokens import NamedToken
from codetether_ray.stores.tokens import FileTokens, digest_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Plane:
    """An ingress, and clients of it."""

    url: str
    target: str
    """gRPC's."""
    data_dir: Path
    parts: Parts
    session: aiohttp.ClientSession

    @property
    def admin(self) -> str:
        """The server's own token."""
        return FileTokens(self.data_dir).make_server_token().read_text().strip()

    async def token_of(self, name: str, *roles: str, tenant: str = "") -> str:
        """A fresh token for somebody, once the gate knows it."""
        value = f"{name}-token-{'x' * 24}"
        book = FileTokens(self.data_dir)
        book.add(
            NamedToken(
                name=name,
                digest=digest_of(value),
                created_at=0.0,
                roles=roles or ("operator",),
                tenant_id=tenant,
            )
        )
        async with asyncio.timeout(60):
            while True:
                try:
                    await self.parts.gate.authenticate(f"Bearer {value}", "192.0.2.1")
                except UnauthenticatedError:
                    await asyncio.sleep(0.1)
                else:
                    return value

    def channel(self) -> grpc.aio.Channel:
        """A connection by gRPC."""
        return grpc.aio.insecure_channel(self.target)

    async def ask(self, method: str, path: str, token: str = "", **more: Any) -> tuple[int, Any]:
        """The status and the JSON of an answer."""
        headers = {"Authorization": f"Bearer {token or self.admin}", **more.pop("headers", {})}
        async with self.session.request(
            method, f"{self.url}{path}", headers=headers, **more
        ) as answer:
            return answer.status, await answer.json(content_type=None)


@asynccontextmanager
async def opened(
    data_dir: Path, reach: Reach | None = None, **options: Any
) -> AsyncIterator[Plane]:
    """An ingress on free ports of loopback, in this event loop, without A2A."""
    reach = reach or Reach(address=Address(), truth=truth_here(data_dir))
    wanted = IngressOptions(data_dir=str(data_dir), **options)
    gate = await open_gate(wanted, reach)
    parts = Parts(options=wanted, reach=reach, handler=None, gate=gate, closing=[gate.close])  # type: ignore[arg-type]
    async with AsyncExitStack() as stack:
        stack.push_async_callback(close_parts, parts)
        server = build_server(parts)
        target = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
        await server.start()
        stack.push_async_callback(server.stop, None)
        url = await stack.enter_async_context(_http(parts))
        session = await stack.enter_async_context(aiohttp.ClientSession())
        yield Plane(url=url, target=target, data_dir=data_dir, parts=parts, session=session)


@asynccontextmanager
async def _http(parts: Parts) -> AsyncIterator[str]:
    config = uvicorn.Config(build_app(parts), log_level="critical", lifespan="off", ws="none")
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve([listening]))
    while not server.started:
        await asyncio.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        server.should_exit = True
        await serving
        listening.close()


async def events(plane: Plane, path: str, token: str, last: str = "") -> list[dict[str, Any]]:
    """All server-sent events of a path, to the end of the stream."""
    headers = {"Authorization": f"Bearer {token}", "Accept": "text/event-stream"}
    if last:
        headers["Last-Event-ID"] = last
    async with plane.session.get(f"{plane.url}{path}", headers=headers) as answer:
        assert answer.status == 200, await answer.text()
        text = await answer.text()
    found = []
    for block in text.strip().split("\n\n"):
        lines = [line.partition(": ")[::2] for line in block.split("\n") if line[:1] != ":"]
        found.append(dict(lines))
    return [one for one in found if one]


def metadata(token: str) -> grpc.aio.Metadata:
    """What a gRPC client sends a token with."""
    return grpc.aio.Metadata(("authorization", f"Bearer {token}"))
