"""`codetether serve --spread` on several nodes, and clients of a certain node's replica."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from codetether_ray.testing.model_server import ModelServer
from codetether_ray.testing.model_server import Script as Model
from tests.cluster.nodes import HEAD, Nodes

KEY = "sk-ant-api03-" + "s" * 40
MODEL = "anthropic/claude-haiku-5-5"
_PORT, _GRPC_PORT = 4096, 50051


@dataclass(frozen=True, kw_only=True)
class Spread:
    """An ingress with a replica on each node; its user, settings and truth are the head's."""

    nodes: Nodes
    token: str
    model_url: str

    @property
    def workers(self) -> list[str]:
        """The nodes that are not the head."""
        return [name for name in self.nodes.nodes if name != HEAD]

    def url(self, node: str) -> str:
        """Of a node's replica."""
        return f"http://{self.nodes.nodes[node].host.address}:{_PORT}"

    def grpc(self, node: str) -> str:
        """Where a node's replica speaks gRPC."""
        return f"{self.nodes.nodes[node].host.address}:{_GRPC_PORT}"

    def client(self, node: str) -> httpx.AsyncClient:
        """A client of a node's replica."""
        headers = {"authorization": f"Bearer {self.token}", "a2a-version": "1.0"}
        return httpx.AsyncClient(base_url=self.url(node), headers=headers, timeout=60)


@asynccontextmanager
async def spread(nodes: Nodes, model: Model, *options: str) -> AsyncIterator[Spread]:
    """One that answers on every node, started by the head's user and ended at the end.

    Settings, the model's key and the server's token are the head's user's: no other node has any.
    """
    program = nodes.program(f"serve-{len(list((nodes.head.folder / 'work').iterdir()))}")
    async with ModelServer(model, host=nodes.gateway) as server:
        settings = nodes.head.home / ".config" / "codetether-agent" / "config.toml"
        settings.parent.mkdir(parents=True, exist_ok=True)
        settings.write_text(
            f'[providers.local]\nbase_url = "{server.url}"\n'
            f'[providers.anthropic]\nbase_url = "{server.anthropic_url}"\n',
            "utf-8",
        )
        stored = await program.run("auth", "set", "anthropic", stdin=KEY)
        assert stored.code == 0, stored.err
        started = await program.run(
            *("serve", "--detach", "--json", "--spread", "--hostname", "0.0.0.0"),
            *("--replicas", str(len(nodes.nodes)), "--model", MODEL, *options),
            timeout_s=240,
        )
        try:
            assert started.code == 0, started.err
            assert json.loads(started.out)["replicas"]["answering"] == len(nodes.nodes)
            token = (nodes.head.data / "auth" / "token").read_text("utf-8").strip()
            yield Spread(nodes=nodes, token=token, model_url=server.url)
        finally:
            stopped = await program.run("serve", "stop", timeout_s=120)
            settings.unlink()
    assert stopped.code == 0, stopped.err


async def ready(client: httpx.AsyncClient) -> Any:
    """What a replica says of itself, without a token."""
    return (await client.get("/ready", headers={"authorization": ""})).text
