"""A whole ingress in this process, with echo agents, on free ports."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx

from codetether_ray.bootstrap.truth.address import Address
from codetether_ray.bootstrap.truth.place import truth_here
from codetether_ray.bootstrap.truth.reach import Reach
from codetether_ray.ingress.checks import settled
from codetether_ray.ingress.listening import Listening
from codetether_ray.ingress.opening import opened_parts
from codetether_ray.ingress.options import IngressOptions
from codetether_ray.ingress.parts import Parts
from codetether_ray.stores.tokens import server_token_path

ECHO = "codetether_ray.testing.echo:open_agents"


@dataclass(frozen=True, kw_only=True)
class Opened:
    """An ingress that answers."""

    listening: Listening
    parts: Parts
    token: str

    @property
    def url(self) -> str:
        """Of its HTTP server."""
        scheme = "https" if self.parts.options.tls_certificate else "http"
        return f"{scheme}://127.0.0.1:{self.listening.port}"

    @property
    def grpc(self) -> str:
        """Where its gRPC server is."""
        return f"127.0.0.1:{self.listening.grpc_port}"

    def client(self, *, token: bool = True, **more: Any) -> httpx.AsyncClient:
        """A client of it; who opens it closes it."""
        headers = {"authorization": f"Bearer {self.token}"} if token else {}
        return httpx.AsyncClient(base_url=self.url, headers=headers, timeout=60, **more)


@asynccontextmanager
async def ingress(data_dir: Path, options: IngressOptions) -> AsyncIterator[Opened]:
    """One with these options, until the end."""
    reach = Reach(address=Address(value="local"), truth=truth_here(data_dir))
    chosen = settled(replace(options, data_dir=str(data_dir)))
    async with opened_parts(chosen, reach) as parts:
        listening = await Listening.start(parts)
        try:
            token = server_token_path(data_dir).read_text("utf-8").strip()
            yield Opened(listening=listening, parts=parts, token=token)
        finally:
            await listening.stop(0)


Open = Callable[[IngressOptions], Awaitable[Opened]]
