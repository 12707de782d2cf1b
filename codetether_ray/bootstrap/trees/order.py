"""What a run's supervisor and the nodes on which its trees lie say to each other: plain values."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from codetether_ray.ports.workspace import Commit
from codetether_ray.workspace.records import RunRecord
from codetether_ray.workspace.repos import Origin

Neighbour = Literal["same", "apart", "own"]
"""What a node has of the run's home: its very files and processes; its files, on another machine;
nothing."""


class NodeCalls(Protocol):
    """One node, on which functions of `trees.node` are called by their names."""

    async def call(self, function: str, *arguments: Any) -> Any:
        """What a function gives there.

        Raises:
            ClusterError: the node is gone.
            CodetetherError: what the function raised.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Nodes:
    """The nodes of a cluster, from a supervisor's: its own, and how any other is reached."""

    home: str
    reach: Callable[[str], NodeCalls]


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """A run, as a node has to know it to make trees of it."""

    run_id: str
    record: RunRecord
    origin: Origin
    room: str
    """Name of the directory of the repository's trees."""
    prefix: str = ""
    setup: str = ""
    apart: bool = False
    """The node sees the home's data directory: it keeps its own things beside."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A tree to be made: its id, its branch with the tip, where it starts, how far it had come."""

    id: str
    branch: str
    start: str
    tip: str
    snapshot: str = ""
    """What the agent's last recorded step left; empty for nothing."""

    @property
    def wanted(self) -> tuple[str, ...]:
        """The commits that a node needs for it."""
        return tuple(dict.fromkeys(oid for oid in (self.start, self.tip, self.snapshot) if oid))


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """What a node lacks, what it has, and the box that waits for a pack (empty: none)."""

    lacking: tuple[str, ...] = ()
    have: tuple[str, ...] = ()
    box: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Returned:
    """A commit made on a node, with its pack: `data`, or `size` bytes that wait there as `box`."""

    commit: Commit
    data: bytes = b""
    box: str = ""
    size: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Collected:
    """A run's branches by their refs, and their pack as in `Returned`."""

    refs: dict[str, str]
    data: bytes = b""
    box: str = ""
    size: int = 0


class Home(Protocol):
    """What a function finds on a node; see `actors.node.NodeHome`."""

    @property
    def node(self) -> str:
        """Ray's id of it."""
        ...

    @property
    def host(self) -> str:
        """Its name."""
        ...

    @property
    def data_dir(self) -> Path:
        """Its own data directory."""
        ...

    @property
    def state(self) -> dict[str, Any]:
        """Kept from call to call."""
        ...
