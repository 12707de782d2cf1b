"""A server that speaks Vault's KV version 2 API over HTTP, as far as a client can tell.

https://developer.hashicorp.com/vault/api-docs/secret/kv/kv-v2: token check, data and metadata
paths, LIST as a method, versions, soft-deleted versions, sealed state.
"""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

TOKEN = "hvs.test-token"


@dataclass
class Vault:
    """Its state: each path's versions (None is a deleted one), and what it was asked."""

    address: str = ""
    mount: str = "secret"
    versions: dict[str, list[dict[str, Any] | None]] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)
    is_sealed: bool = False
    odd_answer: bytes | None = None

    def answer(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        area, _, name = path.removeprefix(f"/v1/{self.mount}/").partition("/")
        if not path.startswith(f"/v1/{self.mount}/") or area not in ("data", "metadata"):
            return 404, {"errors": [f"no handler for route {path!r}"]}
        if (method, area) == ("LIST", "metadata"):
            return self._list(name.rstrip("/") + "/")
        if (method, area) == ("DELETE", "metadata"):
            self.versions.pop(name, None)
            return 204, None
        if area == "data" and method in ("POST", "PUT"):
            self.versions.setdefault(name, []).append(body["data"])
            return 200, {"data": {"version": len(self.versions[name])}}
        return self._read(name)

    def _list(self, prefix: str) -> tuple[int, Any]:
        names = [n.removeprefix(prefix) for n in self.versions if n.startswith(prefix)]
        keys = sorted({n if "/" not in n else n.partition("/")[0] + "/" for n in names})
        return (200, {"data": {"keys": keys}}) if keys else (404, {"errors": []})

    def _read(self, name: str) -> tuple[int, Any]:
        versions = self.versions.get(name)
        if not versions:
            return 404, {"errors": []}
        metadata = {"version": len(versions), "deletion_time": "", "destroyed": False}
        if versions[-1] is None:
            metadata["deletion_time"] = "2026-01-01T00:00:00Z"
            return 404, {"data": {"data": None, "metadata": metadata}}
        return 200, {"data": {"data": versions[-1], "metadata": metadata}}


@contextmanager
def serve_vault(vault: Vault) -> Iterator[Vault]:
    """Run it on a free port of this machine."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _handle(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else None
            path = urlsplit(self.path).path
            vault.asked.append((self.command, path))
            if vault.odd_answer is not None:
                status, data = 200, vault.odd_answer
            else:
                status, data = self._status(path, body)
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def _status(self, path: str, body: Any) -> tuple[int, bytes]:
            if vault.is_sealed:
                status, answer = 503, {"errors": ["Vault is sealed"]}
            elif self.headers.get("X-Vault-Token") != TOKEN:
                status, answer = 403, {"errors": ["permission denied"]}
            else:
                status, answer = vault.answer(self.command, path, body)
            return status, b"" if answer is None else json.dumps(answer).encode()

        do_GET = do_POST = do_PUT = do_DELETE = do_LIST = _handle  # noqa: N815

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    vault.address = f"http://127.0.0.1:{server.server_port}"
    try:
        yield vault
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
