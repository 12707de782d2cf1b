"""Server-sent events: with ids to resume by, comments that keep a quiet connection open.

A router makes an async iterator of `Sse` and returns `EventStream(it)`. The iterator is closed when
the client is gone, whatever it waits for.
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from codetether_ray.core.errors import CodetetherError
from codetether_ray.ingress.http.problems import told_of, unforeseen

KEEP_ALIVE_S = 15.0
MEDIA_TYPE = "text/event-stream"
_COMMENT = b": keep-alive\n\n"
_LONGEST_ID = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Sse:
    """One event. `data` is sent as JSON, unless it is text."""

    data: Any
    event: str = ""
    """Its kind; empty: the standard's `message`."""
    id: str = ""
    """What a client that lost the connection says it has seen last."""

    def encoded(self) -> bytes:
        """As it is sent; line breaks in `id` and `event` are dropped, they would end them."""
        text = self.data if isinstance(self.data, str) else _json(self.data)
        lines = [f"id: {_one_line(self.id)}"] if self.id else []
        if self.event:
            lines.append(f"event: {_one_line(self.event)}")
        rows = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
        lines += [f"data: {row}" for row in rows]
        return ("\n".join(lines) + "\n\n").encode("utf-8", "replace")


def last_event_id(request: Request) -> str:
    """What the client has seen last; empty: nothing. Longer ones than ours are none of ours."""
    found = request.headers.get("last-event-id", "")
    return found if len(found) <= _LONGEST_ID else ""


def wants_events(request: Request, *, by_default: bool = True) -> bool:
    """Whether the client takes a stream: by its `Accept`, where that says anything."""
    accepted = request.headers.get("accept", "").lower()
    if MEDIA_TYPE in accepted:
        return True
    return by_default and "application/json" not in accepted


class EventStream(Response):
    """A response that sends events as they come, until there are no more or the client is gone."""

    media_type = MEDIA_TYPE

    def __init__(
        self,
        events: AsyncIterator[Sse],
        *,
        keep_alive_s: float = KEEP_ALIVE_S,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        plain = {"Cache-Control": "no-store", "X-Accel-Buffering": "no", **(headers or {})}
        super().__init__(headers=plain)
        del self.headers["content-length"]
        self._events = events
        self._keep_alive_s = keep_alive_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send them."""
        start = {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
        gone = asyncio.create_task(_gone(receive))
        try:
            await send(start)
            async for piece in self._pieces(gone):
                await send({"type": "http.response.body", "body": piece, "more_body": True})
            if not gone.done():
                await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            gone.cancel()
            await asyncio.gather(gone, return_exceptions=True)

    async def _pieces(self, gone: asyncio.Task[None]) -> AsyncIterator[bytes]:
        """What to send next; it ends with the events, or when the client is gone."""
        coming: asyncio.Task[Sse | None] | None = None
        try:
            while not gone.done():
                if coming is None:
                    coming = asyncio.create_task(_next(self._events))
                done, _ = await asyncio.wait(
                    {coming, gone},
                    timeout=self._keep_alive_s,
                    return_when=asyncio.FIRST_COMPLETED,
                )
                if coming.done():
                    event, coming = coming.result(), None
                    if event is None:
                        return
                    yield event.encoded()
                elif not done:
                    yield _COMMENT
        finally:
            await self._close(coming)

    async def _close(self, coming: asyncio.Task[Sse | None] | None) -> None:
        if coming is not None:
            coming.cancel()
            await asyncio.gather(coming, return_exceptions=True)
        close = getattr(self._events, "aclose", None)
        if close is not None:
            with contextlib.suppress(Exception):
                await close()


async def _next(events: AsyncIterator[Sse]) -> Sse | None:
    """The next event; None: there are no more. What breaks the stream is its last event."""
    try:
        return await anext(events, None)
    except CodetetherError as error:
        _, detail, kind = told_of(error)
        return Sse(event="error", data={"kind": kind, "detail": detail})
    except Exception as error:  # noqa: BLE001 - it is answered already; it ends, instead of tearing
        return Sse(event="error", data={"kind": "internal", "detail": unforeseen(error)})


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _one_line(text: str) -> str:
    return text.replace("\n", " ").replace("\r", " ").replace("\0", " ")
