"""Where pushes may go: to public addresses alone, unless it is allowed otherwise.

A name is resolved once, when the connection is made, and the connection goes to the address that
was looked at: a name that answers differently the second time gains nothing.
"""

import asyncio
import ipaddress
import socket
from urllib.parse import SplitResult, urlsplit

from a2a.types import InvalidParamsError
from aiohttp.abc import AbstractResolver, ResolveResult

_MOST_CHARACTERS = 2_000
_LOOK_UP_S = 2.0


class NotPublicError(OSError):
    """A name stands for an address that pushes may not go to."""


def is_public(address: str) -> bool:
    """Whether an address is one of the internet's; what is no address is not.

    An IPv4 address that is wrapped in an IPv6 one is judged by itself.
    """
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(found, ipaddress.IPv6Address):
        wrapped = found.ipv4_mapped or found.sixtofour or _translated(found)
        found = found if wrapped is None else wrapped
    return found.is_global and not (found.is_multicast or found.is_reserved)


def _translated(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """The IPv4 address behind RFC 6052's well-known prefix."""
    if address in ipaddress.IPv6Network("64:ff9b::/96"):
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return None


class PublicResolver(AbstractResolver):
    """Resolves names, and gives public addresses alone."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """See the base.

        Raises:
            NotPublicError: one of the name's addresses is not public.
        """
        found = await asyncio.get_running_loop().getaddrinfo(
            host, port, type=socket.SOCK_STREAM, family=family, flags=socket.AI_ADDRCONFIG
        )
        results: list[ResolveResult] = []
        for kind, _, protocol, _, place in found:
            address = str(place[0])
            if not is_public(address):
                raise NotPublicError(f"{host} stands for {address}, which is not public")
            results.append(
                ResolveResult(
                    hostname=host,
                    host=address,
                    port=port,
                    family=kind,
                    proto=protocol,
                    flags=socket.AI_NUMERICHOST,
                )
            )
        return results

    async def close(self) -> None:
        """Nothing is open."""


async def check_url(url: str, *, allows_private: bool) -> None:
    """Whether a URL may be pushed to, as far as can be told before it is.

    A name that can't be resolved now is let through: it is looked at again at each delivery.

    Raises:
        InvalidParamsError: it may not.
    """
    parts = parse_url(url)
    host = parts.hostname or ""
    if allows_private:
        return
    if is_literal(host):
        if not is_public(host):
            raise InvalidParamsError(f"url: {host} is no public address")
        return
    if host.rstrip(".").lower().endswith("localhost"):
        raise InvalidParamsError(f"url: {host} is this machine, and no public address")
    try:
        async with asyncio.timeout(_LOOK_UP_S):
            await PublicResolver().resolve(host, parts.port or 0)
    except NotPublicError as error:
        raise InvalidParamsError(f"url: {error}") from None
    except (OSError, TimeoutError, UnicodeError):
        return


def parse_url(url: str) -> SplitResult:
    """A URL's parts.

    Raises:
        InvalidParamsError: it is none of HTTP's, or carries credentials.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise InvalidParamsError("url is not a URL") from None
    is_whole = parts.scheme in ("http", "https") and parts.hostname and port != 0
    if not is_whole or len(url) > _MOST_CHARACTERS or not url.isprintable() or " " in url:
        raise InvalidParamsError(
            f"url must be http:// or https:// with a host, of at most {_MOST_CHARACTERS} characters"
        )
    if parts.username is not None or parts.password is not None:
        raise InvalidParamsError("url must not carry credentials; put them into authentication")
    return parts


def is_literal(host: str) -> bool:
    """Whether a host is an address, and no name."""
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True
