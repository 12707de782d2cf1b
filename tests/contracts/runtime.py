"""What every agent runtime promises, with agents that are real but for their model.

The agents are wired by `wire`, which hosts in other processes find as `tests.contracts.runtime:
wire`. Their model does what the message says, as JSON: `{"say": text}`, `{"spawn": levels}` (one
child per level), `{"wait_for": file}`, `{"touch": file, ...}` before any of these.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from codetether_ray.agent.parts import AgentLinks, AgentParts
from codetether_ray.core.errors import BudgetSpentError, InfeasibleError
from codetether_ray.core.messages import Message, ToolCall, assistant, user
from codetether_ray.core.models import ModelRequest
from codetether_ray.core.spec import AgentSpec, Correlation
from codetether_ray.core.usage import Budget
from codetether_ray.local.clock import SystemClock
from codetether_ray.ports.runtime import AgentRuntime
from codetether_ray.ports.tool import Effect, ToolContext
from codetether_ray.testing.fakes import FakeSandbox, MemoryToolBox, ScriptedProvider, make_spec

MB = 1_000_000
RUN = "swm_0000000000_0000c0de"
WIRING = f"{__name__}:wire"


@dataclass(frozen=True, kw_only=True)
class Terms:
    """How a test wants its runtime: `max_live` permits, and the run's budget."""

    max_live: int | None = None
    budget: Budget = field(default_factory=Budget)


Open = Callable[[Terms], Awaitable[AgentRuntime]]
"""What the fixture `open_runtime` gives: a runtime of the run `RUN` on an empty journal."""


async def wire(spec: AgentSpec, links: AgentLinks) -> AgentParts:
    """An agent whose model is `_model`, with the `task` tool where its spec has it."""
    tools = {"task": (Effect.SPAWN, _task)} if "task" in spec.tools else {}
    return AgentParts(
        links=links,
        provider=ScriptedProvider(lambda request: _model(Path(spec.root), request)),
        toolbox=MemoryToolBox(tools),
        sandbox=FakeSandbox(),
        clock=SystemClock(),
        mask=lambda text: text,
    )


async def _task(arguments: dict[str, Any], ctx: ToolContext) -> str:
    assert ctx.children is not None
    result = await ctx.children.run_child(
        ctx.spec, ctx.call_id, arguments["description"], arguments["prompt"]
    )
    return result.text


async def _model(root: Path, request: ModelRequest) -> str | Message:
    with (root / "asked").open("a") as log:
        log.write(f"{request.agent}\n")
    if answers := request.messages[-1].tool_results:
        return f"{request.agent} heard [{answers[0].content}]"
    wish = _wish(request)
    if "touch" in wish:
        (root / wish["touch"]).touch()
    while "wait_for" in wish and not (root / wish["wait_for"]).exists():
        await asyncio.sleep(0.01)
    if wish.get("spawn") and any(t.name == "task" for t in request.tools):
        prompt = json.dumps({**wish, "spawn": wish["spawn"] - 1})
        arguments = json.dumps({"description": "a child", "prompt": prompt})
        return assistant("", ToolCall(id="call-1", name="task", arguments=arguments))
    return str(wish.get("say", "ok"))


def _wish(request: ModelRequest) -> dict[str, Any]:
    text = request.messages[0].text
    found: dict[str, Any] = json.loads(text[text.index("{") : text.rindex("}") + 1])
    return found


def spec_of(root: Path, path: str = "sub/a", **changes: Any) -> AgentSpec:
    """An agent that works in `root`."""
    made = make_spec(
        path,
        kind="subagent",
        root=str(root),
        correlation=Correlation(run_id=RUN, swarm_id=RUN),
        depth=1,
        memory_bytes=100 * MB,
    )
    return replace(made, **changes)


def wish(**what: Any) -> Message:
    """The message that makes an agent do something."""
    return user(json.dumps(what))


async def _until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not is_so():
            await asyncio.sleep(0.01)


class RuntimeContract:
    """Give a fixture `open_runtime` (see `Open`)."""

    @pytest.fixture
    async def runtime(self, open_runtime: Open) -> AsyncIterator[AgentRuntime]:
        runtime = await open_runtime(Terms())
        yield runtime
        await runtime.close()

    async def test_an_agent_answers_with_what_its_turn_used(
        self, runtime: AgentRuntime, tmp_path: Path
    ) -> None:
        result = await runtime.run(spec_of(tmp_path), wish(say="hello"))
        assert (result.outcome, result.text, result.steps) == ("completed", "hello", 1)
        assert result.usage.prompt_tokens == 100
        assert await runtime.list() == ()

    async def test_a_finished_turn_is_given_back_and_its_model_not_asked_again(
        self, runtime: AgentRuntime, tmp_path: Path
    ) -> None:
        first = await runtime.run(spec_of(tmp_path), wish(say="once"))
        again = await runtime.run(spec_of(tmp_path), wish(say="once"))
        assert again.text == first.text == "once"
        assert (tmp_path / "asked").read_text().splitlines() == ["sub/a"]

    async def test_the_prepared_spec_is_the_one_that_starts(
        self, runtime: AgentRuntime, tmp_path: Path
    ) -> None:
        place = tmp_path / "tree"

        async def prepare(spec: AgentSpec) -> AgentSpec:
            place.mkdir()
            return replace(spec, root=str(place))

        await runtime.run(spec_of(tmp_path), wish(touch="here"), prepare=prepare)
        assert (place / "here").exists()

    async def test_children_to_the_depth_allowed_finish_on_one_permit(
        self, open_runtime: Open, tmp_path: Path
    ) -> None:
        runtime = await open_runtime(Terms(max_live=1))
        spec = spec_of(tmp_path, depth=0, max_depth=3, tools=("task",))
        result = await runtime.run(spec, wish(spawn=9, say="the leaf"))
        leaf = "sub/a/task-1/task-1"
        assert result.text == f"sub/a heard [sub/a/task-1 heard [{leaf} heard [the leaf]]]"
        assert result.usage.prompt_tokens == 700  # two calls of each parent, one of the leaf
        await runtime.close()

    async def test_no_more_agents_live_than_there_are_permits_and_all_finish(
        self, open_runtime: Open, tmp_path: Path
    ) -> None:
        runtime = await open_runtime(Terms(max_live=2))
        running = [
            asyncio.create_task(
                runtime.run(spec_of(tmp_path, f"sub/{n}"), wish(touch=f"began-{n}", wait_for="go"))
            )
            for n in range(5)
        ]
        await _until(lambda: len(list(tmp_path.glob("began-*"))) == 2)
        states = sorted(s.state for s in await runtime.list())
        assert states == ["queued"] * 3 + ["running"] * 2
        assert all("2 of 2" in s.reason for s in await runtime.list() if s.state == "queued")
        (tmp_path / "go").touch()
        assert all(r.is_success for r in await asyncio.gather(*running))
        await runtime.close()

    async def test_a_cancelled_agent_ends_with_that_outcome(
        self, runtime: AgentRuntime, tmp_path: Path
    ) -> None:
        running = asyncio.create_task(
            runtime.run(spec_of(tmp_path), wish(touch="began", wait_for="never"))
        )
        await _until((tmp_path / "began").exists)
        assert await runtime.cancel("sub/a")
        assert (await running).outcome == "cancelled"
        assert not await runtime.cancel("sub/a")

    async def test_cancelling_the_caller_ends_the_agent(
        self, runtime: AgentRuntime, tmp_path: Path
    ) -> None:
        running = asyncio.create_task(
            runtime.run(spec_of(tmp_path), wish(touch="began", wait_for="never"))
        )
        await _until((tmp_path / "began").exists)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert await runtime.list() == ()

    async def test_what_can_never_run_is_refused(
        self, runtime: AgentRuntime, tmp_path: Path
    ) -> None:
        with pytest.raises(InfeasibleError):
            await runtime.run(spec_of(tmp_path, memory_bytes=10**15), wish(say="x"))

    async def test_a_spent_budget_admits_no_more_agents(
        self, open_runtime: Open, tmp_path: Path
    ) -> None:
        runtime = await open_runtime(Terms(budget=Budget(agents=1)))
        assert (await runtime.run(spec_of(tmp_path), wish(say="x"))).is_success
        with pytest.raises(BudgetSpentError):
            await runtime.run(spec_of(tmp_path, "sub/b"), wish(say="x"))
        await runtime.close()
