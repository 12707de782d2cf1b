"""Where a cluster's runs are recorded, as this process reaches it: directly, or by the head's node.

What is asked there is a plain function of this package, `module:name`, which is given the place's
home and plain values: called here where the truth is here, else in the head's node daemon.
"""

import asyncio
import importlib
import inspect
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from codetether_ray.bootstrap.truth.identity import mark

if TYPE_CHECKING:
    from codetether_ray.actors.node import RayNode
    from codetether_ray.bootstrap.truth.http import HttpHead


_PATIENCE_S = 600.0
"""For one answer: the head may have to read through many runs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalHome:
    """What a function finds that is called in this process."""

    data_dir: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """A data directory, here or on the head."""

    data_dir: Path
    """There."""
    id: str = ""
    """Of the data directory; empty here, where nobody asks."""
    node: "RayNode | None" = None
    """The head's node, where the truth is elsewhere; None: this process reads the files itself."""
    address: str = ""
    """The cluster's, where the truth is elsewhere."""
    http: "HttpHead | None" = None
    """The ingress that is asked instead of the node, for what it answers; see `questions`."""

    @property
    def is_here(self) -> bool:
        """Whether this process sees the very files."""
        return self.node is None and self.http is None

    @property
    def source(self) -> str:
        """Who says what a command prints, for people."""
        if self.http is not None:
            return f"the ingress at {self.address}"
        return "this machine" if self.is_here else f"the head at {self.address}"

    async def ask(self, function: str, *arguments: Any) -> Any:
        """What the function `module:name` gives for the home there and `arguments`.

        Raises:
            ClusterError: the head does not answer.
            CodetetherError: what the function raised.
        """
        if self.http is not None:
            return await self.http.ask_async(function, *arguments)
        if self.node is not None:
            return await self.node.call(function, *arguments)
        found = _named(function)
        home = LocalHome(data_dir=self.data_dir)
        if inspect.iscoroutinefunction(found):
            return await found(home, *arguments)
        return await asyncio.to_thread(found, home, *arguments)

    def ask_now(self, function: str, *arguments: Any) -> Any:
        """`ask` where there is no event loop; it blocks.

        Raises:
            ClusterError: the head does not answer.
            CodetetherError: what the function raised.
        """
        if self.http is not None:
            return self.http.ask(function, *arguments)
        if self.node is None:
            return _named(function)(LocalHome(data_dir=self.data_dir), *arguments)
        from codetether_ray.actors.truth import ask_now

        return ask_now(self.node, function, *arguments, patience_s=_PATIENCE_S)

    async def sees(self, directory: Path) -> bool:
        """Whether the supervisor's node has the very directory that is here."""
        if self.is_here:
            return True
        there = await self.ask(SEES, str(directory))
        return bool(there) and there == mark(directory)


_IDENTITY = "codetether_ray.bootstrap.truth.identity"
IDENTITY, SEES = f"{_IDENTITY}:identity", f"{_IDENTITY}:sees"


def _named(function: str) -> Any:
    module, _, name = function.partition(":")
    return getattr(importlib.import_module(module), name)


def truth_here(data_dir: Path) -> Truth:
    """The truth of a private Ray, of a head of one's own, or of no cluster at all."""
    return Truth(data_dir=data_dir)


async def find_truth(data_dir: Path, address: str) -> Truth:
    """The truth of the cluster that this process has joined: here, if the head's files are.

    Raises:
        ClusterError: the head does not answer.
    """
    from codetether_ray.actors.node import RayNode, head_node

    node = await asyncio.to_thread(RayNode.on, await asyncio.to_thread(head_node), lasts=True)
    found = await node.call(IDENTITY)
    if found["mark"] and found["mark"] == mark(data_dir):
        return truth_here(data_dir)
    return Truth(data_dir=Path(found["data_dir"]), id=found["id"], node=node, address=address)
