"""Processes for the fork server's tests: `python -m tests.ray.forked MODE DATA_DIR`.

`head` keeps a Ray with a dashboard until its stdin ends; `job` joins it, makes actors, tells of
them, and ends when its stdin does. What they tell is a line of JSON on stdout.
"""

import asyncio
import json
import os
import random
import sys
import uuid
from pathlib import Path
from typing import Any

import ray

from codetether_ray.actors.cluster import ClusterOptions, join_or_start


class Forked:
    """Tells of the process that it lives in."""

    def pid(self) -> int:
        return os.getpid()

    def about(self) -> dict[str, Any]:
        print("said by", os.getpid(), flush=True)
        return {
            "pid": os.getpid(),
            "parent": os.getppid(),
            "group": os.getpgid(0),
            "argv": sys.argv[0],
            "path": sys.path,
            "job": ray.get_runtime_context().get_job_id(),
            "said": (random.random(), uuid.uuid4().hex),
            "files": [str(p.readlink()) for p in _fds()],
        }

    def modules(self) -> list[str]:
        return list(sys.modules)

    async def command(self) -> str:
        process = await asyncio.create_subprocess_exec("echo", "hello", stdout=-1)
        out, _ = await process.communicate()
        return f"{out.decode().strip()} {process.returncode}"

    def crash(self) -> None:
        os._exit(7)


def comm(pid: int) -> str:
    return Path(f"/proc/{pid}/comm").read_text().strip()


def _fds() -> list[Path]:
    return [p for p in Path("/proc/self/fd").iterdir() if p.is_symlink()]


def tell(**what: Any) -> None:
    print(json.dumps(what), flush=True)


async def main(mode: str, data_dir: Path) -> None:
    is_head = mode == "head"
    cluster = await join_or_start(
        ClusterOptions(data_dir=data_dir, cpus=2, dashboard=is_head, announce=is_head)
    )
    if is_head:
        servers = {comm(p.pid): p.pid for p in cluster._keeper.servers}
        tell(node=ray.get_runtime_context().get_node_id(), raylet=servers["raylet"])
    else:
        actor = ray.remote(Forked).options(num_cpus=0)
        actors = [actor.remote() for _ in range(2)]
        pids = [ray.get(a.pid.remote()) for a in actors]
        job = ray.get_runtime_context().get_job_id()
        tell(abouts=[ray.get(a.about.remote()) for a in actors], pids=pids, job=job)
        if mode == "listing":
            from ray.util.state import list_actors

            listed = list_actors(cluster.address, filters=[("state", "=", "ALIVE")], detail=True)
            tell(listed=[[a.pid, a.class_name, a.node_id] for a in listed])
    await asyncio.to_thread(sys.stdin.read)
    await cluster.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2])))
