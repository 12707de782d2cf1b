"""The gRPC server of an ingress: every service behind the gate, on one port."""

from typing import Any

import grpc

from codetether_ray.ingress.gate_grpc import GateInterceptor
from codetether_ray.ingress.grpc import health, reflection
from codetether_ray.ingress.grpc.errors import ErrorInterceptor
from codetether_ray.ingress.grpc.services import modules, service_names
from codetether_ray.ingress.parts import Parts

_PING_S = 30
"""A client that says nothing that long is asked whether it lives."""
_PONG_S = 20
_STREAMS = 1_000
"""Calls at once on one connection."""


def build_server(parts: Parts, *, shares_port: bool = True) -> grpc.aio.Server:
    """A server of all services; whoever builds it adds its ports and starts it.

    Args:
        parts: the ingress.
        shares_port: other processes may listen on the same port.
    """
    server = grpc.aio.server(
        interceptors=[GateInterceptor(parts.gate), ErrorInterceptor()],
        options=_options(parts.options.max_body_bytes, shares_port=shares_port),
    )
    for module in modules():
        add: Any = getattr(module, "add_to")  # noqa: B009 - a module's function
        add(server, parts)
    names = service_names()
    health.add_to(server, names)
    reflection.add_to(server, names)
    return server


def _options(max_bytes: int, *, shares_port: bool) -> list[tuple[str, int]]:
    return [
        ("grpc.max_receive_message_length", max_bytes),
        ("grpc.max_send_message_length", -1),
        ("grpc.so_reuseport", int(shares_port)),
        ("grpc.keepalive_time_ms", _PING_S * 1000),
        ("grpc.keepalive_timeout_ms", _PONG_S * 1000),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
        ("grpc.http2.max_ping_strikes", 5),
        ("grpc.max_concurrent_streams", _STREAMS),
    ]
