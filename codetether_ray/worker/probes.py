"""The worker's own HTTP server: probes for everybody, everything else by the worker's token."""

import hmac
import json
from collections.abc import Callable
from typing import Any, Protocol

from aiohttp import web

from codetether_ray.core.errors import CodetetherError

OPEN = ("/health", "/ready")


class PortTakenError(CodetetherError):
    """The probes' port cannot be listened on."""

    def __init__(self, host: str, port: int, reason: str) -> None:
        super().__init__(host, port, reason)
        self.host, self.port, self.reason = host, port, reason

    def __str__(self) -> str:
        return (
            f"the worker's probes cannot listen on {self.host}:{self.port}: {self.reason}; choose "
            "another --port, or --no-http-server"
        )


class Probed(Protocol):
    """What the probes tell of."""

    @property
    def is_connected(self) -> bool:
        """Whether the platform's stream is open."""
        ...

    @property
    def active(self) -> tuple[str, ...]:
        """The tasks that are done now."""
        ...

    def look(self) -> None:
        """Ask the platform for tasks now."""
        ...


class Probes:
    """`/health`, `/ready`, `/worker/status`, `POST /task`."""

    def __init__(self, probed: Probed, worker_id: str, name: str, token: str) -> None:
        self._probed, self._id, self._name = probed, worker_id, name
        self._token = token.encode()
        self._runner: web.AppRunner | None = None

    async def start(self, host: str, port: int) -> int:
        """Listen; the port that it is (0 asks for any free one).

        Raises:
            PortTakenError: it cannot be listened on.
        """
        app = web.Application(middlewares=[self._gate], client_max_size=1_000_000)
        app.router.add_get("/health", self._health)
        app.router.add_get("/ready", self._ready)
        app.router.add_get("/worker/status", self._status)
        app.router.add_post("/task", self._task)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, host, port)
        try:
            await site.start()
        except OSError as error:
            await self.close()
            raise PortTakenError(host, port, error.strerror or str(error)) from error
        return int(self._runner.addresses[0][1])

    async def close(self) -> None:
        """Listen no more."""
        if self._runner is not None:
            await self._runner.cleanup()

    @web.middleware
    async def _gate(self, request: web.Request, handler: Callable[..., Any]) -> web.StreamResponse:
        if request.path not in OPEN and not self._is_known(request):
            headers = {"WWW-Authenticate": 'Bearer realm="codetether worker"'}
            return web.Response(status=401, text="the worker's token is needed", headers=headers)
        answer: web.StreamResponse = await handler(request)
        return answer

    def _is_known(self, request: web.Request) -> bool:
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        is_bearer = scheme.lower() == "bearer" and bool(self._token)
        shown = given.strip().encode("utf-8", "surrogateescape")
        return is_bearer and hmac.compare_digest(shown, self._token)

    async def _health(self, _: web.Request) -> web.Response:
        return web.Response(text="ok")

    async def _ready(self, _: web.Request) -> web.Response:
        if self._probed.is_connected:
            return web.Response(text="ready")
        return web.Response(status=503, text="not connected")

    async def _status(self, _: web.Request) -> web.Response:
        active = self._probed.active
        heartbeat = {
            "status": "processing" if active else "idle",
            "active_tasks": len(active),
            "agent_name": self._name,
        }
        connected = self._probed.is_connected
        told = {"connected": connected, "worker_id": self._id, "heartbeat": heartbeat}
        return web.json_response(told)

    async def _task(self, request: web.Request) -> web.Response:
        try:
            told = await request.json()
        except (json.JSONDecodeError, UnicodeDecodeError, RecursionError):
            return web.Response(status=400, text="the body is not JSON")
        self._probed.look()
        id = _task_id(told)
        return web.Response(status=202, text=f"task {id} received")


def _task_id(told: Any) -> str:
    """The task's id: an event's is in its data, which counts more than the event's own."""
    if not isinstance(told, dict):
        return "unknown"
    data = told.get("data")
    inner = data if isinstance(data, dict) else {}
    for value in (inner.get("task_id"), told.get("task_id"), told.get("id")):
        if isinstance(value, str) and value:
            return value[:200]
    return "unknown"
