"""Many agents in one process: wall time over the ideal, CPU per model turn, journal on.

    python scripts/bench/swarm_local.py [AGENTS …]

Each agent takes 3 model turns of 200 ms against an HTTP model in another process, with a real tool
call after the first two. CPU is that of this process: HTTP client, loop, tools, journal.
"""

import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from codetether_ray.bootstrap.agents import close_process
from codetether_ray.bootstrap.home import HomeTerms, open_local_home
from codetether_ray.core.ids import new_run_id
from codetether_ray.core.messages import user
from codetether_ray.core.spec import AgentSpec, Correlation
from codetether_ray.core.usage import Budget
from codetether_ray.tools.catalog import tools_for

IDEAL_S, TURNS, ROUNDS = 0.6, 3, 5
_HERE = Path(__file__).parent


def start_model() -> tuple[subprocess.Popen[str], str]:
    """The model's process and its URL."""
    server = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "codetether_ray.testing.model_server",
            "--script",
            str(_HERE / "swarm_model.py"),
            "--forget",
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert server.stdout is not None
    return server, json.loads(server.stdout.readline())["url"]


async def _round(agents: int, url: str, directory: Path) -> tuple[float, float]:
    """Wall seconds, and CPU milliseconds per model turn, of one fan-out."""
    correlation = Correlation(run_id=new_run_id("swarm"))
    terms = HomeTerms(correlation=correlation, data_dir=directory / "data", budget=Budget())
    home = await open_local_home(terms)

    def spec(number: int) -> AgentSpec:
        return AgentSpec(
            path=f"sub/{number}",
            kind="subagent",
            name=str(number),
            model="local/bench",
            base_url=url,
            root=str(directory / "work"),
            correlation=correlation,
            tools=tools_for("subagent"),
            memory_bytes=1_000_000,
            data_dir=str(directory / "data"),
        )

    started, cpu = time.perf_counter(), time.process_time()
    results = await asyncio.gather(
        *(home.runtime.run(spec(n), user("Look around.")) for n in range(agents))
    )
    wall, cpu = time.perf_counter() - started, time.process_time() - cpu
    await home.close()
    assert all(r.is_success and r.steps == TURNS for r in results), results[0]
    return wall, cpu * 1000 / (agents * TURNS)


async def _raw_round(agents: int, url: str) -> tuple[float, float]:
    """The same requests by nothing but aiohttp: what this machine gives at this moment."""
    import aiohttp

    message = {"role": "user", "content": "x" * 8_000}  # the size of our prefix
    body = json.dumps({"model": "bench", "stream": True, "messages": [message]}).encode()
    headers = {"Content-Type": "application/json"}

    async def one(http: aiohttp.ClientSession) -> None:
        for _ in range(TURNS):
            async with http.post(f"{url}/chat/completions", data=body, headers=headers) as answer:
                await answer.read()

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:
        started, cpu = time.perf_counter(), time.process_time()
        await asyncio.gather(*(one(http) for _ in range(agents)))
        wall, cpu = time.perf_counter() - started, time.process_time() - cpu
    return wall, cpu * 1000 / (agents * TURNS)


async def measure(agents: int, url: str) -> tuple[float, float, float, float]:
    """Medians over several rounds, after one that is not counted: ours and raw, wall and CPU."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        (directory / "work").mkdir()
        (directory / "work" / "README").write_text("hello\n")
        await _round(min(agents, 10), url, directory)
        rounds = [
            (*await _round(agents, url, directory), *await _raw_round(agents, url))
            for _ in range(ROUNDS)
        ]
        await close_process()
    wall, cpu, raw_wall, raw_cpu = (
        statistics.median(column) for column in zip(*rounds, strict=True)
    )
    return wall, cpu, raw_wall, raw_cpu


def local_cases(sizes: list[int], url: str) -> None:
    """Print two lines per size."""
    for agents in sizes:
        wall, cpu, raw_wall, raw_cpu = asyncio.run(measure(agents, url))
        case = f"{agents} agents x {TURNS} turns x 200 ms, one process"
        lines = (
            ("wall", "s", wall, "ideal", IDEAL_S),
            ("wall", "s", wall, "raw aiohttp loop", raw_wall),
            ("CPU per model turn", "ms", cpu, "limit", 1.0),
            ("CPU per model turn", "ms", cpu, "raw aiohttp loop", raw_cpu),
        )
        for what, unit, ours, against, value in lines:
            row = {
                "bench": "swarm",
                "case": f"{case}: {what}",
                "unit": unit,
                "ours": round(ours, 3),
                "against": {against: round(value, 3)},
                "ratio": round(ours / value, 3),
            }
            print(json.dumps(row), flush=True)


def main() -> None:
    """Print the cases."""
    server, url = start_model()
    try:
        local_cases([int(a) for a in sys.argv[1:]] or [10, 50, 100], url)
    finally:
        server.terminate()
        server.wait()


if __name__ == "__main__":
    main()
