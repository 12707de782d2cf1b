"""How large a request's body may be, and how slow: refused while it comes, not after."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from types import MappingProxyType
from typing import Any

from codetether_ray.ingress.http.problems import MEDIA_TYPE, problem_body

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

LARGER: Mapping[str, int] = MappingProxyType({"/v1/bundles": 1_000_000_000})
"""Bytes of a body on paths whose router streams it to disk."""
_FIRST_S = 30.0
"""How long a body may be waited for at no speed at all."""
_BYTES_PER_S = 10_000
"""What it has to bring on average after that."""

_LINGER_S = 3.0
_LINGER_BYTES = 64_000_000
"""For how long, and how much, of a body that was refused is read and dropped."""


class BodyLimit:
    """The ASGI middleware between the gate and the routes."""

    def __init__(self, app: App, max_bytes: int) -> None:
        self._app, self._max = app, max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request whose body is small and swift enough."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        limit = LARGER.get(scope["path"], self._max)
        if _announced(scope) > limit:
            await _refuse(receive, send, 413, f"a body here has at most {limit} bytes")
            return
        body = _Body(receive, send, limit)
        await self._app(scope, body.receive, body.send)


class _Body:
    """One request's body. One that is refused was answered; the application sees a client that
    is gone, and what it says of that is dropped."""

    __slots__ = ("_has_begun", "_is_over", "_is_refused", "_limit", "_receive", "_send", "_size",
                 "_waited_s")  # fmt: skip

    def __init__(self, receive: Receive, send: Send, limit: int) -> None:
        self._receive, self._send, self._limit = receive, send, limit
        self._size, self._waited_s = 0, 0.0
        self._is_over = self._is_refused = self._has_begun = False

    async def receive(self) -> MutableMapping[str, Any]:
        if self._is_over:  # now it is told when the client goes
            return await self._receive()
        message = await self._in_time()
        if message is None:
            return await self._refused(408, "the body came too slowly")
        if message["type"] != "http.request":
            self._is_over = True
            return message
        self._size += len(message.get("body", b""))
        self._is_over = not message.get("more_body", False)
        if self._size > self._limit:
            return await self._refused(413, f"a body here has at most {self._limit} bytes")
        return message

    async def send(self, message: MutableMapping[str, Any]) -> None:
        if not self._is_refused:
            self._has_begun = True
            await self._send(message)

    async def _in_time(self) -> MutableMapping[str, Any] | None:
        """The next message; None where it does not come in time."""
        loop = asyncio.get_running_loop()
        begun = loop.time()
        left_s = _FIRST_S + self._size / _BYTES_PER_S - self._waited_s
        try:
            async with asyncio.timeout(left_s):
                message = await self._receive()
        except TimeoutError:
            return None
        self._waited_s += loop.time() - begun
        return message

    async def _refused(self, status: int, why: str) -> MutableMapping[str, Any]:
        self._is_over = True
        if not self._has_begun:
            self._is_refused = True
            await _refuse(self._receive, self._send, status, why)
        return {"type": "http.disconnect"}


def _announced(scope: Scope) -> int:
    """Bytes by `Content-Length`; 0 where it says none."""
    for name, value in scope["headers"]:
        if name == b"content-length":
            return int(value) if value.isdigit() else 0
    return 0


async def _refuse(receive: Receive, send: Send, status: int, why: str) -> None:
    """Answer, read on for a moment, then have the connection closed.

    Closed at once, what the client still sends would make its system forget the answer.
    """
    body = problem_body(status, why)
    headers = [
        (b"content-type", MEDIA_TYPE.encode()),
        (b"content-length", str(len(body)).encode()),
        (b"connection", b"close"),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": True})
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_LINGER_S):
            await _dropped(receive)
    await send({"type": "http.response.body", "body": b""})


async def _dropped(receive: Receive) -> None:
    """Read the rest of a body that nobody wants, some of it."""
    size, more = 0, True
    while more and size < _LINGER_BYTES:
        message = await receive()
        size += len(message.get("body", b""))
        more = bool(message.get("more_body"))
