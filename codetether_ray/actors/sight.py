"""What each node of a cluster has, and has free as seen there."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import ray
from ray.exceptions import RayError

from codetether_ray.actors.node import RayNode, head_node
from codetether_ray.actors.nodes import this_node
from codetether_ray.core.errors import ClusterError, CodetetherError
from codetether_ray.local.capacity import node_capacity
from codetether_ray.ports.host import Capacity, NodeCapacity

_LOOK = "codetether_ray.local.capacity:node_capacity"
_PATIENCE_S = 1.0
"""How long a look waits for a node; what it says later counts in the next look."""
FIRST_S = 10.0
"""How long a scheduler's first look waits: on some nodes the process that answers has to start, and
agents that are placed meanwhile would crowd the others."""
_BELIEVED_S = 5.0
"""How long a node's last word counts; then it is silent."""
_UNKNOWN_HOST = "a node"

Word = tuple[int, int]
"""Bytes free, and bytes that must stay free."""


class Sight:
    """Looks at all nodes: at this process's own itself, at others through a process there.

    Keeps true: a node that does not answer, or is about to go, is said to.
    """

    def __init__(self, *, first_s: float | None = None) -> None:
        """`first_s`: how long the first look waits for nodes; None: as long as any."""
        self._first_s = first_s
        self._here = this_node()
        self._nodes: dict[str, RayNode] = {}
        self._words: dict[str, tuple[float, Word]] = {}
        self._asking: dict[str, asyncio.Task[None]] = {}

    async def capacity(self) -> Capacity:
        """All living nodes, those that an autoscaler could add, and what all have together.

        Raises:
            ClusterError: the cluster does not say which nodes there are.
        """
        try:
            nodes, draining, growth = await asyncio.to_thread(_listed)
        except (RayError, RuntimeError, ValueError, OSError) as error:
            raise ClusterError(f"the cluster does not tell its nodes: {error}") from error
        await self._ask([str(node["NodeID"]) for node in nodes])
        seen = tuple(self._seen(node, draining) for node in nodes)
        return Capacity(
            cpus=sum(node.cpus for node in seen),
            memory_bytes=sum(node.memory_bytes for node in seen),
            free_memory_bytes=sum(node.free_memory_bytes for node in seen),
            largest_memory_bytes=max((node.memory_bytes for node in seen), default=0),
            nodes=seen,
            growth=growth,
        )

    async def close(self) -> None:
        """End the processes that looked: a node with an actor on it is never idle to Ray.

        Whoever needs one of them next makes it anew.
        """
        head = await asyncio.to_thread(head_node)
        for id, node in self._nodes.items():
            if id != head:
                with suppress(RayError, ValueError):
                    ray.kill(node.actor)
        self._nodes.clear()
        self._words.clear()

    async def _ask(self, ids: list[str]) -> None:
        for gone in set(self._nodes) - set(ids):
            del self._nodes[gone]
            self._words.pop(gone, None)
            self._asking.pop(gone, None)
        asked = [id for id in ids if id not in self._asking or self._asking[id].done()]
        for id in asked:
            self._asking[id] = asyncio.create_task(self._ask_one(id))
        if asked:  # a node that owes the answer of an earlier look is not waited for once more
            is_first = self._first_s is not None and not self._words
            patience_s = self._first_s if is_first else _PATIENCE_S
            await asyncio.wait({self._asking[id] for id in asked}, timeout=patience_s)

    async def _ask_one(self, id: str) -> None:
        if id == self._here:
            word = await asyncio.to_thread(node_capacity, None)
        else:
            try:
                node = self._nodes.get(id)
                if node is None:
                    node = self._nodes[id] = await asyncio.to_thread(RayNode.on, id, lasts=True)
                word = await node.call(_LOOK)
            except (CodetetherError, RayError, ValueError):
                self._nodes.pop(id, None)  # the next look finds its process again
                return
        self._words[id] = asyncio.get_running_loop().time(), word

    def _seen(self, node: Mapping[str, Any], draining: Mapping[str, int]) -> NodeCapacity:
        id, resources = str(node["NodeID"]), node["Resources"]
        when, (free, floor) = self._words.get(id, (float("-inf"), (0, 0)))
        return NodeCapacity(
            node=id,
            host=str(node.get("NodeManagerHostname") or _UNKNOWN_HOST),
            cpus=float(resources.get("CPU", 0.0)),
            memory_bytes=int(resources.get("memory", 0)),
            free_memory_bytes=free,
            floor_bytes=floor,
            labels=_labels(node.get("Labels") or {}),
            is_draining=id in draining,
            is_silent=asyncio.get_running_loop().time() - when > _BELIEVED_S,
        )


def is_draining(node: str) -> bool:
    """Whether a node is about to go. Blocks for a call of the cluster's control service."""
    return node in _draining()


def draining_nodes() -> frozenset[str]:
    """Nodes that are about to go. Blocks for a call of the cluster's control service."""
    return frozenset(_draining())


def _listed() -> tuple[list[dict[str, Any]], dict[str, int], tuple[NodeCapacity, ...]]:
    return [node for node in ray.nodes() if node["Alive"]], _draining(), _growth()


def _draining() -> dict[str, int]:
    from ray._private import state  # noqa: PLC0415 - Ray has no public call that tells it

    return dict(state.state.get_draining_nodes())


def _growth() -> tuple[NodeCapacity, ...]:
    """Kinds of node that the cluster's autoscaler may add, by its own configuration."""
    from ray._private import state  # noqa: PLC0415 - Ray has no public call that tells it

    config = None
    with suppress(RayError, RuntimeError, ValueError, AttributeError):
        config = state.state.get_cluster_config()
    return tuple(
        NodeCapacity(
            node="",
            host=group.name,
            cpus=float(group.resources.get("CPU", 0)),
            memory_bytes=int(group.resources.get("memory", 0)),
            free_memory_bytes=0,
            labels=_labels(dict(getattr(group, "labels", {}))),
        )
        for group in (config.node_group_configs if config is not None else ())
        if group.max_count
    )


def _labels(labels: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted((str(k), str(v)) for k, v in labels.items()))
