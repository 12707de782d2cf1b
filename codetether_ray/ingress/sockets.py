"""Sockets to listen on: at a name or an address, alone or shared with other processes."""

import errno
import os
import socket
from collections.abc import Sequence

from codetether_ray.core.errors import AddressError, PortTakenError, UsageError

BACKLOG = 1024
GRPC_OPTION = "--grpc-port"
HTTP_OPTION = "--port"


def addresses_of(host: str) -> tuple[str, ...]:
    """The addresses that a name or an address stands for, each once, IPv4 first.

    Raises:
        AddressError: nobody knows the name.
    """
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or "no such name"
        raise AddressError(host, 0, reason) from error
    ordered = sorted(found, key=lambda one: one[0] != socket.AF_INET)
    return tuple(dict.fromkeys(str(one[4][0]) for one in ordered))


def bound(host: str, port: int, *, shares: bool, option: str = HTTP_OPTION) -> list[socket.socket]:
    """Sockets that are bound to all addresses of a host, at one port (0: any free one).

    `shares`: other processes may be bound to the same, if they say so too (SO_REUSEPORT).

    Raises:
        PortTakenError: somebody else listens there.
        AddressError: that is not an address of this machine, or the port may not be used.
    """
    made: list[socket.socket] = []
    try:
        for address in addresses_of(host):
            one = _bound(host, address, port, shares=shares, option=option)
            if one is not None:
                made.append(one)
                port = port or one.getsockname()[1]
    except BaseException:
        close_all(made)
        raise
    if not made:
        raise AddressError(host, port, "this machine has no such address")
    return made


def free_port(host: str, port: int, option: str = HTTP_OPTION) -> int:
    """The port, if nobody listens there; a free one for 0. It is looked at, not kept.

    Raises:
        PortTakenError: somebody listens there, sharing it or not.
        AddressError: that is not an address of this machine, or the port may not be used.
    """
    looked = bound(host, port, shares=False, option=option)
    number: int = looked[0].getsockname()[1]
    close_all(looked)
    return number


def demand_two(port: int, grpc_port: int) -> None:
    """Refuse one port for both.

    Raises:
        UsageError: they are the same.
    """
    if port == grpc_port != 0:
        raise UsageError(f"--port and --grpc-port are both {port}; give them different ports")


def close_all(sockets: Sequence[socket.socket]) -> None:
    """Close them."""
    for one in sockets:
        one.close()


def _bound(host: str, address: str, port: int, *, shares: bool, option: str) -> (
    socket.socket | None
):  # fmt: skip
    """One socket; None where a name stands for an address that this machine has not (IPv6 off)."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        made = socket.socket(family, socket.SOCK_STREAM)
    except OSError:
        return None
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if shares:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        made.bind((address, port))
    except OSError as error:
        made.close()
        if error.errno == errno.EADDRINUSE:
            raise PortTakenError(host, port, option) from error
        if error.errno == errno.EADDRNOTAVAIL and address != host:
            return None
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise AddressError(host, port, reason) from error
    made.setblocking(False)
    return made
