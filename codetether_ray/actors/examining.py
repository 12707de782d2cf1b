"""Asks every node of a cluster the same question, by its daemon."""

import asyncio
import time
from collections.abc import Mapping
from typing import Any

import ray

from codetether_ray.actors.examined import Examined
from codetether_ray.actors.node import RayNode
from codetether_ray.core.errors import CodetetherError

_PATIENCE_S = 45.0
"""A node's daemon may have to be started first, on a busy machine."""
_AT_ONCE = 32
_HEAD = "node:__internal_head__"
_LACKING = "No module named 'codetether_ray'"


async def examine_nodes(
    function: str, clock: str, about: Mapping[str, Any], patience_s: float = _PATIENCE_S
) -> tuple[Examined, ...]:
    """What `function` (`module:name`) gives on every living node, head first.

    It is given `about` with the other nodes' addresses as `peers`. `clock` names a function that
    gives the time there, in seconds since the epoch. A node that does not answer keeps nobody
    waiting for longer than `patience_s`.
    """
    nodes = [_outline(node) for node in await asyncio.to_thread(ray.nodes) if node["Alive"]]
    nodes.sort(key=lambda node: (not node.is_head, node.host, node.id))
    some = asyncio.Semaphore(_AT_ONCE)

    async def one(node: Examined) -> Examined:
        peers = [f"{p.address}:{port}" for p in nodes if p.id != node.id for port in p.ports]
        async with some:
            return await _ask(node, function, clock, {**about, "peers": peers}, patience_s)

    return tuple(await asyncio.gather(*(one(node) for node in nodes)))


def _outline(node: Mapping[str, Any]) -> Examined:
    return Examined(
        id=node["NodeID"],
        host=node["NodeManagerHostname"],
        address=node["NodeManagerAddress"],
        ports=tuple(p for p in (node["NodeManagerPort"], node["ObjectManagerPort"]) if p),
        is_head=_HEAD in node["Resources"],
    )


async def _ask(
    node: Examined, function: str, clock: str, about: Mapping[str, Any], patience_s: float
) -> Examined:
    try:
        async with asyncio.timeout(patience_s):
            daemon = RayNode.on(node.id, lasts=True)
            facts = await daemon.call(function, about)
            before = time.time()
            there = await daemon.call(clock)
            after = time.time()
    except TimeoutError:
        return _lost(node, f"it did not answer within {patience_s:.0f} s")
    except CodetetherError as error:
        return _lost(node, str(error))
    return Examined(
        **{**_plain(node), "facts": facts},
        ahead_s=there - (before + after) / 2,
        within_s=(after - before) / 2,
    )


def _lost(node: Examined, why: str) -> Examined:
    sentence = "codetether-ray is not installed in its Python" if _LACKING in why else why
    return Examined(**{**_plain(node), "trouble": sentence})


def _plain(node: Examined) -> dict[str, Any]:
    return {
        "id": node.id,
        "host": node.host,
        "address": node.address,
        "ports": node.ports,
        "is_head": node.is_head,
    }
