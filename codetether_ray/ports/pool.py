"""On what terms processes of agents are kept for the next ones."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolTerms:
    """How many processes wait for the next agent, and how long one serves."""

    warm: int = 0
    """Are kept ready on the pool's own node, even where nobody asks for them."""
    idle_s: float = 60.0
    """After so long without an agent a process ends."""
    idle_max: int = 16
    """No more than these wait at once."""
    agents_max: int = 200
    """A process serves so many agents (or packs of them), one after the other, and then ends."""
    age_max_s: float = 7200.0
    """And none begins in a process that is older."""
    starts_at_once: int = 0
    """On each node. A cold start is a second of CPU: a hundred at once all take a minute.

    0: twice the CPUs of the pool's own node."""
