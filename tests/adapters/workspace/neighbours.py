"""Other nodes of a test: another data directory each, reached by the names of functions alone."""

import importlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from codetether_ray.bootstrap.trees.cluster import ClusterWorkspace, Elsewhere
from codetether_ray.core.errors import ClusterError
from codetether_ray.ports.snapshots import Kept, KeptKind
from codetether_ray.workspace.copy import CopyWorkspace
from codetether_ray.workspace.git import GitWorkspace
from codetether_ray.workspace.keeping import HubKeeping
from tests.adapters.workspace.repos import RUN


@dataclass
class FakeNode:
    """A node as `actors.node.Node` serves it; `is_lost`: nobody answers any more."""

    node: str
    data_dir: Path
    host: str = ""
    state: dict[str, Any] = field(default_factory=dict)
    is_lost: bool = False
    calls: list[str] = field(default_factory=list)
    received: int = 0
    """Bytes of packs."""
    largest: int = 0
    """Bytes of the largest piece."""
    breaks_after: int = -1
    """Pieces that arrive before the sender's connection is cut; -1: all."""

    def __post_init__(self) -> None:
        self.host = self.host or self.node

    async def call(self, function: str, *arguments: Any) -> Any:
        if self.is_lost:
            raise ClusterError(f"node {self.node} does not answer")
        module, _, name = function.partition(":")
        self.calls.append(name)
        if name == "put":
            self.received += len(arguments[-1])
            self.largest = max(self.largest, len(arguments[-1]))
            if not self.breaks_after:
                raise ClusterError(f"node {self.node} does not answer")
            self.breaks_after -= 1
        return await getattr(importlib.import_module(module), name)(self, *arguments)


class Cluster:
    """Nodes, made when they are asked for, and what a journal would say of the last steps."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self.nodes: dict[str, FakeNode] = {}
        self.recorded: dict[str, str] = {}

    def node(self, id: str) -> FakeNode:
        if id not in self.nodes:
            self.nodes[id] = FakeNode(id, self._root / id / "data")
        return self.nodes[id]

    async def last(self, subtask: str) -> str:
        return self.recorded.get(subtask, "")

    def over(
        self, inner: GitWorkspace | CopyWorkspace, run: str = RUN, **terms: Any
    ) -> ClusterWorkspace:
        made = Elsewhere(
            run_id=run, home="home", reach=self.node, recorded=self.last, room="project-1", **terms
        )
        return ClusterWorkspace(inner, made)


class Link:
    """An agent's way from a node to the run's hub; `life` is its process."""

    def __init__(self, hub: HubKeeping, agent: str, life: str) -> None:
        self._hub, self._agent, self._life = hub, agent, life

    async def keep(self, kind: KeptKind, old: str, new: str, pack: Path) -> None:
        kept = Kept(kind=kind, old=old, new=new, data=pack.read_bytes())
        await self._hub.keep(self._agent, self._life, kept)
