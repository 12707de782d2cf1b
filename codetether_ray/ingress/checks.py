"""What is looked at on the head before replicas are started there: one sentence, not a log."""

from dataclasses import asdict, replace
from typing import Any

from codetether_ray.bootstrap.truth.identity import Home
from codetether_ray.ingress.certificates import read_certificate
from codetether_ray.ingress.options import IngressOptions
from codetether_ray.ingress.sockets import GRPC_OPTION, demand_two, free_port

CHECKED = f"{__name__}:checked"


def settled(options: IngressOptions) -> IngressOptions:
    """The options with both ports numbers that nobody here listens on.

    Raises:
        PortTakenError: somebody does.
        AddressError: the host is none of this machine's.
        ConfigError: its certificate cannot be used.
        UsageError: both ports are one.
    """
    demand_two(options.port, options.grpc_port)
    read_certificate(options)
    port = free_port(options.hostname, options.port)
    grpc_port = free_port(options.hostname, options.grpc_port, GRPC_OPTION)
    while grpc_port == port:  # both were 0, and none of them is kept
        grpc_port = free_port(options.hostname, options.grpc_port, GRPC_OPTION)
    return replace(options, port=port, grpc_port=grpc_port)


def checked(_: Home, values: dict[str, Any]) -> dict[str, Any]:
    """`settled`, asked of the head's node with the options' values."""
    return asdict(settled(IngressOptions(**values)))
