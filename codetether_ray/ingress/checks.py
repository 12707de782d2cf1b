"""What is looked at before an ingress is started, and where: one sentence instead of a log."""

from dataclasses import asdict, fields, replace
from typing import Any

from codetether_ray.bootstrap.truth.identity import Home
from codetether_ray.core.errors import ConfigError
from codetether_ray.ingress.certificates import read_certificate
from codetether_ray.ingress.options import IngressOptions
from codetether_ray.ingress.sockets import GRPC_OPTION, demand_two, free_port

CHECKED = f"{__name__}:checked"


def options_of(values: dict[str, Any]) -> IngressOptions:
    """The options that plain values say, as `serve.yaml` has them.

    Raises:
        ConfigError: there is no such option, or a value is of another type.
    """
    known = {one.name: one for one in fields(IngressOptions)}
    found: dict[str, Any] = {}
    for name, value in values.items():
        if name not in known:
            raise ConfigError(f"an ingress has no option {name!r}; it has: {', '.join(known)}")
        wanted = type(known[name].default)
        value = tuple(value) if wanted is tuple and isinstance(value, list) else value
        if type(value) is not wanted:
            raise ConfigError(f"the ingress' option {name} is to be of type {wanted.__name__}")
        found[name] = value
    return IngressOptions(**found)


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
