"""What durability costs an agent's turn: journal and audit on, against off.

    python scripts/bench/durability_tax.py [AGENTS …]

The scene is that of `swarm_local.py`: 3 model turns of 200 ms, a real tool call after the first
two. The variants take turns within each round, so that all meet the same machine. `off` keeps the
journal in memory and audits nothing. The second pair of lines is one tool call's intent and
outcome, from many coroutines at once.
"""

import asyncio
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

from swarm_local import TURNS, start_model

from codetether_ray.audit.log import AuditLog
from codetether_ray.bootstrap.agents import close_process
from codetether_ray.bootstrap.auditing.opening import open_audit
from codetether_ray.bootstrap.home import HomeTerms, open_local_home
from codetether_ray.core.ids import new_run_id
from codetether_ray.core.messages import user
from codetether_ray.core.spec import AgentSpec, Correlation
from codetether_ray.core.usage import Budget
from codetether_ray.ports.audit import Action
from codetether_ray.testing.fakes import MemoryJournal
from codetether_ray.tools.catalog import tools_for

ROUNDS = 5
VARIANTS = ("off", "journal", "journal and audit")
Measured = tuple[float, float]


class _NoAudit:
    """Writes nothing."""

    def conceal(self, values: object) -> None:
        pass

    async def begin(self, *actions: Action) -> tuple[str, ...]:
        return ("",) * len(actions)

    def end(self, id: str, outcome: str, **_: Any) -> None:
        pass

    async def close(self) -> None:
        pass


async def _memory_journal(_: HomeTerms) -> MemoryJournal:
    return MemoryJournal()


@contextmanager
def _only(variant: str) -> Iterator[None]:
    with ExitStack() as stack:
        if variant == "off":
            target = "codetether_ray.bootstrap.home.open_journal"
            stack.enter_context(patch(target, _memory_journal))
        if variant != "journal and audit":
            target = "codetether_ray.bootstrap.agents.open_audit"
            stack.enter_context(patch(target, lambda *_: _NoAudit()))
        yield


async def _round(agents: int, url: str, directory: Path) -> Measured:
    """Wall milliseconds per agent turn of three steps, and CPU milliseconds per model turn."""
    correlation = Correlation(run_id=new_run_id("swarm"))
    terms = HomeTerms(correlation=correlation, data_dir=directory / "data", budget=Budget())
    home = await open_local_home(terms)
    audit = open_audit(terms.data_dir)  # as a run does: its agents share one chain

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
    await audit.close()
    assert all(r.is_success and r.steps == TURNS for r in results), results[0]
    return wall * 1000, cpu * 1000 / (agents * TURNS)


async def measure(agents: int, url: str) -> dict[str, Measured]:
    """The median of each variant."""
    found: dict[str, list[Measured]] = {variant: [] for variant in VARIANTS}
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        (directory / "work").mkdir()
        (directory / "work" / "README").write_text("hello\n")
        for number in range(ROUNDS + 1):
            for variant in VARIANTS:
                with _only(variant):
                    measured = await _round(agents, url, directory)
                if number:  # the first round warms up
                    found[variant].append(measured)
        await close_process()
    return {
        variant: (
            statistics.median(wall for wall, _ in rounds),
            statistics.median(cpu for _, cpu in rounds),
        )
        for variant, rounds in found.items()
    }


async def audit_alone(writers: int, each: int = 50) -> Measured:
    """Wall and CPU microseconds per audited action, with as many coroutines at once."""
    with tempfile.TemporaryDirectory() as name:
        log = AuditLog(Path(name))
        run = Correlation(run_id=new_run_id("swarm"))
        digest = "0123456789abcdef" * 4

        async def writer(number: int) -> None:
            for _ in range(each):
                action = Action(
                    category="tool_execution",
                    action="tool:bash",
                    resource=digest,
                    principal=f"agent:sub/{number}",
                    correlation=run,
                    detail={"arguments": digest, "bytes": 120},
                )
                (id,) = await log.begin(action)
                log.end(id, "success", detail={"result": digest, "bytes": 4096})

        await writer(0)
        started, cpu = time.perf_counter(), time.process_time()
        await asyncio.gather(*(writer(number) for number in range(writers)))
        wall, cpu = time.perf_counter() - started, time.process_time() - cpu
        await log.close()
    return wall * 1e6 / (writers * each), cpu * 1e6 / (writers * each)


def report(case: str, unit: str, ours: float, against: str, value: float) -> None:
    """Print one line."""
    row = {
        "bench": "durability_tax",
        "case": case,
        "unit": unit,
        "ours": round(ours, 3),
        "against": {against: round(value, 3)},
        "ratio": round(ours / value, 3),
    }
    print(json.dumps(row), flush=True)


def turn_cases(agents: int, url: str) -> None:
    """Print a turn's lines."""
    found = asyncio.run(measure(agents, url))
    case = f"{agents} agents x {TURNS} turns x 200 ms, one process"
    ours = found["journal and audit"]
    for variant in ("off", "journal"):
        report(f"{case}: wall", "ms", ours[0], variant, found[variant][0])
        report(f"{case}: CPU per model turn", "ms", ours[1], variant, found[variant][1])


def main() -> None:
    """Print the cases."""
    sizes = [int(a) for a in sys.argv[1:]] or [1, 10, 100]
    server, url = start_model()
    try:
        for agents in sizes:
            turn_cases(agents, url)
    finally:
        server.terminate()
        server.wait()
    wall_1, _ = asyncio.run(audit_alone(1))
    wall_100, cpu_100 = asyncio.run(audit_alone(100))
    report("one audited action, 100 at once: wall", "us", wall_100, "one at a time", wall_1)
    report("one audited action, 100 at once: CPU", "us", cpu_100, "limit", 100.0)


if __name__ == "__main__":
    main()
