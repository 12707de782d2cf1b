"""One HTTP connection: uvicorn's, with bounds on what a client may hold without being served.

Headers have a time and a size. A body that nobody wants any more, since the answer is given, is
read on for a moment: closed at once, what the client still sends would make its system forget the
answer. Of connections that wait for a request the longest idle one goes when there are too many,
so that nobody keeps others out by opening them.
"""

from asyncio import Transport
from collections import OrderedDict
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEADERS_S = 15.0
"""From a connection's beginning, or a request's first byte, to the end of its headers."""
HEADERS_BYTES = 64 * 1024
"""Of headers, and of what may stand between two pieces of a body, or behind it."""
LINGER_S = 3.0
"""How long the rest of a body is read whose request is answered."""
MOST_IDLE = 3000
"""Connections of one server that wait for a request; below `listening.CONNECTIONS`."""
_TOO_LARGE = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\n"
    b"content-length: 0\r\nconnection: close\r\n\r\n"
)


class Connection(HttpToolsProtocol):
    """Closed where a client sends headers too slowly, or too many, or says nothing."""

    headers_s, linger_s, most_idle = HEADERS_S, LINGER_S, MOST_IDLE

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self._late: Any = None
        self._in_headers = self._is_read = True
        self._has_body = False
        self._size = 0
        self._idle: OrderedDict[Connection, None] = vars(self.server_state).setdefault(
            "idle_connections", OrderedDict()
        )
        """Of this server, the longest idle one first."""

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        """A client is there: it has some seconds."""
        super().connection_made(transport)
        self._arm(self.headers_s)
        self._rest()

    def on_message_begin(self) -> None:
        """A request's first byte."""
        self._in_headers, self._is_read, self._size = True, False, 0
        self._arm(self.headers_s)
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header; what comes behind a body is none, and is not kept."""
        if self._in_headers:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """All headers are there."""
        self._in_headers = False
        self._disarm()
        self._idle.pop(self, None)
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """A piece of a body."""
        self._has_body = True
        super().on_body(body)

    def on_message_complete(self) -> None:
        """All of a request is there."""
        self._is_read = True
        self._disarm()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """An answer is given."""
        super().on_response_complete()
        if not self._is_read:
            self._arm(self.linger_s)
        if self.cycle.response_complete:
            self._rest()

    def data_received(self, data: bytes) -> None:
        """Bytes; where they are nothing but headers, no more than some."""
        self._has_body = False
        super().data_received(data)
        if self._is_read or self._has_body:
            self._size = 0
            return
        self._size += len(data)
        if self._size > HEADERS_BYTES and not self.transport.is_closing():
            if self._in_headers:
                self.transport.write(_TOO_LARGE)
            self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """The client is gone."""
        self._disarm()
        self._idle.pop(self, None)
        super().connection_lost(exc)

    def _rest(self) -> None:
        """Wait for a request; who has waited longest goes where too many do."""
        self._idle[self] = None
        while len(self._idle) > self.most_idle:
            self._idle.popitem(last=False)[0].transport.close()

    def _arm(self, seconds: float) -> None:
        if self._late is None:
            self._late = self.loop.call_later(seconds, self._close)

    def _disarm(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None

    def _close(self) -> None:
        self._late = None
        if not self.transport.is_closing():
            self.transport.close()
