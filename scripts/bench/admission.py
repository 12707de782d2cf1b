"""What a permit costs while thousands wait: in this process, and through the shared scheduler.

    python scripts/bench/admission.py [WAITING]        # default: 10,000

Cases: one acquire-and-release in microseconds of CPU with WAITING in the queue (against the same
with an empty queue), what accepting and cancelling WAITING costs for each, and the decision's
latency through the actor of a private Ray (against one plain call of the same actor).
"""

import asyncio
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from codetether_ray.local.admission import LocalAdmission
from codetether_ray.local.clock import SystemClock
from codetether_ray.ports.admission import Admission, Need, Party, Permit, Rank
from codetether_ray.ports.host import Capacity, NodeCapacity

_GB = 1_000_000_000
_ROUNDS = 300
_NEED = Need(memory_bytes=_GB)


async def eight_nodes() -> Capacity:
    """Eight nodes with room for eight agents each."""
    nodes = tuple(
        NodeCapacity(
            node=f"n{n}", cpus=8, memory_bytes=8 * _GB, free_memory_bytes=20 * _GB, host=f"h{n}"
        )
        for n in range(8)
    )
    return Capacity(
        cpus=64,
        memory_bytes=64 * _GB,
        free_memory_bytes=160 * _GB,
        largest_memory_bytes=8 * _GB,
        nodes=nodes,
    )


async def permits(waiting: int) -> dict[str, float]:
    """CPU in microseconds: of a permit that changes hands, of one more that waits or gives up."""
    admission = LocalAdmission(eight_nodes, SystemClock())
    held: list[Permit] = [await admission.acquire(_NEED) for _ in range(64)]
    began = time.process_time()
    queued = [asyncio.create_task(admission.acquire(_NEED)) for _ in range(waiting)]
    await _until(lambda: admission.waiting == waiting)
    accepted = time.process_time() - began
    began = time.process_time()
    for _ in range(_ROUNDS):  # a child's permit: it goes first, the queue stays as it is
        child = asyncio.create_task(admission.acquire(_NEED, rank=Rank.CHILD))
        await _until(lambda: admission.waiting > waiting)
        held.pop().release()
        held.append(await child)
    changed = time.process_time() - began
    began = time.process_time()
    for task in queued:
        task.cancel()
    await asyncio.gather(*queued, return_exceptions=True)
    cancelled = time.process_time() - began
    await admission.close()
    return {
        "change": changed / _ROUNDS * 1e6,
        "accept": accepted / max(waiting, 1) * 1e6,
        "cancel": cancelled / max(waiting, 1) * 1e6,
    }


async def _until(is_so: Callable[[], bool]) -> None:
    while not is_so():
        await asyncio.sleep(0)


async def through_the_actor() -> tuple[float, float]:
    """Median milliseconds of an acquire through the actor, and of a plain call of it."""
    from codetether_ray.actors.cluster import ClusterOptions, join_or_start
    from codetether_ray.actors.pulse import plain
    from codetether_ray.actors.scheduler import open_admission
    from codetether_ray.actors.services import start_services

    with tempfile.TemporaryDirectory() as folder:
        cluster = await join_or_start(ClusterOptions(data_dir=Path(folder), address="local"))
        try:
            actor = start_services(is_private=True).registry_actor
            admission: Admission = open_admission(actor, Party(run_id="bench"))
            need = Need(memory_bytes=1_000_000)
            (await admission.acquire(need)).release()

            async def one() -> None:
                (await admission.acquire(need)).release()

            async def call() -> None:
                await plain(actor.find.remote("nobody"))

            ours, against = await _paired(one, call)
            await admission.close()
        finally:
            await cluster.close()
    return ours, against


async def _paired(
    one: Callable[[], Awaitable[None]], other: Callable[[], Awaitable[None]]
) -> tuple[float, float]:
    took: tuple[list[float], list[float]] = ([], [])
    for _ in range(_ROUNDS):
        for times, do in zip(took, (one, other), strict=True):
            began = time.perf_counter()
            await do()
            times.append((time.perf_counter() - began) * 1000)
    return statistics.median(took[0]), statistics.median(took[1])


def tell(case: str, unit: str, ours: float, against: str, other: float) -> None:
    """One line of JSON."""
    line = {"bench": "admission", "case": case, "unit": unit, "ours": round(ours, 3)}
    print(
        json.dumps({**line, "against": {against: round(other, 3)}, "ratio": round(ours / other, 2)})
    )


def main(waiting: int) -> None:
    """Measure, and print."""
    few, many = [asyncio.run(permits(count)) for count in (100, waiting)]
    for case in ("change", "accept", "cancel"):
        tell(f"{case} with {waiting} waiting", "us CPU", many[case], "100 waiting", few[case])
    ours, plain_call = asyncio.run(through_the_actor())
    tell("acquire through the actor", "ms", ours, "a plain call of it", plain_call)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000)
