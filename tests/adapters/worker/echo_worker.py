"""A worker as a process of its own whose tasks are soon done: `python -m … URL TOKEN NAME LIMIT`.

It says READY once its stream is open, and BEGUN with a task's id when it begins one.
"""

import asyncio
import signal
import sys
from collections.abc import Callable

from codetether_ray.core.work import Ended, Worker
from codetether_ray.local.clock import SystemClock
from codetether_ray.worker.client import PlatformClient
from codetether_ray.worker.offers import Offer
from codetether_ray.worker.run import Rhythm, WorkerRun


async def echo(offer: Offer, say: Callable[[str], None]) -> Ended:
    """Say what was asked, after as long as the task's metadata tells."""
    print(f"BEGUN {offer.id}", flush=True)
    say(f"[begun] {offer.prompt}")
    await asyncio.sleep(float(offer.wish.metadata.get("seconds", 0.05)))  # type: ignore[arg-type]
    return Ended(status="completed", result=offer.prompt)


async def main(url: str, token: str, name: str, limit: str) -> None:
    me = Worker(id=f"wrk_{name}", tenant="", name=name, codebases=("/src",))
    client = PlatformClient(url, token, me)
    worker = WorkerRun(
        me, client, echo, limit=int(limit), clock=SystemClock(),
        notice=lambda text: print(text, file=sys.stderr, flush=True),
        rhythm=Rhythm(poll_s=1, heartbeat_s=1, grace_s=0.2, first_wait_s=0.1, most_wait_s=1),
    )  # fmt: skip
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, worker.stop)
    working = asyncio.create_task(worker.work())
    while not worker.is_connected and not working.done():
        await asyncio.sleep(0.02)
    print("READY", flush=True)
    await working
    await client.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:5]))
