import asyncio
import random
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codetether_ray.core.errors import AgentLostError, BudgetSpentError, WorkspaceError
from codetether_ray.core.events import (
    PlanMade,
    SubtaskChanged,
    SubtaskMerged,
    SwarmContinued,
    SwarmFinished,
    SwarmStarted,
    Warned,
)
from codetether_ray.core.spec import AgentSpec, TurnResult
from codetether_ray.core.usage import Usage
from codetether_ray.swarm import coordinator as leading
from codetether_ray.swarm.estimate import Estimate
from codetether_ray.swarm.plan import Plan
from codetether_ray.swarm.result import SwarmResult, exit_code
from codetether_ray.swarm.schedule import ENDED
from codetether_ray.testing.fakes import MemoryPublisher
from tests.unit.swarm.world import MemoryWorkspace, World, completed, plan_of, world

THREE_WAVES = plan_of(
    {"name": "d", "dependencies": ["b", "c"]},
    {"name": "b", "dependencies": ["a"]},
    {"name": "c", "dependencies": ["a"]},
    {"name": "a"},
)


def _statuses(scene: World) -> list[tuple[str, str]]:
    return [(e.id, e.status) for e in scene.publisher.recorded if isinstance(e, SubtaskChanged)]


def _merges(scene: World) -> list[tuple[str, str]]:
    return [(e.id, e.status) for e in scene.publisher.recorded if isinstance(e, SubtaskMerged)]


async def _run(scene: World, **options: Any) -> SwarmResult:
    return await scene.coordinator(**options).run()


async def test_a_plan_of_three_waves_runs_every_node_on_its_dependencies_work() -> None:
    scene = world(planner=THREE_WAVES, synthesis="all is done")
    for name in "abcd":
        scene.runtime.behaviours[f"sub/{name}"] = scene.writes({name: f"by {name}"})
    result = await _run(scene)
    assert result.outcome == "success"
    assert result.text == "all is done"
    assert scene.runtime.paths == ["planner", "sub/a", "sub/b", "sub/c", "sub/d", "synthesis"]
    assert scene.workspace.trees["d"][1] == {n: f"by {n}" for n in "abcd"} | {"readme": "hello"}
    assert scene.workspace.nodes[result.commit].files == scene.workspace.trees["d"][1]
    assert scene.workspace.merged == ["Merge a", "Merge b", "Merge c", "Merge d"]
    assert result.branch == "codetether/x/main"
    assert exit_code(result) == 0


async def test_parents_are_given_in_plan_order_and_their_results_as_context() -> None:
    scene = world(planner=THREE_WAVES)
    scene.runtime.behaviours["sub/b"] = scene.writes({"b": "1"}, turns=30)
    scene.runtime.behaviours["sub/c"] = scene.writes({"c": "1"})
    result = await _run(scene)
    commits = {s.subtask.id: s.commit for s in result.subtasks}
    assert scene.workspace.started[-1] == ("d", (commits["b"], commits["c"]))
    told = scene.runtime.message_to("sub/d")
    assert told.index("wrote ['b']") < told.index("wrote ['c']")
    assert "did sub/a" not in told


async def test_the_journal_tells_every_step_in_order() -> None:
    scene = world(planner=plan_of({"name": "a"}, {"name": "b", "dependencies": ["a"]}))
    scene.runtime.behaviours["sub/a"] = scene.writes({"x": "1"})
    await _run(scene)
    recorded = scene.publisher.recorded
    assert isinstance(recorded[0], SwarmStarted)
    assert recorded[0].base == scene.workspace.base
    assert isinstance(recorded[1], PlanMade)
    assert isinstance(recorded[-1], SwarmFinished)
    assert _statuses(scene) == [
        ("a", "queued"), ("a", "running"), ("a", "completed"),
        ("b", "queued"), ("b", "running"), ("b", "completed"),
    ]  # fmt: skip
    assert _merges(scene) == [("a", "merged"), ("b", "empty")]
    done = next(e for e in recorded if isinstance(e, SubtaskChanged) and e.status == "completed")
    assert done.result is not None
    assert done.result.text == "wrote ['x']"
    assert (done.files, done.branch) == (("x",), "codetether/x/a")


async def test_a_subagent_gets_its_tree_its_environment_and_the_situation() -> None:
    scene = world(planner=plan_of({"name": "a", "specialty": "SQL"}, {"name": "b"}))
    await _run(scene, tools={"subagent": ("bash", "task"), "planner": ("grep",)})
    spec = scene.runtime.spec_of("sub/a")
    assert (spec.root, spec.env, spec.kind) == ("/trees/a", (("PORT", "a"),), "subagent")
    assert (spec.depth, spec.tools) == (1, ("bash", "task"))
    assert "SQL" in spec.instructions
    assert "branch dev" in spec.situation
    assert "a note." in spec.situation
    assert '"b"' in spec.situation
    planner = scene.runtime.spec_of("planner")
    assert (planner.root, planner.tools, planner.kind) == ("/user", ("grep",), "planner")
    assert scene.runtime.spec_of("synthesis").tools == ()


async def test_a_subtask_starts_when_its_own_dependencies_are_done_not_its_stage() -> None:
    slow = asyncio.Event()

    async def waits(spec: AgentSpec, text: str) -> TurnResult:
        await slow.wait()
        return completed()

    async def opens(spec: AgentSpec, text: str) -> TurnResult:
        slow.set()
        return completed()

    # `late` is in stage 1, `slow` in stage 0: with a barrier this would never end.
    plan = plan_of({"name": "slow"}, {"name": "quick"}, {"name": "late", "dependencies": ["quick"]})
    scene = world(planner=plan, sub__slow=waits, sub__late=opens)
    result = await asyncio.wait_for(_run(scene), 60)
    assert result.outcome == "success"


async def test_a_cycle_is_refused_before_any_subagent_starts() -> None:
    cycle = plan_of({"name": "a", "dependencies": ["b"]}, {"name": "b", "dependencies": ["a"]})
    scene = world(**{"planner": cycle, "planner-repair": cycle})
    result = await _run(scene)
    assert result.outcome == "failed"
    assert "a -> b -> a" in result.error
    assert scene.runtime.paths == ["planner", "planner-repair"]
    assert exit_code(result) == 1


async def test_a_plan_is_repaired_once_and_the_model_is_told_what_was_wrong() -> None:
    bad = plan_of({"name": "a", "dependencies": ["nobody"]})
    scene = world(**{"planner": bad, "planner-repair": plan_of({"name": "a"})})
    result = await _run(scene)
    assert result.outcome == "success"
    told = scene.runtime.message_to("planner-repair")
    assert 'depends on "nobody"' in told
    assert bad in told


async def test_max_subagents_holds_for_the_answer() -> None:
    many = plan_of({"name": "a"}, {"name": "b"}, {"name": "c"})
    scene = world(**{"planner": many, "planner-repair": many})
    result = await _run(scene, max_subagents=2)
    assert (result.outcome, result.error_kind) == ("failed", "PlanError")
    assert "at most 2" in result.error


async def test_strategy_none_and_a_single_subtask_ask_no_other_model() -> None:
    scene = world(sub__main_task="")
    scene.runtime.behaviours["sub/main-task"] = "did it all"
    result = await _run(scene, strategy="none")
    assert scene.runtime.paths == ["sub/main-task"]
    assert result.text == "did it all"
    assert "build it" in scene.runtime.message_to("sub/main-task")


@pytest.mark.parametrize(
    ("kind", "code"), [("CredentialsError", 4), ("ModelRefusedError", 1), ("NoSuchError", 1)]
)
async def test_a_planner_that_fails_ends_the_swarm_with_its_reason(kind: str, code: int) -> None:
    scene = world(planner=TurnResult(outcome="failed", error="no key", error_kind=kind))
    result = await _run(scene)
    assert result.outcome == "failed"
    assert "no key" in result.error
    assert exit_code(result) == code


async def test_a_planner_that_says_nothing_leaves_the_task_in_one_piece_and_tells_so() -> None:
    blank = TurnResult(outcome="failed", error="nothing", error_kind="UnfinishedAnswerError")
    scene = world(planner=blank)
    result = await _run(scene)
    assert scene.runtime.paths == ["planner", "sub/main-task"]
    assert result.is_success
    assert any("one subtask" in note for note in result.notes)


async def test_a_plan_that_cannot_be_used_says_what_helps() -> None:
    scene = world(planner="no")
    scene.runtime.behaviours["planner-repair"] = "still no"
    result = await _run(scene)
    assert (result.outcome, exit_code(result)) == ("failed", 1)
    assert "--strategy none" in result.error


async def test_a_failure_stops_its_dependents_and_says_so() -> None:
    failed = TurnResult(outcome="max_steps", text="so far", steps=9)
    scene = world(planner=THREE_WAVES, sub__b=failed)
    scene.runtime.behaviours["sub/a"] = scene.writes({"a": "1"})
    result = await _run(scene)
    by_id = {s.subtask.id: s for s in result.subtasks}
    assert {i: s.status for i, s in by_id.items()} == {
        "a": "completed", "b": "failed", "c": "completed", "d": "blocked",
    }  # fmt: skip
    assert by_id["d"].error == 'it depends on "b", which is failed'
    assert "steps" in by_id["b"].error
    assert "sub/d" not in scene.runtime.paths
    assert (result.outcome, exit_code(result)) == ("partial", 1)
    assert ("d", "blocked") in _statuses(scene)
    assert '"b" failed' in result.error


async def test_unfinished_changes_are_committed_and_kept_on_their_branch_only() -> None:
    late = TurnResult(outcome="timeout", error="600 s were over")
    scene = world(planner=plan_of({"name": "a"}, {"name": "b"}))
    scene.runtime.behaviours["sub/a"] = scene.writes({"half": "done"}, result=late)
    result = await _run(scene)
    a = result.subtasks[0]
    assert a.status == "timed_out"
    assert scene.workspace.nodes[a.commit].files["half"] == "done"
    assert a.error == "600 s were over; what it had done is on branch codetether/x/a"
    assert "half" not in scene.workspace.nodes[result.commit].files
    assert result.outcome == "partial"


async def test_an_agent_that_died_too_often_fails_alone_and_its_files_are_kept() -> None:
    async def dies(spec: AgentSpec, text: str) -> TurnResult:
        scene.workspace.files_of(spec.root)["kept"] = "yes"
        raise AgentLostError(spec.path, "killed")

    scene = world(planner=plan_of({"name": "a"}, {"name": "b"}), sub__a=dies)
    result = await _run(scene)
    a, b = result.subtasks
    assert (a.status, a.error_kind, a.files) == ("failed", "AgentLostError", ("kept",))
    assert b.status == "completed"


async def test_a_spent_budget_is_the_outcome() -> None:
    spent = BudgetSpentError("tokens", 100, 100)
    scene = world(planner=plan_of({"name": "a"}, {"name": "b"}), sub__b=spent, synthesis=spent)
    result = await _run(scene)
    assert result.outcome == "budget"
    assert "budget of 100 tokens is spent" in result.error
    assert "did sub/a" in result.text  # the joined reports, since nobody could be asked
    assert any("no synthesis" in note for note in result.notes)


async def test_nothing_completed_is_a_failure_and_asks_for_no_synthesis() -> None:
    refused = TurnResult(outcome="failed", error="401", error_kind="CredentialsError")
    scene = world(planner=plan_of({"name": "a"}, {"name": "b"}), sub__a=refused, sub__b=refused)
    result = await _run(scene)
    assert result.outcome == "failed"
    assert "synthesis" not in scene.runtime.paths
    assert exit_code(result) == 4


async def test_a_decision_that_nobody_could_take_shows_in_the_exit_code() -> None:
    asks = TurnResult(outcome="needs_decision", error="may I?")
    scene = world(planner=plan_of({"name": "a"}, {"name": "b"}), sub__a=asks)
    assert exit_code(await _run(scene)) == 3


# -- merges ---------------------------------------------------------------------------------------

TWO = plan_of({"name": "a"}, {"name": "b"})


def _clash(**behaviours: Any) -> World:
    scene = world(planner=TWO, **behaviours)
    scene.runtime.behaviours["sub/a"] = scene.writes({"f": "from a"})
    scene.runtime.behaviours["sub/b"] = scene.writes({"f": "from b"})
    return scene


async def test_a_conflict_goes_to_a_resolver_whose_work_is_merged() -> None:
    scene = _clash()
    scene.runtime.behaviours["resolver/b"] = scene.writes({"f": "from both"})
    result = await _run(scene)
    assert result.outcome == "success"
    assert scene.workspace.nodes[result.commit].files["f"] == "from both"
    assert _merges(scene) == [("a", "merged"), ("b", "resolved")]
    assert scene.runtime.spec_of("resolver/b").kind == "resolver"
    assert scene.runtime.spec_of("resolver/b").root == "/trees/resolve--b"
    assert "conflicts in: f" in scene.runtime.message_to("resolver/b")


async def test_markers_that_are_left_get_one_second_try() -> None:
    scene = _clash(resolver__b="I think it is fine")
    scene.runtime.behaviours["resolver/b/again"] = scene.writes({"f": "clean"})
    result = await _run(scene)
    assert result.outcome == "success"
    assert "still hold conflicts: f" in scene.runtime.message_to("resolver/b/again")


@pytest.mark.parametrize(
    "resolver", ["markers stay", TurnResult(outcome="stuck"), AgentLostError("resolver/b", "gone")]
)
async def test_what_stays_unmerged_keeps_its_branch_and_makes_the_swarm_partial(
    resolver: Any,
) -> None:
    scene = _clash(resolver__b=resolver, resolver__b__again=resolver)
    result = await _run(scene)
    b = result.subtasks[1]
    assert (result.outcome, b.merge, b.conflicts) == ("partial", "unmerged", ("f",))
    assert "the work is on branch codetether/x/b" in b.error
    assert b.is_success  # its own work was done
    assert scene.workspace.nodes[result.commit].files["f"] == "from a"
    assert scene.workspace.released["resolve--b"] is True
    assert exit_code(result) == 1


async def test_a_resolver_that_did_not_end_well_is_not_believed_though_no_marker_is_left() -> None:
    scene = _clash()
    for path in ("resolver/b", "resolver/b/again"):
        half = TurnResult(outcome="budget", error="spent")
        scene.runtime.behaviours[path] = scene.writes({"f": "half"}, result=half)
    result = await _run(scene)
    assert result.subtasks[1].merge == "unmerged"


async def test_conflicting_parents_are_resolved_before_their_dependent_starts() -> None:
    plan = plan_of({"name": "a"}, {"name": "b"}, {"name": "c", "dependencies": ["a", "b"]})
    scene = world(planner=plan)
    scene.runtime.behaviours["sub/a"] = scene.writes({"f": "from a"})
    scene.runtime.behaviours["sub/b"] = scene.writes({"f": "from b"})
    scene.runtime.behaviours["resolver/c/parents-1"] = scene.writes({"f": "joined"})
    scene.runtime.behaviours["resolver/b"] = scene.writes({"f": "joined"})
    scene.runtime.behaviours["sub/c"] = scene.writes({"c": "1"})
    result = await _run(scene)
    assert result.outcome == "success"
    assert scene.workspace.trees["c"][1]["f"] == "joined"
    assert scene.workspace.nodes[result.commit].files == {
        "readme": "hello", "f": "joined", "c": "1",
    }  # fmt: skip


async def test_parents_that_stay_in_conflict_fail_their_dependent_with_a_reason() -> None:
    plan = plan_of({"name": "a"}, {"name": "b"}, {"name": "c", "dependencies": ["a", "b"]})
    scene = world(planner=plan)
    scene.runtime.behaviours["sub/a"] = scene.writes({"f": "from a"})
    scene.runtime.behaviours["sub/b"] = scene.writes({"f": "from b"})
    scene.runtime.behaviours["resolver/b"] = scene.writes({"f": "ok"})
    result = await _run(scene)
    c = result.subtasks[2]
    assert c.status == "failed"
    assert 'what "c" builds on conflicts in f' in c.error
    assert "sub/c" not in scene.runtime.paths


async def test_a_workspace_that_refuses_fails_one_subtask_and_no_more() -> None:
    class Refusing(MemoryWorkspace):
        async def start(self, id: str, parents: tuple[str, ...] = (), *, node: str = "") -> Any:
            if id == "a":
                raise WorkspaceError("the disk is full")
            return await super().start(id, parents)

    scene = World(world(planner=TWO).runtime, Refusing())
    result = await _run(scene)
    assert [s.status for s in result.subtasks] == ["failed", "completed"]
    assert "the disk is full" in result.subtasks[0].error


WIDE = plan_of(
    {"name": "z"},
    {"name": "y", "dependencies": ["x"]},
    {"name": "x"},
    {"name": "w"},
    {"name": "v", "dependencies": ["z", "w"]},
)


async def _with_delays(delays: dict[str, int]) -> tuple[World, SwarmResult]:
    scene = world(planner=WIDE)
    for name, turns in delays.items():
        files = {"shared": f"by {name}"} if name in "zw" else {name: "1"}
        scene.runtime.behaviours[f"sub/{name}"] = scene.writes(files, turns=turns)
    for path in ("resolver/w", "resolver/v/parents-1", "resolver/v"):
        scene.runtime.behaviours[path] = scene.writes({"shared": "agreed"})
    return scene, await _run(scene)


@given(st.randoms(use_true_random=False))
async def test_merges_never_depend_on_who_finishes_first(chance: random.Random) -> None:
    first, expected = await _with_delays(dict.fromkeys("zyxwv", 0))
    delays = {name: chance.randrange(40) for name in "zyxwv"}
    scene, result = await _with_delays(delays)
    assert result.outcome == "success"
    assert scene.workspace.merged == first.workspace.merged
    assert result.commit == expected.commit  # contents and the whole history
    assert [e.id for e in scene.publisher.recorded if isinstance(e, SubtaskMerged)] == [
        "z", "x", "y", "w", "v",
    ]  # fmt: skip


# -- approval, cancellation, resume ---------------------------------------------------------------


async def test_the_plan_and_an_estimate_are_shown_before_anything_starts() -> None:
    seen: list[tuple[int, int]] = []

    async def denies(plan: Plan, estimate: Estimate) -> bool:
        seen.append((len(plan.subtasks), estimate.agents))
        assert estimate.total_tokens > 10_000
        return False

    scene = world(planner=TWO)
    result = await _run(scene, approve=denies)
    assert seen == [(2, 2)]
    assert scene.runtime.paths == ["planner"]
    assert (result.outcome, exit_code(result)) == ("cancelled", 3)


async def _until(scene: World, path: str) -> None:
    while path not in scene.runtime.live:
        await asyncio.sleep(0)


async def _for_ever(spec: AgentSpec, text: str) -> TurnResult:
    await asyncio.Event().wait()
    return completed()


async def test_cancelling_ends_the_agents_keeps_the_trees_and_tells_the_truth() -> None:
    plan = plan_of({"name": "a"}, {"name": "b"}, {"name": "c", "dependencies": ["b"]})
    scene = world(planner=plan, sub__b=_for_ever)
    scene.runtime.behaviours["sub/a"] = scene.writes({"a": "1"})
    coordinator = scene.coordinator()
    running = asyncio.create_task(coordinator.run())
    await _until(scene, "sub/b")
    while ("a", "merged") not in _merges(scene):
        await asyncio.sleep(0)
    coordinator.cancel()
    result = await running
    assert (result.outcome, exit_code(result)) == ("cancelled", 130)
    assert [s.status for s in result.subtasks] == ["completed", "interrupted", "interrupted"]
    assert scene.runtime.cancelled == ["sub/b"]
    assert "b" not in scene.workspace.released
    assert _statuses(scene)[-2:] == [("b", "interrupted"), ("c", "interrupted")]
    assert isinstance(scene.publisher.recorded[-1], SwarmFinished)


async def test_cancelling_the_caller_leaves_the_result_and_raises() -> None:
    scene = world(planner=TWO, sub__a=_for_ever)
    coordinator = scene.coordinator()
    running = asyncio.create_task(coordinator.run())
    await _until(scene, "sub/a")
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert coordinator.result is not None
    assert coordinator.result.outcome == "cancelled"


@pytest.mark.parametrize("path", ["planner", "synthesis", "resolver/b"])
async def test_the_swarm_can_be_cancelled_at_any_agent(path: str) -> None:
    scene = _clash()
    scene.runtime.behaviours["resolver/b"] = scene.writes({"f": "ok"})
    scene.runtime.behaviours[path] = _for_ever
    coordinator = scene.coordinator()
    running = asyncio.create_task(coordinator.run())
    await _until(scene, path)
    coordinator.cancel()
    result = await running
    assert result.outcome == "cancelled"
    assert scene.runtime.live == set()


@given(st.integers(0, 160))
async def test_a_cancel_at_any_moment_leaves_no_agent_and_one_truth_per_subtask(turns: int) -> None:
    scene = world(planner=WIDE)
    for name in "zyxwv":
        scene.runtime.behaviours[f"sub/{name}"] = scene.writes({name: "1"}, turns=5)
    coordinator = scene.coordinator()
    running = asyncio.create_task(coordinator.run())
    for _ in range(turns):
        await asyncio.sleep(0)
    coordinator.cancel()
    result = await running
    assert scene.runtime.live == set()
    last = dict(_statuses(scene))
    merges = dict(_merges(scene))
    for subtask in result.subtasks:
        assert last.get(subtask.subtask.id, subtask.status) == subtask.status
        assert merges.get(subtask.subtask.id, "") == subtask.merge
    ended = [id for id, status in _statuses(scene) if status in ENDED]
    assert len(ended) == len(set(ended))
    if result.outcome != "cancelled":
        assert result.is_success


async def test_a_cancel_while_an_end_is_being_written_is_too_late_for_that_subtask() -> None:
    scene = world(planner=TWO)
    coordinator = scene.coordinator()
    running = asyncio.create_task(coordinator.run())
    while ("a", "completed") not in _statuses(scene):
        await asyncio.sleep(0)
    coordinator.cancel()
    result = await running
    assert result.outcome == "cancelled"
    assert result.subtasks[0].status == "completed"
    assert ("a", "interrupted") not in _statuses(scene)


async def test_a_resumed_swarm_plans_and_does_nothing_twice() -> None:
    scene = world(planner=THREE_WAVES, sub__b=_for_ever)
    for name in "ac":
        scene.runtime.behaviours[f"sub/{name}"] = scene.writes({name: "1"})
    coordinator = scene.coordinator()
    running = asyncio.create_task(coordinator.run())
    await _until(scene, "sub/b")
    while ("c", "completed") not in _statuses(scene):
        await asyncio.sleep(0)
    coordinator.cancel()
    first = await running

    again = World(world().runtime, scene.workspace, MemoryPublisher(scene.publisher.recorded))
    again.runtime.behaviours["sub/b"] = again.writes({"b": "1"})
    result = await _run(again)
    assert again.runtime.paths == ["sub/b", "sub/d", "synthesis"]
    assert result.outcome == "success"
    assert set("abc") <= set(again.workspace.nodes[result.commit].files)
    starts = [e for e in again.publisher.recorded if isinstance(e, SwarmStarted)]
    assert len(starts) == 1
    assert result.usage.total_tokens > first.usage.total_tokens - 11  # the planner's are past


async def test_a_swarm_that_other_rules_take_up_says_so_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scene = world(planner=THREE_WAVES)
    scene.publisher.recorded.append(SwarmStarted(task="t", strategy="auto"))
    monkeypatch.setattr(leading, "RULES", 2)
    for _ in range(2):
        await _run(World(world(planner=THREE_WAVES).runtime, scene.workspace, scene.publisher))
    told = [e for e in scene.publisher.recorded if isinstance(e, (SwarmStarted, SwarmContinued))]
    assert told == [SwarmStarted(task="t", strategy="auto", rules=1), SwarmContinued(rules=2)]


async def test_a_subtask_that_somebody_cancelled_stays_so_and_stops_its_dependents() -> None:
    plan = plan_of({"name": "a"}, {"name": "b"}, {"name": "c", "dependencies": ["b"]})
    scene = world(planner=plan, sub__b=TurnResult(outcome="cancelled", error="it was cancelled"))
    scene.runtime.behaviours["sub/a"] = _for_ever
    coordinator = scene.coordinator()
    running = asyncio.create_task(coordinator.run())
    await _until(scene, "sub/a")
    while ("c", "blocked") not in _statuses(scene):
        await asyncio.sleep(0)
    coordinator.cancel()
    assert [s.status for s in (await running).subtasks] == ["interrupted", "cancelled", "blocked"]

    again = World(world().runtime, scene.workspace, MemoryPublisher(scene.publisher.recorded))
    again.runtime.behaviours["sub/a"] = again.writes({"a": "1"})
    result = await _run(again)
    assert again.runtime.paths[0] == "sub/a"
    assert not {"sub/b", "sub/c"} & set(again.runtime.paths)
    assert [s.status for s in result.subtasks] == ["completed", "cancelled", "blocked"]


async def test_an_old_journal_says_cancelled_of_what_was_interrupted_and_that_goes_on() -> None:
    scene = world(planner=TWO, sub__a=_for_ever, sub__b=_for_ever)
    coordinator = scene.coordinator()
    running = asyncio.create_task(coordinator.run())
    await _until(scene, "sub/a")
    coordinator.cancel()
    await running
    old = [
        replace(e, status="cancelled")
        if isinstance(e, SubtaskChanged) and e.status == "interrupted"
        else e
        for e in scene.publisher.recorded
    ]
    again = World(world().runtime, scene.workspace, MemoryPublisher(old))
    assert (await _run(again)).outcome == "success"
    assert {"sub/a", "sub/b"} <= set(again.runtime.paths)


async def test_a_resumed_swarm_tries_what_stayed_unmerged_once_more() -> None:
    scene = _clash(resolver__b="markers stay", resolver__b__again="markers stay")
    assert (await _run(scene)).outcome == "partial"
    assert "resolver/b/again-2" not in scene.runtime.paths

    again = World(scene.runtime, scene.workspace, MemoryPublisher(scene.publisher.recorded))
    again.runtime.behaviours["resolver/b/again-2"] = again.writes({"f": "clean"})
    result = await _run(again)
    assert result.outcome == "success"
    assert result.subtasks[1].merge == "resolved"


async def test_usage_is_what_the_runs_model_calls_came_to_where_that_is_known() -> None:
    async def spent() -> tuple[Usage, float | None]:
        return Usage(prompt_tokens=7), None

    result = await _run(world(planner=TWO), spent=spent)
    assert (result.usage.total_tokens, result.cost_usd) == (7, None)


async def test_a_plan_that_was_never_approved_is_asked_about_again() -> None:
    asked: list[int] = []

    async def answers(plan: Plan, estimate: Estimate) -> bool:
        asked.append(1)
        return len(asked) > 1

    scene = world(planner=TWO)
    await _run(scene, approve=answers)
    again = World(world().runtime, scene.workspace, MemoryPublisher(scene.publisher.recorded))
    result = await _run(again, approve=answers)
    assert len(asked) == 2
    assert result.outcome == "success"
    assert "planner" not in again.runtime.paths


async def test_a_failing_synthesis_gives_the_joined_reports_and_says_so() -> None:
    scene = world(planner=TWO, synthesis=TurnResult(outcome="failed", error="503"))
    result = await _run(scene)
    assert result.outcome == "success"
    assert "## a (completed, empty)\ndid sub/a" in result.text
    assert [e for e in scene.publisher.emitted if isinstance(e, Warned)]


async def test_a_resumed_swarm_counts_the_time_of_its_earlier_tries() -> None:
    scene = world(planner=THREE_WAVES)
    result = await _run(scene, elapsed_s=60.0)
    assert result.elapsed_s == 60.0  # this clock stands still
