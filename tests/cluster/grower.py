"""Queues agents on a cluster that can grow, as runs do: `python -m tests.cluster.grower ADDRESS`.

Tells in lines of JSON which nodes the agents got, and how many nodes there were when.
"""

import asyncio
import json
import sys
import time
from typing import Any

import ray

from codetether_ray.actors.cluster import NAMESPACE
from codetether_ray.actors.pool import PooledProcess
from codetether_ray.actors.scheduler import open_admission
from codetether_ray.actors.services import start_services
from codetether_ray.ports.admission import Need, Party

_NEED = Need(cpus=1.0)
_PATIENCE_S = 150.0
_HELD_S = 30.0
"""More than twice as long as a node may be idle before it is taken away."""


def tell(**what: Any) -> None:
    print(json.dumps(what), flush=True)


def nodes() -> set[str]:
    return {node["NodeID"] for node in ray.nodes() if node["Alive"]}


def alive() -> int:
    return len(nodes())


async def grow() -> None:
    """Have four agents where one fits; then none."""
    services = start_services(is_private=False)
    admission = open_admission(services.registry_actor, Party(run_id="swm_grow"))
    told: list[str] = []
    began = time.monotonic()
    asked = [asyncio.create_task(admission.acquire(_NEED, on_wait=told.append)) for _ in range(4)]
    permits = await asyncio.wait_for(asyncio.gather(*asked), _PATIENCE_S)
    tell(nodes=[p.node for p in permits], told=told, alive=alive(), s=time.monotonic() - began)
    processes = await asyncio.gather(*(PooledProcess.start(p.node) for p in permits))
    await asyncio.sleep(_HELD_S)
    tell(kept=sorted({p.node for p in permits} & nodes()))
    for process, permit in zip(processes, permits, strict=True):
        process.kill()
        permit.release()
    await admission.close()
    until = time.monotonic() + _PATIENCE_S
    while alive() > 1 and time.monotonic() < until:
        await asyncio.sleep(1)
    tell(shrunk_to=alive(), s=time.monotonic() - began)


if __name__ == "__main__":
    ray.init(address=sys.argv[1], namespace=NAMESPACE, log_to_driver=False)
    asyncio.run(grow())
