"""One HTTP connection: uvicorn's, with bounds on how slowly and how large headers come."""

from asyncio import Transport
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEADERS_S = 15.0
"""From a connection's beginning, or a request's first byte, to the end of its headers."""
HEADERS_BYTES = 64 * 1024
_TOO_LARGE = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\n"
    b"content-length: 0\r\nconnection: close\r\n\r\n"
)


class Connection(HttpToolsProtocol):
    """Closed where a client sends headers too slowly, or too many."""

    headers_s = HEADERS_S

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self._late: Any = None
        self._in_headers = True
        self._size = 0

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        """A client is there: it has some seconds."""
        super().connection_made(transport)
        self._arm()

    def on_message_begin(self) -> None:
        """A request's first byte."""
        self._in_headers, self._size = True, 0
        self._arm()
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """All headers are there."""
        self._in_headers = False
        self._disarm()
        super().on_headers_complete()

    def data_received(self, data: bytes) -> None:
        """Bytes; where headers go on and on, no more of them."""
        super().data_received(data)
        if self._in_headers:
            self._size += len(data)
            if self._size > HEADERS_BYTES and not self.transport.is_closing():
                self.transport.write(_TOO_LARGE)
                self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """The client is gone."""
        self._disarm()
        super().connection_lost(exc)

    def _arm(self) -> None:
        if self._late is None:
            self._late = self.loop.call_later(self.headers_s, self._close)

    def _disarm(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None

    def _close(self) -> None:
        self._late = None
        if not self.transport.is_closing():
            self.transport.close()
