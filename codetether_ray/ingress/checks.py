"""What is looked at before an ingress is started, and where: one sentence instead of a log."""

import ipaddress
from dataclasses import asdict, replace
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, get_args, get_origin, get_type_hints

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
    known = get_type_hints(IngressOptions)
    found: dict[str, Any] = {}
    for name, value in values.items():
        if name not in known:
            raise ConfigError(f"an ingress has no option {name!r}; it has: {', '.join(known)}")
        found[name] = _fitting(name, value, known[name])
    return IngressOptions(**found)


def _fitting(name: str, value: Any, hint: Any) -> Any:
    """The value as an option's type has it: JSON's lists are tuples, its whole numbers may be
    meant as any."""
    origin = get_origin(hint)
    kinds = get_args(hint) if origin is UnionType else (origin or hint,)
    if tuple in kinds and isinstance(value, list | tuple):
        if all(type(one) is str for one in value):
            return tuple(value)
    elif float in kinds and type(value) is int:
        return float(value)
    elif type(value) in kinds:
        return value
    words = " or ".join("nothing" if kind is NoneType else kind.__name__ for kind in kinds)
    raise ConfigError(f"the ingress' option {name} is to be of type {words}, not {value!r}")


def settled(options: IngressOptions) -> IngressOptions:
    """The options with both ports numbers that nobody here listens on.

    Raises:
        PortTakenError: somebody does.
        AddressError: the host is none of this machine's.
        ConfigError: its certificate cannot be used, or other nodes cannot have that address.
        UsageError: both ports are one.
    """
    demand_two(options.port, options.grpc_port)
    if options.is_spread and not _may_be_everywhere(options.hostname):
        raise ConfigError(
            f"with --spread each replica listens at its own node, and {options.hostname} is one "
            "node's address; give --hostname 0.0.0.0"
        )
    read_certificate(options)
    if options.directory and not Path(options.directory).is_dir():
        raise ConfigError(f"there is no directory {options.directory} to work on")
    port = free_port(options.hostname, options.port)
    grpc_port = free_port(options.hostname, options.grpc_port, GRPC_OPTION)
    while grpc_port == port:  # both were 0, and none of them is kept
        grpc_port = free_port(options.hostname, options.grpc_port, GRPC_OPTION)
    return replace(options, port=port, grpc_port=grpc_port)


def _may_be_everywhere(host: str) -> bool:
    """Whether more than one node can have it: all addresses, loopback, or a name."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return True
    return address.is_unspecified or address.is_loopback


def checked(_: Home, values: dict[str, Any]) -> dict[str, Any]:
    """`settled`, asked of the head's node with the options' values."""
    return asdict(settled(IngressOptions(**values)))
