"""A whole ingress on loopback, in this process: the real gate, handler and transports."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import grpc
import httpx
from a2a.types import InvalidParamsError, StreamResponse, TaskPushNotificationConfig

from codetether_ray.bootstrap.truth.address import Address
from codetether_ray.bootstrap.truth.place import truth_here
from codetether_ray.bootstrap.truth.reach import Reach
from codetether_ray.core.principals import Principal
from codetether_ray.ports.policy import Resource

TOKENS = {
    "alice-token": Principal(user_id="alice", roles=("admin",)),
    "bob-token": Principal(user_id="bob", roles=("admin",)),
    "reader-token": Principal(user_id="rita", roles=("reader",)),
}


class Book:
    """Knows three tokens."""

    async def principal_of(self, token: str) -> Principal | None:
        return TOKENS.get(token)


class Rules:
    """An admin may do everything, a reader may read."""

    async def allows(
        self, principal: Principal, permission: str, resource: Resource | None = None
    ) -> bool:
        return "admin" in principal.roles or permission.endswith(":read")

    async def close(self) -> None:
        pass


class Pushes:
    """Keeps what would be pushed."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, StreamResponse]] = []

    async def check(self, config: TaskPushNotificationConfig) -> None:
        if not config.url.startswith("http"):
            raise InvalidParamsError(message="url: not one that can be pushed to")

    async def send(self, config: TaskPushNotificationConfig, event: StreamResponse) -> bool:
        self.sent.append((config.url, event))
        return True

    async def close(self) -> None:
        pass


@dataclass
class World:
    """An ingress that answers."""

    parts: Any
    port: int
    grpc_port: int
    pushes: Pushes

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def grpc_address(self) -> str:
        return f"127.0.0.1:{self.grpc_port}"

    def http(self, token: str = "alice-token", version: str = "1.0") -> httpx.AsyncClient:
        headers = {"A2A-Version": version} if version else {}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        return httpx.AsyncClient(base_url=self.url, headers=headers, timeout=60)

    def channel(self) -> grpc.aio.Channel:
        return grpc.aio.insecure_channel(self.grpc_address)


def metadata(token: str = "alice-token", version: str = "1.0") -> tuple[tuple[str, str], ...]:
    """Of a gRPC call."""
    found = (("authorization", f"Bearer {token}"),) if token else ()
    return (*found, ("a2a-version", version)) if version else found


@asynccontextmanager
async def opened(data_dir: Path, *, agents: Any = None, **changes: Any) -> AsyncIterator[World]:
    """An ingress with the kit's agents, or others; `changes` are of its options."""
    from codetether_ray.a2a.handler import TaskHandler
    from codetether_ray.ingress import cards
    from codetether_ray.ingress.gate_keeper import Gate
    from codetether_ray.ingress.listening import Listening
    from codetether_ray.ingress.options import IngressOptions
    from codetether_ray.ingress.parts import Parts
    from codetether_ray.ingress.sockets import free_port
    from codetether_ray.local.clock import SystemClock
    from codetether_ray.local.memory_tasks import MemoryTasks
    from codetether_ray.local.task_channel import LocalTaskChannel
    from codetether_ray.testing.kit_agent import KitAgents

    port = free_port("127.0.0.1", 0, "--port")
    grpc_port = free_port("127.0.0.1", 0, "--grpc-port")
    options = replace(
        IngressOptions(port=port, grpc_port=grpc_port, data_dir=str(data_dir)), **changes
    )
    pushes = Pushes()
    store, channel = MemoryTasks(), LocalTaskChannel()
    handler = TaskHandler(
        store,
        channel,
        agents or KitAgents(),
        SystemClock(),
        holder=f"test-{os.getpid()}",
        card=lambda: cards.public_card(options),
        extended_card=lambda principal: cards.extended_card(options, principal),
        pushes=pushes,
    )
    reach = Reach(address=Address(value="local"), truth=truth_here(data_dir))
    parts = Parts(options=options, reach=reach, handler=handler, gate=Gate(Book(), Rules()))
    await handler.start()
    try:
        listening = await Listening.start(parts)
        try:
            yield World(parts, listening.port, listening.grpc_port, pushes)
        finally:
            await listening.stop(1.0)
    finally:
        await handler.close()
        await channel.close()
