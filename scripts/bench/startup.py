"""How long a command takes to begin: one JSON line per case.

`--version` and `--help` against `python -c "import click"` (goal: at most 2x), and from the
command to the first model request of `codetether run`: cold (no cluster), and with a cluster of
ours running; `runs` by HTTP beside local files. Medians of N runs; times in seconds.
"""

import argparse
import asyncio
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from codetether_ray.config.paths import find_paths
from codetether_ray.testing.model_server import ModelCall, ModelServer, Reply, say

_BIN = Path(sys.executable).parent


def wall(command: list[str], env: dict[str, str]) -> float:
    """Seconds that a command takes."""
    began = time.perf_counter()
    subprocess.run(command, env=env, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def compare(runs: int, env: dict[str, str]) -> list[dict[str, object]]:
    """`--version` and `--help` beside importing click, in turn, so that load hits all alike."""
    cases = {
        "import click": [sys.executable, "-c", "import click"],
        "--version": [str(_BIN / "codetether"), "--version"],
        "--help": [str(_BIN / "codetether"), "--help"],
    }
    times: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(runs):
        for name, command in cases.items():
            times[name].append(wall(command, env))
    base = times.pop("import click")
    return [
        line(name, found, 'python -c "import click", goal 2x', base)
        for name, found in times.items()
    ]


async def first_request(runs: int, env: dict[str, str], folder: Path) -> list[float]:
    """Seconds from the start of `codetether run` to the model server's first request."""
    asked: list[float] = []

    def script(_: ModelCall) -> Reply:
        asked.append(time.perf_counter())
        return say("hello")

    found = []
    async with ModelServer(script) as server:
        here = {**env, "CODETETHER_LOCAL_BASE_URL": server.url}
        for _ in range(runs):
            asked.clear()
            began = time.perf_counter()
            process = await asyncio.create_subprocess_exec(
                str(_BIN / "codetether"),
                *("run", "hello", "--model", "local/m"),
                env=here,
                cwd=folder,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
            )
            _, err = await process.communicate()
            if process.returncode or not asked:
                raise SystemExit(err.decode())
            found.append(asked[0] - began)
    return found


def line(case: str, found: list[float], name: str, against: list[float]) -> dict[str, object]:
    """A case's line: medians in seconds."""
    ours, value = statistics.median(found), statistics.median(against)
    return {
        "bench": "startup",
        "case": case,
        "unit": "s",
        "ours": round(ours, 4),
        "against": {name: round(value, 4)},
        "ratio": round(ours / value, 2),
    }


def main() -> None:
    """Run the cases."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--no-cluster", action="store_true", help="leave the Ray case out")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        env = {"HOME": home, "PATH": os.environ["PATH"]}
        for each in compare(options.runs, env):
            print(json.dumps(each))
        print(json.dumps(asyncio.run(read_by_http(options.runs, env))))
        folder = Path(home) / "project"
        folder.mkdir()
        cold = asyncio.run(first_request(options.runs, env, folder))
        imports = "import aiohttp, pydantic, click"
        aiohttp = [wall([sys.executable, "-c", imports], env) for _ in cold]
        libraries = f'python -c "{imports}"'
        print(json.dumps(line("first model request of run, cold", cold, libraries, aiohttp)))
        if not options.no_cluster:
            running = _on_cluster(env, folder)
            print(
                json.dumps(
                    line("first model request of run, cluster running", running, "cold", cold)
                )
            )


async def read_by_http(runs: int, env: dict[str, str]) -> dict[str, object]:
    """`codetether runs` through an ingress of loopback, beside the same on local files, in turn."""
    command = [str(_BIN / "codetether"), "runs", "--json"]
    found: list[float] = []
    local: list[float] = []
    async with _ingress(Path(env["HOME"]) / "ingress") as (url, token):
        far = {**env, "CODETETHER_TOKEN": token}
        for _ in range(runs):
            local.append(await asyncio.to_thread(wall, command, env))
            found.append(await asyncio.to_thread(wall, [*command, "--address", url], far))
    return line("runs, read by HTTP", found, "runs, local files", local)


@asynccontextmanager
async def _ingress(data_dir: Path) -> AsyncIterator[tuple[str, str]]:
    """The URL and the token of an ingress without A2A, in this event loop."""
    import uvicorn

    from codetether_ray.bootstrap.truth.address import Address
    from codetether_ray.bootstrap.truth.place import truth_here
    from codetether_ray.bootstrap.truth.reach import Reach
    from codetether_ray.ingress.app import build_app
    from codetether_ray.ingress.gate import open_gate
    from codetether_ray.ingress.options import IngressOptions
    from codetether_ray.ingress.parts import Parts
    from codetether_ray.stores.tokens import FileTokens

    options = IngressOptions(data_dir=str(data_dir))
    reach = Reach(address=Address(), truth=truth_here(data_dir))
    gate = await open_gate(options, reach)
    parts = Parts(options=options, reach=reach, handler=None, gate=gate)  # type: ignore[arg-type]
    config = uvicorn.Config(build_app(parts), log_level="critical", lifespan="off", ws="none")
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve([listening]))
    try:
        token = FileTokens(data_dir).make_server_token().read_text(encoding="utf-8").strip()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}", token
    finally:
        server.should_exit = True
        await serving
        await gate.close()
        listening.close()


def _on_cluster(env: dict[str, str], folder: Path, runs: int = 3) -> list[float]:
    """The same with a head of this user, which this script starts, announces and ends."""
    from codetether_ray.actors.cluster import ClusterOptions, join_or_start

    async def measure() -> list[float]:
        data_dir = find_paths(env).data
        cluster = await join_or_start(ClusterOptions(data_dir=data_dir, announce=True))
        try:
            return await first_request(runs, env, folder)
        finally:
            await cluster.close()

    return asyncio.run(measure())


if __name__ == "__main__":
    main()
