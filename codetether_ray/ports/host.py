"""Where one agent's process lives. The runtime decides who may start; a host starts it."""

from dataclasses import dataclass
from typing import Protocol

from codetether_ray.core.messages import Message
from codetether_ray.core.spec import AgentSpec, TurnResult


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeCapacity:
    """One node: what it could give, and what it has free as seen now."""

    node: str
    """Ray's id of it; empty for the node of this process."""
    host: str = ""
    """Its name, for people."""
    cpus: float
    memory_bytes: int
    free_memory_bytes: int
    labels: tuple[tuple[str, str], ...] = ()
    floor_bytes: int = 0
    """What must stay free there; below it, Ray's memory monitor would kill."""
    is_draining: bool = False
    """It is about to go: nothing more is admitted there."""
    is_silent: bool = False
    """It did not say what it has free, so nothing more is admitted there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Capacity:
    """What the nodes of a host could give (totals) and what they have free as seen now.

    `largest_memory_bytes` is the total of the largest node: more than that is infeasible.
    """

    cpus: float
    memory_bytes: int
    free_memory_bytes: int
    largest_memory_bytes: int
    nodes: tuple[NodeCapacity, ...] = ()
    """Each node, where there are several to choose from."""
    growth: tuple[NodeCapacity, ...] = ()
    """Kinds of node that an autoscaler could still add: who fits none but these waits for one."""
    floor_bytes: int = 0
    """See `NodeCapacity`; where there are no nodes to choose from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """The process that a started agent lives in, maybe with others."""

    node: str = ""
    """Ray's id of its node; empty for the run's own process."""
    host: str = ""
    process: str = ""
    """The process, told from all others of the run: `HOST:PID`."""
    served: int = 0
    """How many agents it had served before this one."""


class AgentProcess(Protocol):
    """One started agent."""

    @property
    def place(self) -> Place:
        """Where it lives."""
        ...

    async def turn(self, message: Message) -> TurnResult:
        """Give it a turn (or let it go on with the one its journal shows unfinished).

        Cancelling the caller cancels the turn.

        Raises:
            AgentLostError: its process died.
        """
        ...

    async def cancel(self) -> None:
        """Cancel the running turn, if any; it ends with outcome `cancelled`."""
        ...

    async def leave(self) -> None:
        """Have it stop after its present step, its turn open: `turn` then raises `NodeLostError`.

        So an agent moves whose node is about to go; a turn that ends first ends as it does.
        """
        ...

    async def end(self) -> None:
        """End it and its tool processes. Idempotent; never raises for a dead one."""
        ...


class AgentHost(Protocol):
    """Starts agents in this process, or as Ray actors."""

    async def start(self, spec: AgentSpec, *, attempt: int = 0) -> AgentProcess:
        """Start an agent; it rebuilds itself from its journal.

        Raises:
            AgentLostError: it could not be started (an infrastructure fault).
        """
        ...

    async def capacity(self) -> Capacity:
        """What there is."""
        ...

    async def close(self) -> None:
        """End what was started."""
        ...
