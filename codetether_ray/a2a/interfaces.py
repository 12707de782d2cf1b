"""Which interface of a card a client uses, and whether it may show its token there. Pure.

A card is what somebody else says: it could name an interface at any address. A token goes only to
the host at which the card was found. A server that listens at all addresses calls itself by the
machine's name: where one of its HTTP interfaces has the very scheme and port of the card, and that
is no usual port, it is asked at the card's host instead.
"""

import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import SplitResult, urlsplit

JSONRPC, REST, GRPC = "JSONRPC", "HTTP+JSON", "GRPC"
BINDINGS = (JSONRPC, REST, GRPC)
"""In the order in which they are preferred."""
VERSIONS = ("1.0", "0.3")
_PORTS = {"http": 80, "https": 443}


class Offered(Protocol):
    """What of `a2a.types.AgentInterface` matters."""

    @property
    def url(self) -> str:
        """Where it is."""
        ...

    @property
    def protocol_binding(self) -> str:
        """Its transport."""
        ...

    @property
    def protocol_version(self) -> str:
        """Of the protocol; empty: it does not say."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """An interface to be used."""

    url: str
    binding: str
    version: str
    is_same_host: bool
    """Whether it is where the card is: then it may be shown a token."""
    is_secure: bool
    """Of gRPC: by TLS, as the card came."""


def choose(
    offered: Sequence[Offered], base: str, bindings: Iterable[str] = BINDINGS
) -> Choice | None:
    """The interface to use: by transport, those at the card's own host and newer versions first.

    Args:
        offered: a card's interfaces.
        base: where the card was found.
        bindings: the transports that will do, in order.
    """
    home = urlsplit(base)
    alias = _alias(offered, home)
    found = [choice for one in offered if (choice := _choice(one, home, alias)) is not None]
    for binding in bindings:
        for same in (True, False):
            for version in VERSIONS:
                for choice in found:
                    key = (choice.binding, choice.is_same_host, choice.version)
                    if key == (binding, same, version):
                        return choice
    return None


def _choice(offered: Offered, home: SplitResult, alias: str) -> Choice | None:
    """An interface as a client would use it; None where it can't."""
    version = _version(offered.protocol_version)
    binding = offered.protocol_binding
    parts = _parts(offered.url)
    if not version or binding not in BINDINGS or parts is None or not parts.hostname:
        return None
    is_http = binding != GRPC
    if is_http and parts.scheme not in _PORTS:
        return None
    is_same = _is_same(parts.hostname, home.hostname or "") or parts.hostname == alias
    if is_http and (home.scheme, parts.scheme) == ("https", "http"):
        is_same = False  # a token that came by TLS does not go on without
    host = (home.hostname or "") if is_same else parts.hostname
    where = f"[{host}]" if ":" in host else host
    if parts.port is not None:
        where += f":{parts.port}"
    url = f"{parts.scheme}://{where}{parts.path}" if is_http else where
    return Choice(
        url=url,
        binding=binding,
        version=version,
        is_same_host=is_same,
        is_secure=home.scheme == "https",
    )


def _alias(offered: Sequence[Offered], home: SplitResult) -> str:
    """The name that the card's server calls itself by; empty: none."""
    if home.port in (None, *_PORTS.values()):
        return ""
    for one in offered:
        parts = _parts(one.url)
        is_http = parts is not None and one.protocol_binding in (JSONRPC, REST)
        if parts is not None and is_http and _place(parts) == _place(home):
            return parts.hostname or ""
    return ""


def _place(parts: SplitResult) -> tuple[str, int | None]:
    return parts.scheme, parts.port or _PORTS.get(parts.scheme)


def _parts(url: str) -> SplitResult | None:
    try:
        parts = urlsplit(url if "://" in url else f"//{url}")
        _ = parts.port
    except ValueError:
        return None
    return None if "@" in parts.netloc else parts


def _version(text: str) -> str:
    """`1.0` or `0.3`; empty: neither. Who says nothing speaks 1.0."""
    short = ".".join((text or VERSIONS[0]).split(".")[:2])
    return short if short in VERSIONS else ""


def _is_same(one: str, other: str) -> bool:
    return one.lower() == other.lower() or (_is_loopback(one) and _is_loopback(other))


def _is_loopback(host: str) -> bool:
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
