"""The gate on HTTP: a pure ASGI middleware, the outermost but CORS."""

import asyncio
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from codetether_ray.core.errors import (
    AccessError,
    ForbiddenError,
    TooManyFailuresError,
    UnauthenticatedError,
)
from codetether_ray.core.principals import Principal
from codetether_ray.ingress.callers import CALLER
from codetether_ray.ingress.gate_keeper import Gate, Lasting, Watched
from codetether_ray.ingress.http.problems import send_problem, told_of
from codetether_ray.ingress.permissions import (
    BY_METHOD,
    CARD_PATHS,
    PUBLIC_PATHS,
    methods_of,
    of_http,
)

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
_Headers = tuple[tuple[bytes, bytes], ...]

_END: Message = {"type": "http.response.body", "body": b""}
_REALM = 'Bearer realm="codetether"'


class GateMiddleware:
    """Nothing reaches the application but public paths and what the gate lets in."""

    def __init__(
        self, app: App, gate: Gate, methods: Callable[[str], tuple[str, ...]] = methods_of
    ) -> None:
        """Ask `gate`; `methods` tells those of a path, for who asks by another one."""
        self._app, self._gate, self._methods = app, gate, methods
        self._public = PUBLIC_PATHS if gate.is_card_private else PUBLIC_PATHS | CARD_PATHS

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it."""
        kind = scope["type"]
        if kind == "lifespan":
            await self._app(scope, receive, send)
        elif kind == "http":
            await self._answer(scope, receive, send)
        elif kind == "websocket":
            await send({"type": "websocket.close", "code": 1008})

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        method, path = scope["method"], scope["path"]
        if path in self._public and method in ("GET", "HEAD"):
            await self._app(scope, receive, send)
            return
        address, authorization = self._read(scope)
        principal: Principal | None = None
        try:
            principal = await self._gate.authenticate(authorization, address)
            need = of_http(method, path)
            if need is not None and need != BY_METHOD:
                await self._gate.permit(principal, need)
        except AccessError as error:
            status = await _refuse(send, error)
            self._note_refusal(principal, method, path, status, address)
            return
        if need is None:
            status = await _deny(send, self._methods(path))
            if self._gate.log is not None:
                self._gate.log.passed(principal, "http", f"{method} {path}", str(status), 0)
            return
        await self._pass(principal, authorization, scope, receive, send)

    async def _pass(
        self,
        principal: Principal,
        authorization: str | None,
        scope: Scope,
        receive: Receive,
        send: Send,
    ) -> None:
        """Hand over to the application; what it answers is noted.

        An answer that goes on ends with its token: the client is told no more, and the application
        that the client is gone.
        """
        began, status = time.monotonic(), 0
        lasting, is_over = Lasting(self._gate, authorization), False
        watched = Watched(lasting)

        async def noting(message: Message) -> None:
            nonlocal status, is_over
            if is_over:
                return
            if message["type"] == "http.response.start":
                status = message["status"]
            elif not message.get("more_body"):
                watched.close()
            elif await lasting.is_valid():
                watched.begin()
            else:
                is_over, message = True, _END
                watched.close()
            await send(message)

        before = CALLER.set(principal)
        try:
            await self._app(scope, receive, noting)
        except asyncio.CancelledError:
            if not watched.is_over():
                raise
            await send(_END)
        finally:
            watched.close()
            CALLER.reset(before)
            if self._gate.log is not None:
                took_ms = int((time.monotonic() - began) * 1000)
                request = f"{scope['method']} {scope['path']}"
                self._gate.log.passed(principal, "http", request, str(status or "torn"), took_ms)

    def _read(self, scope: Scope) -> tuple[str, str | None]:
        """The client's address, and the one Authorization header; two are as good as none that
        can be read."""
        given: list[bytes] = []
        forwarded: list[str] = []
        for name, value in scope["headers"]:
            if name == b"authorization":
                given.append(value)
            elif name == b"x-forwarded-for":
                forwarded.append(value.decode("latin-1"))
        peer = scope.get("client")
        address = self._gate.proxies.client(peer[0] if peer else "", forwarded)
        if len(given) > 1:
            return address, "Bearer"
        return address, given[0].decode("latin-1") if given else None

    def _note_refusal(
        self, principal: Principal | None, method: str, path: str, status: int, address: str
    ) -> None:
        if self._gate.log is not None:
            self._gate.log.refused(principal, "http", f"{method} {path}", str(status), address)


async def _refuse(send: Send, error: AccessError) -> int:
    """Say why somebody is not let in; the status."""
    headers: _Headers = ()
    if isinstance(error, UnauthenticatedError):
        headers = ((b"www-authenticate", _challenge(error.word, str(error))),)
    elif isinstance(error, TooManyFailuresError):
        headers = ((b"retry-after", str(error.retry_after_s).encode()),)
    elif isinstance(error, ForbiddenError):
        headers = ((b"www-authenticate", _challenge("insufficient_scope", str(error))),)
    status, detail, kind = told_of(error)
    await send_problem(send, status, detail, kind, headers)
    return status


def _challenge(word: str, detail: str) -> bytes:
    """RFC 6750's; without `error` where no token was shown."""
    if not word:
        return _REALM.encode()
    return f'{_REALM}, error="{word}", error_description="{detail}"'.encode("latin-1", "replace")


async def _deny(send: Send, methods: tuple[str, ...]) -> int:
    """Nothing is there, or not by that method: the application is not asked. The status."""
    if methods:
        allow = ((b"allow", ", ".join(methods).encode()),)
        await send_problem(send, 405, "this path has no such method", "MethodNotAllowed", allow)
        return 405
    detail = "there is nothing at this path, or no permission that opens it"
    await send_problem(send, 404, detail, "NotFound")
    return 404
