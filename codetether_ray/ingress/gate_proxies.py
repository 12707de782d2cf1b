"""Whose request it is, where it comes by a proxy that the ingress was told to believe."""

import ipaddress
from collections.abc import Iterable

from codetether_ray.core.errors import ConfigError

_MOST_HOPS = 32


class Proxies:
    """The proxies that are believed; by default none, and then `X-Forwarded-For` says nothing."""

    def __init__(self, networks: Iterable[str] = ()) -> None:
        """Believe these addresses and networks.

        Raises:
            ConfigError: one of them is neither.
        """
        try:
            self._networks = tuple(ipaddress.ip_network(n, strict=False) for n in networks)
        except ValueError as error:
            raise ConfigError(f"a trusted proxy must be an address or a network: {error}") from None

    def client(self, peer: str, forwarded: Iterable[str]) -> str:
        """The client's address: the last one in `X-Forwarded-For` that no believed proxy has.

        `forwarded` are the header's values, in the order in which they came.
        """
        if not self._networks or not self._trusts(peer):
            return peer
        hops = [hop.strip() for value in forwarded for hop in value.split(",")]
        nearest = peer
        for hop in reversed(hops[-_MOST_HOPS:]):
            if not _is_address(hop):
                return nearest
            nearest = hop
            if not self._trusts(hop):
                return hop
        return nearest

    def _trusts(self, address: str) -> bool:
        try:
            found = ipaddress.ip_address(address)
        except ValueError:
            return False
        return any(found in network for network in self._networks)


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
