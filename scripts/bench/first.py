"""From the command to its first model request, in seconds: what a user waits for before any model.

    python scripts/bench/first.py [--runs 7]

`run` in its own process, `run` onto a running head, a swarm's planning request with no cluster
there (it must not wait for Ray) and onto a running head; in turn, so that load hits all alike.
Medians, and the CPU that the command itself took; `against` is the aim (0.3 s, 0.5 s), and a bare
interpreter that imports the HTTP client.
"""

import argparse
import asyncio
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from peer_programs import Program, ours

from codetether_ray.testing.model_server import ModelCall, ModelServer, Reply, fail, say

_BARE = (sys.executable, "-c", "import aiohttp")
_LIMIT_S = 90.0
_AIM_S, _AIM_ON_HEAD_S = 0.3, 0.5


class _Asked:
    """When the first request of a command came."""

    def __init__(self) -> None:
        self.at: list[float] = []

    def __call__(self, asked: ModelCall) -> Reply:
        self.at.append(time.perf_counter())
        if "Answer with JSON only" in asked.first_user_text or "planner" in asked.system:
            return fail(400, "that was all that was to be seen")
        return say("hello")


async def _first(
    program: Program, words: tuple[str, ...], folder: Path, asked: _Asked
) -> tuple[float, float]:
    """Seconds to the first request, and of CPU; the command is then waited for."""
    asked.at.clear()
    began, before = time.perf_counter(), _children_cpu_s()
    process = await asyncio.create_subprocess_exec(
        *(*program.command, *words),
        cwd=folder,
        env=program.env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    try:
        _, err = await asyncio.wait_for(process.communicate(), _LIMIT_S)
    except TimeoutError:
        process.terminate()
        _, err = await process.communicate()
    if not asked.at:
        raise SystemExit(f"first: {' '.join(program.command)} asked nothing: {err.decode()[-500:]}")
    return asked.at[0] - began, _children_cpu_s() - before


def _children_cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _bare() -> tuple[float, float]:
    began, before = time.perf_counter(), _children_cpu_s()
    subprocess.run(_BARE, check=True)
    return time.perf_counter() - began, _children_cpu_s() - before


async def measure(runs: int, work: Path) -> None:
    """All cases, in turn."""
    asked = _Asked()
    folder = work / "project"
    folder.mkdir(parents=True)
    subprocess.run(["git", "init", "--quiet"], cwd=folder, check=True)
    async with ModelServer(asked) as server:
        alone = ours(work / "alone", server.root, "run")
        headed = ours(work / "headed", server.root, "run")
        cases = {
            "run, in its own process": (alone, ("hello",)),
            "swarm, no cluster there": (_swarm(alone), ("hello",)),
            "run, onto a running head": (headed, ("hello",)),
            "swarm, onto a running head": (_swarm(headed), ("hello",)),
        }
        command = headed.command[0]
        subprocess.run([command, "up"], env=headed.env, check=True, capture_output=True)
        found: dict[str, list[tuple[float, float]]] = {name: [] for name in (*cases, "bare")}
        try:
            for turn in range(runs + 1):
                for name, (program, words) in cases.items():
                    taken = await _first(program, words, folder, asked)
                    found[name] += [taken] if turn else []  # the first warms the disk's cache
                found["bare"].append(await asyncio.to_thread(_bare))
        finally:
            subprocess.run([command, "down"], env=headed.env, check=False, capture_output=True)
    bare = found.pop("bare")
    for name, times in found.items():
        aim = _AIM_ON_HEAD_S if "head" in name else _AIM_S
        walls, cpus = [wall for wall, _ in times], [cpu for _, cpu in times]
        line(name, walls, "aim", [aim])
        line(name, walls, "python that imports aiohttp", [wall for wall, _ in bare])
        line(f"{name}: CPU of the command", cpus, "the same", [cpu for _, cpu in bare])


def _swarm(program: Program) -> Program:
    words = tuple("swarm" if word == "run" else word for word in program.command)
    return Program(name="swarm", command=words, env=program.env)


def line(case: str, found: list[float], name: str, against: list[float]) -> None:
    """One case."""
    ours_s, value = statistics.median(found), statistics.median(against)
    row = {
        "bench": "first",
        "case": f"command to first model request: {case}",
        "unit": "s",
        "ours": round(ours_s, 3),
        "against": {name: round(value, 3)},
        "ratio": round(ours_s / value, 2),
    }
    print(json.dumps(row), flush=True)


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=7)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="first-") as name:
        asyncio.run(measure(options.runs, Path(name)))


if __name__ == "__main__":
    main()
