import asyncio
from dataclasses import replace
from typing import Any

import pytest

from codetether_ray.core.errors import (
    AgentLostError,
    BudgetSpentError,
    InfeasibleError,
    TreeLimitError,
    WorkspaceError,
)
from codetether_ray.core.events import AgentPlaced, AgentRestarted, ModelResponded, Queued
from codetether_ray.core.messages import ToolCall, assistant, user
from codetether_ray.core.models import ModelResponse
from codetether_ray.core.spec import AgentSpec, TurnResult
from codetether_ray.core.usage import Budget, Spend, Usage
from codetether_ray.local.directory import LocalDirectory
from codetether_ray.testing.clock import FakeClock
from codetether_ray.testing.fakes import make_spec
from tests.unit.local.crowd import GB, Crowd, CrowdProcess, done


def _spec(path: str = "sub/a", **changes: Any) -> AgentSpec:
    return make_spec(path, **{"kind": "subagent", "depth": 1, "memory_bytes": GB, **changes})


async def _turns(count: int = 30) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def _for_ever(process: CrowdProcess, text: str) -> TurnResult:
    await asyncio.Event().wait()
    return done()


# -- admission and start --------------------------------------------------------------------------


async def test_two_hundred_agents_on_memory_for_eight_finish_with_at_most_eight_alive() -> None:
    crowd = Crowd(memory_for=8)
    results = await asyncio.gather(
        *(crowd.runtime.run(_spec(f"sub/{n}"), user("go")) for n in range(200))
    )
    assert [r.text for r in results] == [f"sub/{n}: go" for n in range(200)]
    assert crowd.host.peak == 8
    assert crowd.host.live == set()
    assert await crowd.runtime.list() == ()


async def test_what_an_agent_needs_is_prepared_only_when_it_is_admitted() -> None:
    crowd = Crowd(max_live=1)
    prepared: list[str] = []

    async def prepare(spec: AgentSpec) -> AgentSpec:
        prepared.append(spec.path)
        assert len(crowd.host.live) == 0
        return replace(spec, root="/tree")

    await asyncio.gather(
        *(crowd.runtime.run(_spec(f"sub/{n}"), user(""), prepare=prepare) for n in range(5))
    )
    assert len(prepared) == 5
    assert {s.root for s in crowd.host.specs.values()} == {"/tree"}


async def test_what_prepare_raises_reaches_the_caller_and_frees_the_permit() -> None:
    crowd = Crowd(max_live=1)

    async def fails(spec: AgentSpec) -> AgentSpec:
        raise WorkspaceError("no tree")

    with pytest.raises(WorkspaceError):
        await crowd.runtime.run(_spec(), user(""), prepare=fails)
    assert (await crowd.runtime.run(_spec(), user(""))).is_success


async def test_higher_priorities_are_admitted_first() -> None:
    crowd, order = Crowd(max_live=1), []

    async def life(process: CrowdProcess, text: str) -> TurnResult:
        order.append(process.spec.path)
        await _turns(3)
        return done()

    crowd.host.life = life  # type: ignore[method-assign]
    await asyncio.gather(
        *(crowd.runtime.run(_spec(f"sub/{n}"), user(""), priority=n) for n in range(4))
    )
    assert order == ["sub/0", "sub/3", "sub/2", "sub/1"]  # the first found nobody before it


async def test_who_waits_is_listed_and_told_why() -> None:
    crowd = Crowd(memory_for=1)
    crowd.host.lives["sub/a"] = _for_ever
    running = asyncio.create_task(crowd.runtime.run(_spec("sub/a"), user("")))
    await _turns()
    waiting = asyncio.create_task(crowd.runtime.run(_spec("sub/b"), user("")))
    await _turns()
    first, second = await crowd.runtime.list()
    assert (first.path, first.state, first.attempts) == ("sub/a", "running", 1)
    assert (second.path, second.state) == ("sub/b", "queued")
    assert second.reason == "queued: needs 1 GB, largest free 0 MB"
    assert crowd.publishers["sub/b"].emitted == [Queued(reason=second.reason)]
    for task in (running, waiting):
        task.cancel()
    await asyncio.gather(running, waiting, return_exceptions=True)


async def test_what_can_never_run_is_refused_at_once() -> None:
    with pytest.raises(InfeasibleError):
        await Crowd(memory_for=1).runtime.run(_spec(memory_bytes=2 * GB), user(""))


# -- budget ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("budget", "spent", "said"),
    [
        (Budget(tokens=100), Spend(tokens=100), "100 tokens"),
        (Budget(usd=2.0), Spend(usd=2.5), "US dollars"),
    ],
)
async def test_a_spent_budget_admits_no_more_agents(
    budget: Budget, spent: Spend, said: str
) -> None:
    crowd = Crowd(budget=budget, max_live=1)
    crowd.host.lives["sub/a"] = _spends(crowd, spent)
    results = await asyncio.gather(
        *(crowd.runtime.run(_spec(f"sub/{n}"), user("")) for n in "abc"), return_exceptions=True
    )
    assert isinstance(results[0], TurnResult)
    for refused in results[1:]:  # they waited in the queue when it was spent
        assert isinstance(refused, BudgetSpentError)
        assert said in str(refused)
    assert set(crowd.host.starts) == {"sub/a"}


def _spends(crowd: Crowd, amount: Spend) -> Any:
    async def life(process: CrowdProcess, text: str) -> TurnResult:
        await crowd.ledger.settle(await crowd.ledger.reserve(Spend()), amount)
        return done()

    return life


async def test_the_budget_counts_agents_of_the_whole_tree() -> None:
    crowd = Crowd(budget=Budget(agents=2))
    crowd.host.lives["sub/a"] = _parent(crowd, 1)
    assert (await crowd.runtime.run(_spec("sub/a"), user(""))).is_success
    with pytest.raises(BudgetSpentError, match="2 agents"):
        await crowd.runtime.run(_spec("sub/b"), user(""))


async def test_a_child_beyond_the_number_of_agents_is_a_limit_of_the_tree() -> None:
    crowd = Crowd(budget=Budget(agents=1))
    caught: list[TreeLimitError] = []

    async def life(process: CrowdProcess, text: str) -> TurnResult:
        try:
            await crowd.runtime.run_child(process.spec, "c1", "child", "go")
        except TreeLimitError as error:
            caught.append(error)
        return done()

    crowd.host.lives["sub/a"] = life
    assert (await crowd.runtime.run(_spec("sub/a"), user(""))).is_success
    assert "limit of 1 for agents" in str(caught[0])


# -- faults ---------------------------------------------------------------------------------------


def _dying(times: int) -> Any:
    async def life(process: CrowdProcess, text: str) -> TurnResult:
        if process.attempt < times:
            raise AgentLostError(process.spec.path, "killed")
        return done(f"at attempt {process.attempt}")

    return life


async def test_a_lost_agent_is_started_again_under_the_same_path_and_the_journal_says_so() -> None:
    crowd = Crowd()
    crowd.host.lives["sub/a"] = _dying(1)
    result = await crowd.runtime.run(_spec(), user(""))
    assert result.text == "at attempt 1"
    first, restarted, second = crowd.recorded("sub/a")
    assert restarted == AgentRestarted(attempt=1, reason="killed")
    assert [placed.attempt for placed in (first, second) if isinstance(placed, AgentPlaced)] == [
        0,
        1,
    ]
    assert crowd.host.live == set()


async def test_what_a_lost_agent_had_reserved_is_free_for_its_next_life() -> None:
    crowd = Crowd(budget=Budget(tokens=100))

    async def life(process: CrowdProcess, text: str) -> TurnResult:
        await crowd.ledger.reserve(Spend(tokens=80), process.spec.path)
        if process.attempt == 0:
            raise AgentLostError(process.spec.path, "killed")
        return done()

    crowd.host.lives["sub/a"] = life
    assert (await crowd.runtime.run(_spec(), user(""))).is_success
    assert list(crowd.ledger.open.values()) == [Spend(tokens=80)]


async def test_an_agent_that_cannot_be_started_is_tried_again_too() -> None:
    crowd = Crowd()
    crowd.host.fails_to_start = 1
    assert (await crowd.runtime.run(_spec(), user(""))).is_success


async def test_an_agent_that_dies_too_often_is_given_up_after_growing_pauses() -> None:
    crowd = Crowd(max_restarts=3)
    crowd.host.lives["sub/a"] = _dying(99)
    running = asyncio.create_task(crowd.runtime.run(_spec(), user("")))
    await _turns()
    assert crowd.host.starts["sub/a"] == 2  # the first restart is at once
    await crowd.clock.advance(2)
    assert crowd.host.starts["sub/a"] == 3
    await crowd.clock.advance(4)
    with pytest.raises(AgentLostError):
        await running
    assert crowd.host.starts["sub/a"] == 4
    assert crowd.admission.live == 0


async def test_a_quota_is_waited_out_without_process_or_permit() -> None:
    crowd = Crowd(max_live=1)
    asked: list[int] = []

    async def life(process: CrowdProcess, text: str) -> TurnResult:
        asked.append(1)
        resumes = crowd.clock.now() + 3600
        if len(asked) == 1:
            return TurnResult(outcome="waiting", resumes_at=resumes)
        return done("at last")

    crowd.host.lives["sub/a"] = life
    running = asyncio.create_task(
        crowd.runtime.run(_spec(wait_quota_s=7200.0), user("")),
    )
    await _turns()
    assert crowd.host.live == set()
    assert crowd.admission.live == 0
    (status,) = await crowd.runtime.list()
    assert (status.state, status.reason) == ("waiting", "a quota; goes on in 3600 s")
    told = [e for e in crowd.publishers["sub/a"].emitted if isinstance(e, Queued)]
    assert [event.next_in_s for event in told] == [3600.0]
    assert (await crowd.runtime.run(_spec("sub/b"), user(""))).is_success
    await crowd.clock.advance(3601)
    assert (await running).text == "at last"


async def test_an_agent_that_is_cancelled_while_it_waits_for_a_quota_tells_what_it_had_used() -> (
    None
):
    crowd = Crowd()
    used = Usage(prompt_tokens=70)
    resumes = crowd.clock.now() + 60

    async def life(process: CrowdProcess, text: str) -> TurnResult:
        return TurnResult(outcome="waiting", resumes_at=resumes, usage=used, cost_usd=0.5)

    crowd.host.lives["sub/a"] = life
    running = asyncio.create_task(crowd.runtime.run(_spec(wait_quota_s=90.0), user("")))
    await _turns()
    assert await crowd.runtime.cancel("sub/a")
    result = await running
    assert (result.outcome, result.usage, result.cost_usd) == ("cancelled", used, 0.5)
    assert result.resumes_at is None


async def test_a_quota_that_resets_too_late_is_not_waited_for() -> None:
    crowd = Crowd()
    late = TurnResult(outcome="waiting", resumes_at=crowd.clock.now() + 100)

    async def life(process: CrowdProcess, text: str) -> TurnResult:
        return late

    crowd.host.lives["sub/a"] = life
    assert await crowd.runtime.run(_spec(wait_quota_s=50.0), user("")) == late


async def test_an_agent_that_hangs_past_its_timeout_is_ended_with_a_typed_timeout() -> None:
    crowd = Crowd()

    async def hangs(process: CrowdProcess, text: str) -> TurnResult:
        process.is_deaf = True
        return await _for_ever(process, text)

    crowd.host.lives["sub/a"] = hangs
    running = asyncio.create_task(crowd.runtime.run(_spec(timeout_s=60.0), user("")))
    await crowd.clock.advance(89)
    assert not running.done()
    await crowd.clock.advance(12)
    result = await running
    assert (result.outcome, result.error_kind) == ("timeout", "TimeoutError")
    assert crowd.host.live == set()


async def test_a_waiting_parent_gets_a_typed_timeout_and_loses_no_time_of_its_own() -> None:
    crowd = Crowd()
    crowd.publisher_for(_spec("sub/a")).recorded.append(_calls("c1"))

    async def hangs(process: CrowdProcess, text: str) -> TurnResult:
        process.is_deaf = True
        return await _for_ever(process, text)

    async def life(process: CrowdProcess, text: str) -> TurnResult:
        await crowd.clock.sleep(80)  # later than its child began, its own time is still not over
        told.append(await crowd.runtime.run_child(process.spec, "c1", "child", "go"))
        return done()

    told: list[TurnResult] = []
    crowd.host.lives |= {"sub/a": life, "sub/a/task-1": hangs}
    running = asyncio.create_task(crowd.runtime.run(_spec(timeout_s=60.0), user("")))
    await crowd.clock.advance(100)
    (parent, _) = await crowd.runtime.list()
    assert (parent.path, parent.state) == ("sub/a", "waiting")
    await crowd.clock.advance(90)
    assert (await running).is_success
    assert (told[0].outcome, told[0].error_kind) == ("timeout", "TimeoutError")


# -- children -------------------------------------------------------------------------------------


def _calls(*ids: str) -> ModelResponded:
    calls = [ToolCall(id=i, name="task", arguments="{}") for i in ids]
    response = ModelResponse(message=assistant("", *calls), finish_reason="tool_calls")
    return ModelResponded(step=0, response=response, elapsed_ms=1)


def _parent(crowd: Crowd, children: int) -> Any:
    async def life(process: CrowdProcess, text: str) -> TurnResult:
        results = await asyncio.gather(
            *(
                crowd.runtime.run_child(process.spec, f"c{n + 1}", f"child {n + 1}", "go")
                for n in range(children)
            )
        )
        return done(" | ".join(r.text or r.outcome for r in results))

    return life


async def test_children_are_named_by_the_order_of_their_calls_and_answer_their_parent() -> None:
    crowd = Crowd()
    crowd.host.lives["sub/a"] = _parent(crowd, 2)
    crowd.publisher_for(_spec("sub/a")).recorded.append(_calls("c2", "c1"))
    result = await crowd.runtime.run(_spec(tools=("bash", "task")), user(""))
    assert result.text == "sub/a/task-2: go | sub/a/task-1: go"
    child = crowd.host.specs["sub/a/task-1"]
    assert (child.depth, child.root, child.kind) == (2, "/nowhere", "subagent")
    assert "task" in child.tools


async def test_a_turns_usage_and_cost_include_its_childrens() -> None:
    crowd = Crowd()
    crowd.host.lives["sub/a"] = _parent(crowd, 2)
    result = await crowd.runtime.run(_spec(), user(""))
    assert (result.usage.prompt_tokens, result.cost_usd) == (30, 3.0)


async def test_a_leaf_has_no_task_tool_and_the_depth_is_a_limit() -> None:
    crowd = Crowd()
    crowd.host.lives["sub/a"] = _parent(crowd, 1)
    crowd.publisher_for(_spec("sub/a")).recorded.append(_calls("c1"))
    await crowd.runtime.run(_spec(depth=2, max_depth=3, tools=("bash", "task")), user(""))
    leaf = crowd.host.specs["sub/a/task-1"]
    assert leaf.tools == ("bash",)
    with pytest.raises(TreeLimitError, match="limit of 3 for depth"):
        await crowd.runtime.run_child(leaf, "c1", "x", "y")


async def test_eight_permits_and_eight_agents_that_each_spawn_to_depth_three_all_finish() -> None:
    crowd = Crowd(max_live=8)

    async def life(process: CrowdProcess, text: str) -> TurnResult:
        await _turns(2)
        if process.spec.depth < 3:
            calls = (f"{process.spec.path}-{n}" for n in range(2))
            await asyncio.gather(
                *(crowd.runtime.run_child(process.spec, c, "child", "go") for c in calls)
            )
        return done()

    crowd.host.life = life  # type: ignore[method-assign]
    results = await asyncio.wait_for(
        asyncio.gather(
            *(crowd.runtime.run(_spec(f"sub/{n}", depth=0), user("")) for n in range(8))
        ),
        60,
    )
    assert all(r.is_success for r in results)
    assert len(crowd.host.starts) == 8 * (1 + 2 + 4 + 8)
    assert results[0].usage.prompt_tokens == 15 * 10
    assert crowd.admission.live == 0


async def test_a_child_that_fails_tells_its_parent_as_a_typed_result() -> None:
    crowd = Crowd(max_restarts=0)
    crowd.publisher_for(_spec("sub/a")).recorded.append(_calls("c1"))
    crowd.host.lives["sub/a/task-1"] = _dying(9)
    told: list[TurnResult] = []

    async def life(process: CrowdProcess, text: str) -> TurnResult:
        told.append(await crowd.runtime.run_child(process.spec, "c1", "child", "go"))
        return done()

    crowd.host.lives["sub/a"] = life
    await crowd.runtime.run(_spec(), user(""))
    assert (told[0].outcome, told[0].error_kind) == ("failed", "AgentLostError")


async def test_a_parent_that_died_finds_the_same_child_again() -> None:
    crowd = Crowd()
    crowd.publisher_for(_spec("sub/a")).recorded.append(_calls("c1"))
    gate = asyncio.Event()

    async def child(process: CrowdProcess, text: str) -> TurnResult:
        await gate.wait()
        return done("from the child")

    async def life(process: CrowdProcess, text: str) -> TurnResult:
        call = asyncio.ensure_future(crowd.runtime.run_child(process.spec, "c1", "child", "go"))
        if process.attempt == 0:  # a call that the dead process can no longer take back
            orphans.append(call)
            await _turns()
            raise AgentLostError("sub/a", "killed")
        gate.set()
        return done((await call).text)

    orphans: list[asyncio.Future[TurnResult]] = []
    crowd.host.lives |= {"sub/a": life, "sub/a/task-1": child}
    result = await crowd.runtime.run(_spec(), user(""))
    assert result.text == "from the child"
    assert crowd.host.starts == {"sub/a": 2, "sub/a/task-1": 1}
    await asyncio.gather(*orphans)
    assert crowd.admission.live == 0


async def test_a_repeated_call_id_means_the_newest_call() -> None:
    crowd = Crowd()
    history = crowd.publisher_for(_spec("sub/a")).recorded
    history.append(_calls("call_0"))

    async def life(process: CrowdProcess, text: str) -> TurnResult:
        first = await crowd.runtime.run_child(process.spec, "call_0", "child", "one")
        history.append(_calls("call_0"))
        second = await crowd.runtime.run_child(process.spec, "call_0", "child", "two")
        return done(f"{first.text} {second.text}")

    crowd.host.lives["sub/a"] = life
    result = await crowd.runtime.run(_spec(), user(""))
    assert result.text == "sub/a/task-1: one sub/a/task-2: two"


async def test_children_that_a_parent_leaves_behind_are_ended_with_it() -> None:
    crowd = Crowd()
    crowd.publisher_for(_spec("sub/a")).recorded.append(_calls("c1"))
    crowd.host.lives["sub/a/task-1"] = _for_ever
    left: list[asyncio.Future[TurnResult]] = []

    async def life(process: CrowdProcess, text: str) -> TurnResult:
        left.append(
            asyncio.ensure_future(crowd.runtime.run_child(process.spec, "c1", "child", "go"))
        )
        await _turns()
        return done()

    crowd.host.lives["sub/a"] = life
    await crowd.runtime.run(_spec(), user(""))
    assert crowd.host.live == set()
    assert await crowd.runtime.list() == ()
    await asyncio.gather(*left, return_exceptions=True)
    assert crowd.admission.live == 0


# -- cancelling -----------------------------------------------------------------------------------


async def test_cancelling_an_agent_cancels_its_children_and_gives_a_cancelled_result() -> None:
    crowd = Crowd()
    crowd.publisher_for(_spec("sub/a")).recorded.append(_calls("c1"))
    crowd.host.lives |= {"sub/a": _parent(crowd, 1), "sub/a/task-1": _for_ever}
    crowd.host.lives["sub/ab"] = _for_ever
    running = asyncio.create_task(crowd.runtime.run(_spec("sub/a"), user("")))
    other = asyncio.create_task(crowd.runtime.run(_spec("sub/ab"), user("")))
    await _turns()
    assert await crowd.runtime.cancel("sub/a")
    assert (await running).outcome == "cancelled"
    assert [s.path for s in await crowd.runtime.list()] == ["sub/ab"]
    assert not await crowd.runtime.cancel("sub/a")
    other.cancel()
    await asyncio.gather(other, return_exceptions=True)
    assert crowd.admission.live == 0


async def test_a_queued_agent_can_be_cancelled() -> None:
    crowd = Crowd(max_live=1)
    crowd.host.lives["sub/a"] = _for_ever
    running = asyncio.create_task(crowd.runtime.run(_spec("sub/a"), user("")))
    await _turns()
    queued = asyncio.create_task(crowd.runtime.run(_spec("sub/b"), user("")))
    await _turns()
    assert await crowd.runtime.cancel("sub/b")
    assert (await queued).outcome == "cancelled"
    assert crowd.host.starts == {"sub/a": 1}
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_a_cancelled_agent_is_not_restarted() -> None:
    crowd = Crowd()

    async def life(process: CrowdProcess, text: str) -> TurnResult:
        try:
            return await _for_ever(process, text)
        except asyncio.CancelledError:
            raise AgentLostError("sub/a", "killed in the middle") from None

    crowd.host.lives["sub/a"] = life
    running = asyncio.create_task(crowd.runtime.run(_spec(), user("")))
    await _turns()
    await crowd.runtime.cancel("sub/a")
    assert (await running).outcome == "cancelled"
    assert crowd.host.starts["sub/a"] == 1


@pytest.mark.parametrize("turns", [0, 1, 2, 3, 5, 8, 13])
async def test_cancelling_the_caller_ends_the_agent_wherever_it_stands(turns: int) -> None:
    crowd = Crowd(max_live=1)
    crowd.host.life = _for_ever  # type: ignore[method-assign]
    running = asyncio.create_task(crowd.runtime.run(_spec(timeout_s=60.0), user("")))
    await _turns(turns)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert crowd.host.live == set()
    assert await crowd.runtime.list() == ()
    assert (crowd.admission.live, crowd.admission.waiting) == (0, 0)


async def test_closing_ends_everything() -> None:
    crowd = Crowd(max_live=2)
    crowd.host.life = _for_ever  # type: ignore[method-assign]
    running = [
        asyncio.create_task(crowd.runtime.run(_spec(f"sub/{n}"), user(""))) for n in range(5)
    ]
    await _turns()
    await crowd.runtime.close()
    ended = await asyncio.gather(*running, return_exceptions=True)
    assert all(isinstance(e, asyncio.CancelledError) for e in ended)
    assert crowd.host.live == set()


# -- the directory --------------------------------------------------------------------------------


async def test_live_agents_are_in_the_directory_as_long_as_they_live() -> None:
    clock = FakeClock()
    directory = LocalDirectory(clock)
    crowd = Crowd(max_live=1, clock=clock, directory=directory)
    gate = asyncio.Event()

    async def life(process: CrowdProcess, text: str) -> TurnResult:
        await gate.wait()
        return done()

    crowd.host.life = life  # type: ignore[method-assign]
    running = [
        asyncio.create_task(crowd.runtime.run(_spec(f"sub/{n}"), user(""))) for n in range(2)
    ]
    await _turns()
    (only,) = await directory.list()  # the other one waits for a permit
    assert only.card.url == f"bus://local/{only.card.name}"
    assert only.card.labels["path"] == "sub/0"
    assert only.card.ephemeral
    await clock.advance(100)  # its lease is renewed
    assert [p.is_alive for p in await directory.list()] == [True]
    gate.set()
    await asyncio.gather(*running)
    assert await directory.list() == ()
