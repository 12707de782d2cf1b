"""GET for a measurement: of public addresses, or of this machine where that is said, never else."""

import asyncio
import ipaddress
import socket
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from codetether_ray.core.measures import HttpMeasure

_MOST_BYTES = 2_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came back."""

    status: int
    text: str


async def get(measure: HttpMeasure) -> Answer:
    """The answer of a measure's address; a redirect is not followed.

    Raises:
        ValueError: the address may not be reached, or did not answer; with the reason.
    """
    import aiohttp
    from aiohttp.abc import AbstractResolver, ResolveResult

    addresses = await _allowed(measure)

    class Pinned(AbstractResolver):
        """Gives what was looked up and allowed: a second look-up could give something else."""

        async def resolve(
            self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
        ) -> list[ResolveResult]:
            return [
                ResolveResult(
                    hostname=host,
                    host=address,
                    port=port,
                    family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                    proto=0,
                    flags=0,
                )
                for address in addresses
            ]

        async def close(self) -> None:
            """Nothing is held."""

    timeout = aiohttp.ClientTimeout(total=measure.timeout_s)
    connector = aiohttp.TCPConnector(resolver=Pinned(), use_dns_cache=False)
    try:
        async with (
            aiohttp.ClientSession(connector=connector, timeout=timeout) as session,
            session.get(measure.url, allow_redirects=False) as response,
        ):
            body = await response.content.read(_MOST_BYTES)
            while len(body) < _MOST_BYTES and (more := await response.content.read(_MOST_BYTES)):
                body += more
            return Answer(status=response.status, text=body.decode("utf-8", "replace"))
    except TimeoutError:
        raise ValueError(f"no answer within {measure.timeout_s:g} s") from None
    except aiohttp.ClientError as error:
        raise ValueError(f"{measure.url} did not answer: {error}") from None


async def _allowed(measure: HttpMeasure) -> tuple[str, ...]:
    parts = urlsplit(measure.url)
    host = parts.hostname or ""
    port = parts.port or (443 if parts.scheme == "https" else 80)
    loop = asyncio.get_running_loop()
    try:
        found: list[Any] = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise ValueError(f"{host} has no address: {error.strerror or error}") from None
    addresses = tuple(dict.fromkeys(str(entry[4][0]) for entry in found))
    for address in addresses:
        if not _may_be_reached(address, measure.network):
            kind = "on this machine" if measure.network == "loopback" else "public"
            raise ValueError(f"{host} is {address}, which is not {kind}; it was not asked")
    return addresses


def _may_be_reached(address: str, network: str) -> bool:
    ip = ipaddress.ip_address(address.partition("%")[0])
    mapped = getattr(ip, "ipv4_mapped", None)
    ip = mapped or ip
    return ip.is_loopback if network == "loopback" else ip.is_global and not ip.is_multicast
