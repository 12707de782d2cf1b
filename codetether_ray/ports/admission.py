"""Who may start, and where: permits for a share of a node, and the queue before them."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from enum import IntEnum
from typing import Literal, Protocol

Placement = Literal["spread", "pack"]
"""`spread`: where least is reserved. `pack`: where its files are already, then where most is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """What one agent takes, and where it may live."""

    agent: str = ""
    """Who it is for; for people."""
    memory_bytes: int = 0
    cpus: float = 0.0
    node: str | None = None
    """The one node that it can live on (its parent's, the run's own); None: any."""
    near: tuple[str, ...] = ()
    """Nodes that have its files already: these first, where it fits."""
    avoid: tuple[str, ...] = ()
    """Nodes that failed it: these only where no other could ever hold it."""
    labels: tuple[tuple[str, str], ...] = ()
    """What its node must be labelled with."""
    placement: Placement = "spread"


class Rank(IntEnum):
    """Who of a run goes first: parents that take their permit back, agents that have to go on
    elsewhere, children, new agents.

    So a tree that has begun is finished before another one is begun.
    """

    RETURNING = 0
    MOVING = 1
    CHILD = 2
    NEW = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Party:
    """Who asks for permits: a run, and whose it is.

    Parties share what there is: first those that somebody waits for, then evenly between
    principals, then evenly between the runs of each.
    """

    run_id: str = ""
    principal: str = ""
    is_interactive: bool = False
    """Somebody sits before it: its agents go before those of runs that work by themselves."""
    max_live: int | None = None
    """How many of its agents may live at once, whatever fits."""
    max_memory_bytes: int | None = None
    """What its agents may take together, whatever there is."""


class Permit(Protocol):
    """The right to live on a node. Given back by `release`; lent while its holder waits."""

    @property
    def node(self) -> str:
        """Id of the node that it is for; empty where the host has but one."""
        ...

    @property
    def largest_bytes(self) -> int:
        """The most memory that an agent in this one's place could be given, on any node."""
        ...

    @property
    def is_lent(self) -> bool:
        """Whether its holder waits for children now."""
        ...

    def release(self) -> None:
        """Give it back for good. Idempotent."""
        ...

    def lent(self) -> AbstractAsyncContextManager[None]:
        """Let others use it inside the block; it is taken back, with priority, at the end.

        Blocks may overlap (a parent of several children): it is taken back after the last.
        """
        ...


class Admission(Protocol):
    """Hands out permits to one party.

    Keeps true: reservations never exceed what a node has; nothing is admitted to a node that is
    about to go, or that would be left with too little memory free; the first that waits for a node
    is not overtaken there.
    """

    async def acquire(
        self,
        need: Need,
        *,
        rank: Rank = Rank.NEW,
        priority: int = 0,
        on_wait: Callable[[str], None] | None = None,
    ) -> Permit:
        """Wait for a permit. `on_wait` is told once, if there is a wait, what it is for.

        Raises:
            InfeasibleError: no node could ever give that much.
            NodeLostError: the one node that it can live on is gone.
        """
        ...

    async def close(self) -> None:
        """Let go of what is still held."""
        ...
