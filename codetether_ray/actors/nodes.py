"""What the nodes of a cluster have, and have free."""

import asyncio
import os
import threading
from contextlib import suppress

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from codetether_ray.local.capacity import machine_capacity, monitor_floor
from codetether_ray.ports.host import Capacity


def this_node() -> str:
    """The id of the node that this process is on."""
    return str(ray.get_runtime_context().get_node_id())


def on_node(node: str) -> NodeAffinitySchedulingStrategy:
    """Where an actor goes whose files are on the node of that id."""
    return NodeAffinitySchedulingStrategy(node, soft=False)


async def is_node_dead(node: str, patience_s: float) -> bool:
    """Whether the cluster says that a node is dead; a cluster that says nothing does not.

    Asked in a thread that nobody waits for: where the control service is gone, it asks for minutes.
    """
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[bool] = loop.create_future()

    def ask() -> None:
        with suppress(Exception):  # of Ray, of whatever kind: then nothing is known
            found = any(n["NodeID"] == node and not n["Alive"] for n in ray.nodes())
            loop.call_soon_threadsafe(_settle, answer, found)

    threading.Thread(target=ask, name="is-node-dead", daemon=True).start()
    await asyncio.wait({answer}, timeout=patience_s)
    return answer.done() and answer.result()


def _settle(answer: "asyncio.Future[bool]", found: bool) -> None:
    if not answer.done():
        answer.set_result(found)


def cluster_capacity(*, here_alone: bool = False) -> Capacity:
    """All living nodes together (or this one), as far as Ray may use them.

    Free memory is seen on this process's node; of another node, what Ray has not reserved there
    is believed to be free. Blocks for a call or two of the cluster's control service.
    """
    here = ray.get_runtime_context().get_node_id()
    nodes = [n for n in ray.nodes() if n["Alive"] and (n["NodeID"] == here or not here_alone)]
    totals = {node["NodeID"]: _memory(node["Resources"]) for node in nodes}
    others = {node: total for node, total in totals.items() if node != here}
    local = machine_capacity()
    return Capacity(
        cpus=sum(node["Resources"].get("CPU", 0.0) for node in nodes),
        memory_bytes=sum(totals.values()),
        free_memory_bytes=local.free_memory_bytes + (_free(others) if others else 0),
        largest_memory_bytes=max(totals.values(), default=0),
        floor_bytes=monitor_floor(local.memory_bytes, os.environ),
    )


def _memory(resources: dict[str, float]) -> int:
    return int(resources.get("memory", 0))


def _free(totals: dict[str, int]) -> int:
    """What Ray has not reserved on these nodes (all of it, where Ray does not say)."""
    from ray._private import state  # noqa: PLC0415 - Ray has no public call that tells it

    try:
        per_node = state.available_resources_per_node()
    except (AttributeError, RuntimeError):
        return sum(totals.values())
    return sum(_memory(per_node.get(node, {"memory": total})) for node, total in totals.items())
