"""The platform's routes behind real HTTP, with a gate that knows tokens by heart."""

import asyncio
import socket
from collections.abc import Awaitable, Callable, MutableMapping
from types import SimpleNamespace
from typing import Any, Self

import uvicorn
from fastapi import FastAPI

from codetether_ray.core.principals import Principal
from codetether_ray.ingress.callers import CALLER
from codetether_ray.ingress.http import cloudevents, problems, tasks, work
from codetether_ray.ports.work import Platform

ADMIN = Principal(user_id="admin", roles=("admin",), auth_source="static_token")
OTHER = Principal(user_id="eve", tenant_id="acme", roles=("operator",))
TOKENS = {"admin-token": ADMIN, "other-token": OTHER}


class EventLog:
    """Notes the CloudEvents that were taken."""

    def __init__(self) -> None:
        self.noted: list[tuple[str, str, str]] = []

    def event(self, principal: Principal, kind: str, resource: str) -> None:
        self.noted.append((principal.user_id, kind, resource))


class _Gate:
    def __init__(self, log: EventLog | None) -> None:
        self.log = log

    async def sees_all(self, principal: Principal) -> bool:
        return "admin" in principal.roles


def build(platform: Platform, log: EventLog | None = None) -> Callable[..., Awaitable[None]]:
    """The application; a request without a token that is known is 401."""
    parts: Any = SimpleNamespace(platform=platform, gate=_Gate(log))
    app = FastAPI()
    problems.install(app)
    for family in (work, tasks, cloudevents):
        app.include_router(family.router(parts))

    async def gate(scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            headers = dict(scope["headers"])
            token = headers.get(b"authorization", b"").decode().removeprefix("Bearer ")
            if token not in TOKENS:
                await problems.send_problem(send, 401, "no token")
                return
            CALLER.set(TOKENS[token])
        await problems.Problems(app)(scope, receive, send)

    return gate


class PlatformServer:
    """Serves a platform on a port of its own; `url` is where."""

    def __init__(self, platform: Platform, port: int = 0, app: Any = None) -> None:
        self._port = port
        self._app = app or build(platform)
        self._server: uvicorn.Server | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> None:
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(("127.0.0.1", self._port))
        self._port = sock.getsockname()[1]
        config = uvicorn.Config(
            self._app, log_level="error", lifespan="off", access_log=False,
            timeout_graceful_shutdown=1,
        )  # fmt: skip
        self._server = uvicorn.Server(config)
        self._server.install_signal_handlers = lambda: None
        self._task = asyncio.create_task(self._server.serve(sockets=[sock]))
        while not self._server.started:
            await asyncio.sleep(0.01)

    async def stop(self) -> None:
        assert self._server is not None
        assert self._task is not None
        self._server.should_exit = True
        await self._task
