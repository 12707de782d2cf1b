import random

from hypothesis import given
from hypothesis import strategies as st

from codetether_ray.core import graph
from codetether_ray.swarm.plan import Plan, Subtask
from codetether_ray.swarm.schedule import Schedule


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    """Acyclic plans whose plan order is not their topological order."""
    count = draw(st.integers(1, 12))
    place = draw(st.permutations(range(count)))
    subtasks = []
    for index in place:
        needs = draw(st.lists(st.integers(0, index - 1), max_size=3, unique=True)) if index else []
        subtasks.append(
            Subtask(
                id=f"t{index}",
                name=f"t{index}",
                instruction="",
                dependencies=tuple(f"t{n}" for n in needs),
                priority=draw(st.integers(0, 2)),
            )
        )
    return Plan(subtasks=tuple(subtasks))


@given(plans(), st.randoms(use_true_random=False))
def test_every_subtask_runs_once_and_only_after_its_dependencies(
    plan: Plan, chance: random.Random
) -> None:
    schedule, running, done = Schedule(plan), [], []
    while not schedule.is_finished:
        running += schedule.take_ready()
        for subtask in running:
            assert set(subtask.dependencies) <= set(done)
        # Nobody who could run is left behind: there is no barrier between stages.
        known = {s.id for s in running} | set(done)
        assert all(s.id in known or not set(s.dependencies) <= set(done) for s in plan.subtasks)
        ended = running.pop(chance.randrange(len(running)))
        done.append(ended.id)
        assert schedule.end(ended.id, "completed") == ()
    assert sorted(done) == sorted(s.id for s in plan.subtasks)


@given(plans(), st.randoms(use_true_random=False), st.data())
def test_a_failure_stops_exactly_its_descendants(
    plan: Plan, chance: random.Random, data: st.DataObject
) -> None:
    failing = data.draw(st.sampled_from([s.id for s in plan.subtasks]))
    schedule, running, ran, blocked = Schedule(plan), [], [], []
    while not schedule.is_finished:
        running += schedule.take_ready()
        ended = running.pop(chance.randrange(len(running)))
        ran.append(ended.id)
        status = "failed" if ended.id == failing else "completed"
        stopped = schedule.end(ended.id, status)
        assert all(b.cause.id == failing for b in stopped)
        blocked += [b.subtask.id for b in stopped]
    descendants = graph.reach(graph.dependents(plan.graph), (failing,))
    assert set(blocked) == descendants
    assert len(blocked) == len(descendants)
    assert set(ran) == {s.id for s in plan.subtasks} - descendants


def test_ready_subtasks_come_by_priority_then_plan_order() -> None:
    plan = Plan(
        subtasks=tuple(
            Subtask(id=i, name=i, instruction="", priority=p)
            for i, p in [("a", 0), ("b", 5), ("c", 0), ("d", 5), ("e", -1)]
        )
    )
    assert [s.id for s in Schedule(plan).take_ready()] == ["b", "d", "a", "c", "e"]


def test_two_failures_block_a_common_descendant_once() -> None:
    plan = Plan(
        subtasks=(
            Subtask(id="a", name="a", instruction=""),
            Subtask(id="b", name="b", instruction=""),
            Subtask(id="c", name="c", instruction="", dependencies=("a", "b")),
        )
    )
    schedule = Schedule(plan)
    schedule.take_ready()
    assert [b.subtask.id for b in schedule.end("b", "timed_out")] == ["c"]
    assert schedule.end("a", "failed") == ()
    assert schedule.is_finished
