"""Nodes on which a run's trees could not be made: its other agents go elsewhere meanwhile."""

from codetether_ray.ports.clock import Clock

_SHUNNED_S = 60.0
"""After this time one more agent finds out whether the node has been mended."""


class UnfitNodes:
    """Keeps true: a node that fails is told once, however many agents it would have had."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._until: dict[str, float] = {}

    def has(self, node: str) -> bool:
        """Whether agents that can go elsewhere should."""
        return self._clock.monotonic() < self._until.get(node, 0.0)

    def note(self, node: str) -> bool:
        """A tree could not be made there; whether nobody has said so yet."""
        is_news = node not in self._until
        self._until[node] = self._clock.monotonic() + _SHUNNED_S
        return is_news
