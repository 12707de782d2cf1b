"""`ray up` with this project's file, against real sshd's; a swarm there; a host is cut off."""

import asyncio
import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from codetether_ray.testing.hosts import why_not
from codetether_ray.testing.model_server import ModelCall, ModelServer, Reply
from tests.e2e.swarm_scene import PLAN, TASK, SwarmModel

pytestmark = pytest.mark.matrix  # tens of seconds each: some of them in each run of the suite

_SCRIPT = Path(__file__).parents[2] / "scripts" / "dev_cluster.py"


class DevCluster:
    """The script, with a cluster of our own."""

    def __init__(self) -> None:
        self.name = f"t{os.getpid() % 0xFFFF:x}"
        self.gateway = ""

    def command(self, *words: str) -> list[str]:
        return [sys.executable, str(_SCRIPT), "--name", self.name, *words]

    def run(self, *words: str) -> str:
        done = subprocess.run(
            self.command(*words), capture_output=True, text=True, timeout=300, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    async def on_head(self, words: str) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            *self.command("ssh", "head", f"bash -lc {shlex.quote(words)}"),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )


@pytest.fixture(scope="module")
def cluster() -> Iterator[DevCluster]:
    reason = why_not()
    missing = [name for name in ("sshd", "ssh", "rsync") if shutil.which(name) is None]
    if reason or missing:
        pytest.skip(reason or f"a cluster over SSH needs {', '.join(missing)}")
    cluster = DevCluster()
    try:
        told = cluster.run("up")
        assert told.count(" alive, ") == 2, told
        cluster.gateway = told.splitlines()[-1].split()[1]
        yield cluster
    finally:
        cluster.run("down")


async def test_a_swarm_on_a_cluster_that_ray_up_made_outlives_a_host_that_is_cut_off(
    cluster: DevCluster,
) -> None:
    cut: list[str] = []
    model = SwarmModel()

    async def script(request: ModelCall) -> Reply:
        reply = model(request)
        if (model.who(request), request.step) == ("alpha", 1) and not cut:
            cut.append(await asyncio.to_thread(cluster.run, "cut", "w1"))
        return reply

    async with ModelServer(script, host=cluster.gateway) as server:
        process = await cluster.on_head(
            "mkdir work && cd work && git init -q && "
            "git -c user.name=you -c user.email=you@here commit -q --allow-empty -m first && "
            f"RAY_ADDRESS=127.0.0.1:6379 CODETETHER_LOCAL_BASE_URL={server.url} "
            f"codetether swarm {shlex.quote(TASK)} --json --model local/m"
        )
        out, err = await asyncio.wait_for(process.communicate(), 300)
    assert process.returncode == 0, err.decode()
    assert cut
    result: dict[str, Any] = json.loads(out)
    assert result["outcome"] == "success"
    listing = f"cd work && git ls-tree --name-only {shlex.quote(result['branch'])}"
    listed, _ = await (await cluster.on_head(listing)).communicate()
    assert set(listed.decode().split()) == {f"{part['name']}.txt" for part in PLAN}
