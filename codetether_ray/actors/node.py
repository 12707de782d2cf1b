"""One light actor per node, in whose process is done what concerns that node's files and processes.

Trees and repository caches, memory as seen, what the head's data directory holds: each is a plain
function elsewhere, called here by its name.
"""

import asyncio
import importlib
import inspect
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import ray
from ray.exceptions import RayError, RayTaskError

from codetether_ray import __version__
from codetether_ray.actors.calls import reason, translated
from codetether_ray.actors.classes import made_remote
from codetether_ray.actors.cluster import NAMESPACE
from codetether_ray.actors.nodes import on_node, this_node
from codetether_ray.actors.pulse import plain
from codetether_ray.core.errors import ClusterError

DATA_DIR = "codetether_ray.config.paths:data_dir"
"""Finds a node's data directory by the variables of that node's Ray."""
_CALLS_AT_ONCE = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeHome:
    """What a function finds that is called on a node."""

    node: str
    """Ray's id of it."""
    host: str
    data_dir: Path
    """This node's own: where its trees and caches lie; the head's is the cluster's truth."""
    state: dict[str, Any] = field(default_factory=dict)
    """Kept from call to call, as long as the process lives; each room uses keys of its own name."""


NodeFunction = Callable[..., Any]
"""Takes a `NodeHome` and plain arguments; a coroutine function runs in the actor's loop, any other
in a thread."""


class Node:
    """The class of the actor; `RayNode` is its client."""

    def __init__(self, locate: str) -> None:
        """Serve the node that this process is on; `locate` names what finds its data directory."""
        data_dir = Path(_named(locate)())
        self._home = NodeHome(node=this_node(), host=socket.gethostname(), data_dir=data_dir)

    def __repr__(self) -> str:
        return f"Node({self._home.host})"

    async def home(self) -> tuple[str, str, str]:
        """Its id, its host's name, its data directory."""
        return self._home.node, self._home.host, str(self._home.data_dir)

    async def call(self, function: str, arguments: tuple[Any, ...]) -> Any:
        """Call the function that `module:name` names."""
        found = _named(function)
        if inspect.iscoroutinefunction(found):
            return await cast("Awaitable[Any]", found(self._home, *arguments))
        return await asyncio.to_thread(found, self._home, *arguments)


class RayNode:
    """One node, reached from any other."""

    def __init__(self, id: str, actor: Any) -> None:
        self.id = id
        self.actor = actor

    @classmethod
    def on(cls, id: str, *, lasts: bool, locate: str = DATA_DIR) -> "RayNode":
        """The daemon of the node `id`, made if it is not there.

        `locate` names the function that finds that node's own data directory, on that node.
        `lasts`: it is shared and outlives this process, as on a cluster that was joined.
        """
        options: dict[str, Any] = {"name": f"node {id[:12]} {__version__}", "namespace": NAMESPACE}
        options["get_if_exists"] = True
        if lasts:
            options["lifetime"] = "detached"
        actor = (
            made_remote(Node)
            .options(
                num_cpus=0,
                max_restarts=-1,
                max_task_retries=0,
                max_concurrency=_CALLS_AT_ONCE,
                scheduling_strategy=on_node(id),
                **options,
            )
            .remote(locate)
        )
        return cls(id, actor)

    async def call(self, function: str, *arguments: Any) -> Any:
        """What the function `module:name` gives for `NodeHome` and `arguments` there.

        Raises:
            ClusterError: the node or its daemon is gone.
            CodetetherError: what the function raised.
        """
        try:
            return await plain(self.actor.call.remote(function, arguments))
        except RayTaskError as error:
            raise translated(error, f"node {self.id[:12]}") from error
        except RayError as error:
            raise ClusterError(f"node {self.id[:12]} does not answer: {reason(error)}") from error


def head_node() -> str:
    """The id of the cluster's head node: the one whose data directory is the cluster's truth.

    Raises:
        ClusterError: no living node says that it is the head.
    """
    for node in ray.nodes():
        if node["Alive"] and "node:__internal_head__" in node["Resources"]:
            return str(node["NodeID"])
    raise ClusterError("this cluster has no head node that is alive")


def living_nodes() -> tuple[str, ...]:
    """The ids of the cluster's nodes that are alive."""
    return tuple(str(node["NodeID"]) for node in ray.nodes() if node["Alive"])


def _named(function: str) -> NodeFunction:
    module, _, name = function.partition(":")
    return cast("NodeFunction", getattr(importlib.import_module(module), name))
