"""Goodput of many agents under a provider's rate limit: finished model calls against the limit.

    python scripts/bench/limiter.py [AGENTS]           # default: 100

Each agent takes 3 model turns. The model (a process of its own) lets 20 calls a second through and
answers 429 above. Three cases, by what it tells: its limits on every answer, Retry-After on a 429,
or nothing. Ours shares one limiter among all agents; `retries alone` has none, each agent waits by
itself (exponential, full jitter), in the same run. Goodput excludes the first second's burst;
requests per finished call is what refusals cost.
"""

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

from codetether_ray.bootstrap.agents import close_process
from codetether_ray.bootstrap.home import HomeTerms, open_local_home
from codetether_ray.core.ids import new_run_id
from codetether_ray.core.messages import user
from codetether_ray.core.spec import AgentSpec, Correlation
from codetether_ray.core.usage import Budget
from codetether_ray.providers.permits import Permits
from codetether_ray.tools.catalog import tools_for

_HERE = Path(__file__).parent
_RATE, _TURNS = 20.0, 3
_HINTS = ("headers", "retry-after", "nothing")


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Of one case."""

    goodput: float
    """Finished calls per second, after the burst."""
    requests: float
    """Requests for each finished call."""
    wall_s: float


def start_model(hint: str) -> tuple[subprocess.Popen[str], str]:
    """The limited model's process and its URL."""
    server = subprocess.Popen(
        [
            *(sys.executable, "-m", "codetether_ray.testing.model_server"),
            *("--script", str(_HERE / "limiter_model.py"), "--forget"),
        ],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "BENCH_HINT": hint, "BENCH_RATE": str(_RATE)},
    )
    assert server.stdout is not None
    return server, json.loads(server.stdout.readline())["url"]


async def _fan_out(agents: int, url: str, directory: Path) -> float:
    """Seconds until all are done."""
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

    began = time.perf_counter()
    results = await asyncio.gather(
        *(home.runtime.run(spec(n), user("Look around.")) for n in range(agents))
    )
    wall = time.perf_counter() - began
    await home.close()
    await close_process()
    assert all(r.is_success for r in results), next(r for r in results if not r.is_success)
    return wall


def measure(agents: int, hint: str, *, alone: bool) -> Found:
    """One case; `alone`: nobody shares a limiter."""
    server, url = start_model(hint)
    try:
        with tempfile.TemporaryDirectory() as name:
            (Path(name) / "work").mkdir()
            if alone:
                with patch.object(Permits, "__init__", _unlimited):
                    wall = asyncio.run(_fan_out(agents, url, Path(name)))
            else:
                wall = asyncio.run(_fan_out(agents, url, Path(name)))
        with urllib.request.urlopen(url.removesuffix("/v1") + "/stats", timeout=10) as answer:
            requests = json.load(answer)["requests"]
    finally:
        server.terminate()
        server.wait()
    done = agents * _TURNS
    return Found(goodput=(done - _RATE) / wall, requests=requests / done, wall_s=wall)


def _unlimited(self: Permits, provider: str, limiter: object, clock: object) -> None:
    self._provider, self._limiter, self._clock = provider, None, clock  # type: ignore[assignment]
    self._left, self._until = 0, 0.0


def line(case: str, unit: str, ours: float, name: str, value: float) -> None:
    """One case."""
    row = {
        "bench": "limiter",
        "case": case,
        "unit": unit,
        "ours": round(ours, 3),
        "against": {name: round(value, 3)},
        "ratio": round(ours / value, 3),
    }
    print(json.dumps(row), flush=True)


def main() -> None:
    """Print all cases."""
    agents = int(sys.argv[1]) if sys.argv[1:] else 100
    for hint in _HINTS:
        mine, theirs = measure(agents, hint, alone=False), measure(agents, hint, alone=True)
        case = f"{agents} agents x {_TURNS} turns, a limit of {_RATE:.0f}/s told by {hint}"
        line(f"{case}: goodput", "calls/s", mine.goodput, "limit", _RATE)
        line(f"{case}: goodput", "calls/s", mine.goodput, "retries alone", theirs.goodput)
        line(f"{case}: requests per call", "1", mine.requests, "retries alone", theirs.requests)


if __name__ == "__main__":
    main()
