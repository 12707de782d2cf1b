"""What a swarm on a Ray head measures, as a real Prometheus scrapes it and the dashboard asks."""

import asyncio
import math
import os
import signal
from dataclasses import replace

import pytest

from codetether_ray.core.events import AgentPlaced
from codetether_ray.core.usage import Usage
from codetether_ray.testing.model_server import ModelCall, ModelServer, Reply, call, fail, say
from tests.e2e.program import Ended, Program
from tests.e2e.prometheus import DEPLOY, PROGRAM, Prometheus, expressions, scraping
from tests.e2e.swarm_scene import TASK, SwarmModel, make_repository, records
from tests.e2e.test_compaction import WINDOW, Script

MODEL = "anthropic/claude-sonnet-5-5"
PREFIX = "ray_codetether_"
_LOOKS = 60

pytestmark = pytest.mark.skipif(not PROGRAM, reason="there is no Prometheus on this machine")


class EventfulModel:
    """Refuses one call by a 429, has one agent's process killed, and serves one from its cache."""

    def __init__(self, program: Program) -> None:
        steps = {"beta": [call("read_file", path="nothing-there.txt"), say("it failed")]}
        self._model = SwarmModel(steps=steps)
        self._program = program
        self._has_refused = False
        self.killed: list[int] = []

    async def __call__(self, request: ModelCall) -> Reply:
        who = self._model.who(request)
        if who == "planner" and not self._has_refused:
            self._has_refused = True
            return fail(429, "slow down", retry_after_s=1)
        if who == "delta" and not self.killed:
            self.killed = await asyncio.to_thread(_kill, self._program, "sub/delta")
            await asyncio.sleep(2)
        reply = self._model(request)
        if who != "gamma":
            return reply
        cached = Usage(prompt_tokens=2000, completion_tokens=20, cache_read_tokens=1500)
        return replace(reply, usage=cached)


def _kill(program: Program, agent: str) -> list[int]:
    """Kill the process in which an agent of the only swarm lives; its pid."""
    (run_id,) = (path.name for path in (program.data / "events").glob("swm_*"))
    placed = [r.event for r in records(program, run_id) if r.agent == agent]
    pids = [int(e.process.rpartition(":")[2]) for e in placed if isinstance(e, AgentPlaced)]
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    return pids


async def test_every_expression_of_the_dashboard_has_data_after_a_swarm(
    program: Program,
) -> None:
    make_repository(program.project)
    up = await program.run("up", "--dashboard", "--memory", "2GB", timeout_s=300)
    assert up.code == 0, up.err
    try:
        discovery = program.data / "ray" / "prometheus.json"
        async with scraping(program.home, discovery) as prometheus:
            swarm = await _a_swarm(program, EventfulModel(program))
            session = await _a_long_session(program)
            assert (swarm.code, session.code) == (0, 0), swarm.err + session.err
            await prometheus.until(f"sum({PREFIX}runs_finished_total)", 2)
            await prometheus.until(f"sum({PREFIX}compactions_total)", 1)
            await _says_what_happened(prometheus, swarm)
            await _a_swarm(program, SwarmModel())  # a rate sees what is added to a first sample
            await _a_long_session(program)
            await prometheus.until(f"sum({PREFIX}runs_finished_total)", 4)
            for _ in range(_LOOKS):  # on a busy machine a scrape may fail, and the next one not
                if not (lacking := await _without_data(prometheus)):
                    break
                await asyncio.sleep(1)
            assert lacking == []
    finally:
        await program.run("down")
    assert not discovery.exists()


async def _a_swarm(program: Program, model: EventfulModel | SwarmModel) -> Ended:
    async with ModelServer(model) as server:
        await program.run("auth", "set", "anthropic", stdin="sk-ant-a-key-for-the-test\n")
        address = server.anthropic_url
        await program.run("config", "set", "providers.anthropic.base_url", address)
        ended = await program.run(
            *("swarm", TASK, "--json", "--model", MODEL),
            *("--budget", "5", "--max-tokens", "1000000"),
            timeout_s=300,
        )
    assert isinstance(model, SwarmModel) or model.killed
    return ended


async def _a_long_session(program: Program) -> Ended:
    """One whose model has no price, and whose conversation is shortened."""
    async with ModelServer(Script()) as server:
        await program.run("config", "set", "providers.local.context_window", str(WINDOW))
        return await program.run(
            *("run", "Find it.", "--model", "local/some-model", "--format", "json"),
            CODETETHER_LOCAL_BASE_URL=server.url,
            timeout_s=300,
        )


async def _says_what_happened(prometheus: Prometheus, swarm: Ended) -> None:
    async def total(name: str) -> float:
        return await prometheus.value(f"sum({PREFIX}{name})")

    assert await total('runs_finished_total{kind="swarm",outcome="success"}') == 1
    assert await total('runs_finished_total{kind="session",outcome="completed"}') == 1
    assert await total("runs") == 0
    assert await total("agents") == 0
    assert await total('agents_started_total{kind="subagent"}') == 4
    assert await total('agent_restarts_total{kind="subagent"}') >= 1
    assert await total('model_retries_total{reason="rate_limit",provider="anthropic"}') == 1
    assert await total('tool_calls_total{tool="read_file",outcome="error"}') == 1
    assert await total('tool_calls_total{tool="write_file",outcome="ok"}') == 3
    assert await total('subtasks_total{status="completed"}') == 4
    cost = await total('model_cost_usd_total{provider="anthropic"}')
    assert cost == pytest.approx(swarm.json["cost_usd"], rel=1e-6)
    assert await total('model_tokens_total{type="cache_read"}') == 3000
    assert await total("model_unpriced_total") > 0
    spawned = await total("agent_spawn_seconds_count")
    assert spawned >= 8  # planner, four and one again, synthesis, the session's


async def _without_data(prometheus: Prometheus) -> list[str]:
    """Every expression of the dashboard that gives no number."""
    lacking = []
    for title, expression in expressions(DEPLOY / "grafana" / "codetether.json"):
        found = await prometheus.ask(expression)
        if not [s for s in found if not math.isnan(float(s["value"][1]))]:
            lacking.append(f"{title}: {expression}")
    return lacking
