"""What one node of a cluster told of itself."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Examined:
    """One node. Either `facts` hold what it answered, or `trouble` why it did not."""

    id: str
    host: str
    address: str
    """Its IP address, and the ports on which other nodes and drivers must reach it."""
    ports: tuple[int, ...] = ()
    is_head: bool = False
    facts: Mapping[str, Any] = field(default_factory=dict)
    trouble: str = ""
    ahead_s: float = 0.0
    """How far its clock is ahead of this process's."""
    within_s: float = 0.0
    """Half the time that asking took: the clocks are not told apart finer than that."""
