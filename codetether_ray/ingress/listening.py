"""Listens: one process' share of an ingress' public ports, HTTP and gRPC, until it is stopped."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from codetether_ray.core.errors import PortTakenError
from codetether_ray.ingress.certificates import Certificate, read_certificate
from codetether_ray.ingress.parts import Parts
from codetether_ray.ingress.sockets import (
    BACKLOG,
    GRPC_OPTION,
    addresses_of,
    bound,
    close_all,
    demand_two,
    free_port,
)

if TYPE_CHECKING:
    from uvicorn import Config

CONNECTIONS = 4000
"""HTTP connections and requests of one process at once; more are answered 503."""
KEEP_ALIVE_S = 75
"""How long an idle connection is kept: longer than proxies in front keep theirs."""
GRACE_S = 10.0


class Listening:
    """An ingress that answers on its ports, in the event loop that started it."""

    def __init__(self, http: "HttpListening", grpc: Any, grpc_port: int) -> None:
        self._http, self._grpc = http, grpc
        self.port = http.port
        self.grpc_port = grpc_port

    @classmethod
    async def start(cls, parts: Parts, *, shares: bool = False) -> "Listening":
        """Bind the ports of `parts.options` and answer on them in this event loop.

        `port` and `grpc_port` then say which they are, where the options say 0.

        Args:
            parts: the ingress.
            shares: other processes answer on the same ports (replicas): they are numbers, and were
                looked at by who starts them all (`sockets.free_port`).

        Raises:
            PortTakenError: somebody else listens there.
            AddressError: the host is none of this machine's.
            ConfigError: its certificate cannot be used.
        """
        from codetether_ray.ingress.app import build_app
        from codetether_ray.ingress.grpc.server import build_server

        options = parts.options
        demand_two(options.port, options.grpc_port)
        certificate = await asyncio.to_thread(read_certificate, options)
        sockets = await asyncio.to_thread(bound, options.hostname, options.port, shares=shares)
        try:
            grpc_port = options.grpc_port
            if not shares:
                grpc_port = free_port(options.hostname, grpc_port, GRPC_OPTION)
            server = build_server(parts, shares_port=shares)
            grpc_port = _add_ports(server, options.hostname, grpc_port, certificate)
            await server.start()
        except BaseException:
            close_all(sockets)
            raise
        http = HttpListening(build_app(parts), sockets, certificate)
        try:
            await http.start()
        except BaseException:
            await server.stop(None)
            raise
        return cls(http, server, grpc_port)

    async def stop(self, grace_s: float = GRACE_S) -> None:
        """Take no more; let what is under way end for `grace_s`, then end it."""
        await asyncio.gather(self._http.stop(grace_s), self._grpc.stop(grace_s))

    @property
    def is_alive(self) -> bool:
        """Whether HTTP is answered still."""
        return self._http.is_alive


class HttpListening:
    """uvicorn on sockets of ours."""

    def __init__(
        self, app: Any, sockets: list[socket.socket], certificate: Certificate | None
    ) -> None:
        self._sockets = sockets
        self.port: int = sockets[0].getsockname()[1]
        self._server = _server(app, certificate)
        self._serving: asyncio.Task[None] | None = None

    @property
    def is_alive(self) -> bool:
        """Whether it answers."""
        return self._serving is not None and not self._serving.done()

    async def start(self) -> None:
        """Answer from now on."""
        self._serving = asyncio.create_task(self._server.serve(self._sockets))
        while not self._server.started:
            if self._serving.done():
                close_all(self._sockets)
                await self._serving
            await asyncio.sleep(0.01)

    async def stop(self, grace_s: float) -> None:
        """See `Listening.stop`."""
        if self._serving is None:
            return
        self._server.config.timeout_graceful_shutdown = max(int(grace_s), 0)
        self._server.should_exit = True
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.shield(self._serving)


def _server(app: Any, certificate: Certificate | None) -> Any:
    """uvicorn, which leaves signals and logging alone."""
    import uvicorn

    class Server(uvicorn.Server):
        @contextlib.contextmanager
        def capture_signals(self) -> Iterator[None]:
            yield

    return Server(_config(app, certificate))


def _config(app: Any, certificate: Certificate | None) -> "Config":
    from uvicorn import Config

    from codetether_ray.ingress.connections import Connection

    def context(_: Config, __: Any) -> ssl.SSLContext:
        assert certificate is not None
        return certificate.for_http()

    return Config(
        app,
        http=Connection,
        ws="none",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        log_level="critical",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        backlog=BACKLOG,
        limit_concurrency=CONNECTIONS,
        timeout_keep_alive=KEEP_ALIVE_S,
        ssl_certfile=certificate.chain_path if certificate else None,
        ssl_keyfile=certificate.key_path if certificate else None,
        ssl_context_factory=context if certificate else None,
    )


def _add_ports(server: Any, host: str, port: int, certificate: Certificate | None) -> int:
    """Have a gRPC server listen on all addresses of a host; its port.

    Raises:
        PortTakenError: it cannot listen there.
    """
    added = 0
    for address in addresses_of(host):
        place = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
        with contextlib.suppress(RuntimeError):  # grpc says no more than that it cannot
            if certificate is not None:
                added = server.add_secure_port(place, certificate.for_grpc()) or added
            else:
                added = server.add_insecure_port(place) or added
        port = port or added
    if not added:
        raise PortTakenError(host, port, GRPC_OPTION)
    return added
