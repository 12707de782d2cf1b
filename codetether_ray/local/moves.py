"""What became of an agent on the nodes where it was, and so what it needs of the next one."""

from dataclasses import dataclass

from codetether_ray.core.errors import AgentLostError, MemoryExceededError
from codetether_ray.core.spec import AgentSpec
from codetether_ray.ports.admission import Need, Permit

_MOST = 20
"""Nodes that may be lost below one turn of an agent: spot nodes go, but not for ever."""
_AVOIDED = 4  # how many of the nodes that failed it are remembered
_GROWTH = 2
_MOST_GROWTH = 16
"""Times what it asked for: who needs still more should say so, and a runaway ends."""


@dataclass(slots=True, eq=False)
class Moves:
    """Keeps true: after a lack of memory an agent asks for more than it had, or ends truthfully."""

    tree_on: str | None = None
    """The node (as a permit names it) that has the agent's tree; None: not made yet."""
    memory_bytes: int | None = None
    """What it is to have, where that is not what it asked for."""
    asked_bytes: int = 0
    avoid: tuple[str, ...] = ()
    count: int = 0

    def need(self, spec: AgentSpec, node: str | None, used: tuple[str, ...]) -> Need:
        """What to ask for; `node` is the only one that it can live on, `used` have the run's files.

        It goes back to its tree where it can.
        """
        mine = () if self.tree_on is None or self.tree_on in self.avoid else (self.tree_on,)
        return Need(
            agent=spec.path,
            memory_bytes=self.memory_bytes or spec.memory_bytes,
            cpus=spec.cpus,
            node=node,
            near=mine or (used if spec.placement == "pack" else ()),
            avoid=self.avoid,
            labels=spec.labels if node is None else (),
            placement=spec.placement,
        )

    def note(self, lost: AgentLostError, permit: Permit, had_bytes: int) -> None:
        """Its node is gone, or what it had there was too little.

        Raises:
            AgentLostError: `lost`; another life would end no better.
        """
        self.count += 1
        if self.count > _MOST:
            raise lost
        if isinstance(lost, MemoryExceededError):
            grown = self.grown(had_bytes, permit)
            if grown <= had_bytes:
                raise lost
            self.memory_bytes = grown
        self.shun(permit.node)

    def grown(self, had_bytes: int, permit: Permit) -> int:
        """What comes after what it had; no more than that, where there is no more to give."""
        self.asked_bytes = self.asked_bytes or had_bytes
        most = min(permit.largest_bytes, self.asked_bytes * _MOST_GROWTH)
        return min(had_bytes * _GROWTH, most)

    def shun(self, node: str) -> None:
        """Go elsewhere from now on, where there is an elsewhere."""
        if node not in self.avoid:
            self.avoid = (*self.avoid, node)[-_AVOIDED:]
