"""Addresses that fail to show a valid token, and how often they may. Pure but for the clock.

The rule: a token is looked at first, and a valid one comes in, whatever its address did before;
so nobody is locked out by others behind the same address. What is limited is failing: an address
that has spent its failures is told to wait. It is not what keeps tokens from being guessed: their
256 bits do.
"""

import ipaddress
import math
from collections import OrderedDict
from collections.abc import Callable

BURST = 20
"""Failures at once."""
EVERY_S = 3.0
"""How long it takes until one more failure is free."""
MOST_ADDRESSES = 10_000


class Failures:
    """A bucket for each address that failed lately; those that failed longest ago are forgotten."""

    def __init__(
        self,
        ticks: Callable[[], float],
        *,
        burst: int = BURST,
        every_s: float = EVERY_S,
        most: int = MOST_ADDRESSES,
    ) -> None:
        """`ticks` are seconds that never go back."""
        self._ticks, self._burst, self._every_s, self._most = ticks, burst, every_s, most
        self._full_at: OrderedDict[str, float] = OrderedDict()
        """When an address has all its failures back, by its key."""

    def blame(self, address: str) -> int:
        """Count a failure; 0, or the seconds to wait where there were too many."""
        key, now = network_of(address), self._ticks()
        full_at = max(self._full_at.pop(key, now), now)
        over = full_at + self._every_s - now - self._burst * self._every_s
        self._full_at[key] = full_at if over > 0 else full_at + self._every_s
        while len(self._full_at) > self._most:
            self._full_at.popitem(last=False)
        return max(1, math.ceil(over)) if over > 0 else 0

    def __len__(self) -> int:
        return len(self._full_at)


def network_of(address: str) -> str:
    """What counts as one address: of IPv6 the first 64 bits, since one host has all of them."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address[:64]
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped is not None:
            return str(found.ipv4_mapped)
        return str(ipaddress.ip_network((int(found) >> 64 << 64, 64)))
    return str(found)
