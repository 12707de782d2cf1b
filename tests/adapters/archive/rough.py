"""A rough road to an S3 server: an HTTP proxy that fails as it is told."""

import http.client
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

_CODES = {503: "SlowDown", 500: "InternalError", 403: "AccessDenied", 400: "BadDigest"}


@dataclass
class Passing:
    """A request on its way; a fault may change its body or answer in the server's place."""

    method: str
    path: str
    body: bytes
    number: int


class FaultError(Exception):
    """What a fault does instead of passing on: an error status, or a cut connection (0)."""

    def __init__(self, status: int, after: bool = False) -> None:
        super().__init__(status)
        self.status, self.after = status, after


Rule = Callable[[Passing], bytes | None]
"""Sees a request; may return another body for it, or raise a `FaultError`."""


class RoughRoad:
    """Passes requests on to `target`; `rule` sees each of them first."""

    def __init__(self, target: str) -> None:
        self._target = urlsplit(target)
        self.rule: Rule = lambda _: None
        self.spoil: Callable[[Passing, bytes], bytes] = lambda _, body: body
        """Changes what comes back."""
        self.delay_s = 0.0
        self.seen: list[str] = []
        self._count = 0
        road = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_one(self) -> None:
                road._handle(self)

            do_GET = do_PUT = do_HEAD = do_DELETE = do_POST = handle_one  # noqa: N815

            def log_message(self, format: str, *args: object) -> None:
                """Quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _handle(self, handler: BaseHTTPRequestHandler) -> None:
        if handler.headers.get("Expect", "").lower() == "100-continue":
            handler.send_response_only(100)
            handler.end_headers()
        body = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        self._count += 1
        passing = Passing(handler.command, handler.path, body, self._count)
        self.seen.append(f"{handler.command} {handler.path}")
        if self.delay_s:
            time.sleep(self.delay_s)
        try:
            changed = self.rule(passing)
        except FaultError as fault:
            if fault.after:  # the server did it, and nobody hears of it
                self._pass(handler, passing.body)
            self._fail(handler, fault.status)
            return
        status, headers, out = self._pass(handler, body if changed is None else changed)
        out = self.spoil(passing, out)
        handler.send_response(status)
        for name, value in headers:
            if name.lower() not in ("connection", "transfer-encoding", "content-length"):
                handler.send_header(name, value)
        length = next((v for n, v in headers if n.lower() == "content-length"), str(len(out)))
        handler.send_header(
            "Content-Length", length if handler.command == "HEAD" else str(len(out))
        )
        handler.end_headers()
        handler.wfile.write(out)

    def _pass(
        self, handler: BaseHTTPRequestHandler, body: bytes
    ) -> tuple[int, list[tuple[str, str]], bytes]:
        assert self._target.hostname is not None
        onward = http.client.HTTPConnection(self._target.hostname, self._target.port)
        skipped = {"content-length", "expect", "connection"}
        headers = {k: v for k, v in handler.headers.items() if k.lower() not in skipped}
        headers["Content-Length"] = str(len(body))
        onward.request(handler.command, handler.path, body, headers)
        answer = onward.getresponse()
        out = answer.read()
        onward.close()
        return answer.status, answer.getheaders(), out

    def _fail(self, handler: BaseHTTPRequestHandler, status: int) -> None:
        handler.close_connection = True
        if status == 0:
            handler.connection.close()
            return
        code = {503: "SlowDown", 500: "InternalError", 403: "AccessDenied", 400: "BadDigest"}[
            status
        ]
        out = f"<Error><Code>{code}</Code><Message>as told</Message></Error>".encode()
        handler.send_response(status)
        handler.send_header("Content-Length", str(len(out)))
        handler.send_header("Connection", "close")
        handler.end_headers()
        if handler.command != "HEAD":
            handler.wfile.write(out)
