"""A Ralph run against agents, trees and gates in memory."""

import asyncio
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codetether_ray.core.errors import AgentLostError, BudgetSpentError, PrdGoneError, ToolError
from codetether_ray.core.events import (
    AttemptFaulted,
    AttemptStarted,
    DiagnosisMade,
    GateRun,
)
from codetether_ray.core.spec import AgentSpec, TurnResult
from codetether_ray.ports.sandbox import Completed
from codetether_ray.ralph.prd import Story
from tests.unit.ralph.world import World, story, world
from tests.unit.swarm.world import Files, completed


def wants(name: str, text: str = "") -> Any:
    """A gate that wants a file (with that text in it) to be there."""

    def gate(command: str, files: Files) -> Completed:
        if name in files and text in files[name]:
            return Completed(exit_code=0, output="fine")
        return Completed(exit_code=1, output=f"{name} lacks {text!r} in 0.31 s")

    return gate


async def test_stories_pass_in_order_of_their_needs_and_each_is_one_commit() -> None:
    made = world(story("A"), story("B", "A"), story("C", "A", "B"))
    result = await made.coordinator().run()
    assert (result.outcome, result.exit_code) == ("completed", 0)
    assert made.trunk.lands == ["A", "B", "C"]
    assert made.book.prd.is_complete
    assert [e.partition(" - ")[2].partition(":")[0] for e in made.book.entries] == ["A", "B", "C"]
    assert made.workspace.nodes[made.workspace.main].files["C.txt"] == "by story/c/1"
    assert made.trunk.messages[made.workspace.main].startswith("feat(c): do C\n\nRalph-Run: ")
    assert [row["status"] for row in result.to_json()["stories"]] == ["passed"] * 3  # type: ignore[index,union-attr]


async def test_a_story_is_told_what_those_before_it_left() -> None:
    made = world(story("A"), story("B", "A"))
    await made.coordinator().run()
    assert "A is easy" in made.runtime.spec_of("story/b/1").situation


async def test_priority_then_complexity_then_order_decides_who_is_first() -> None:
    made = world(
        story("late", priority=3),
        story("hard", complexity=5),
        story("easy", complexity=1),
        story("next", complexity=1),
    )
    await made.coordinator(parallel=1).run()
    assert made.trunk.lands == ["easy", "next", "hard", "late"]


async def test_a_failed_gate_is_told_word_for_word_to_a_fresh_agent() -> None:
    made = world(story("A"), gate=wants("A.txt", "right"))
    made.runtime.behaviours["story/a/2"] = made.writes({"A.txt": "right"})
    result = await made.coordinator().run()
    assert result.is_success
    said = made.runtime.message_to("story/a/2")
    assert "A.txt lacks 'right' in 0.31 s" in said
    assert "codetether/x/story/a/1" in said
    assert made.ends == [("A", "failed", "gates"), ("A", "passed", "")]


async def test_after_two_like_failures_somebody_diagnoses_then_the_story_is_blocked() -> None:
    made = world(story("A"), story("B", "A"), gate=wants("never"))
    made.runtime.behaviours["story/a/diagnosis-2"] = "it is the hinge"
    result = await made.coordinator().run()
    assert made.runtime.paths == ["story/a/1", "story/a/2", "story/a/diagnosis-2", "story/a/3"]
    assert "it is the hinge" in made.runtime.message_to("story/a/3")
    assert made.ends[-2:] == [("A", "blocked", "gates"), ("B", "blocked", "depends")]
    assert (result.outcome, result.exit_code, result.iterations) == ("quality_failed", 1, 4)


async def test_unlike_failures_go_on_to_the_limit() -> None:
    seen: list[int] = []

    def gate(command: str, files: Files) -> Completed:
        seen.append(1)
        return Completed(exit_code=1, output="abcdefgh"[len(seen)] * 5)

    made = world(story("A"), gate=gate)
    result = await made.coordinator(max_iterations=4).run()
    assert (result.outcome, len(made.runtime.calls)) == ("max_iterations", 4)
    assert "--max-iterations" in result.error


async def test_all_gates_run_though_one_fails() -> None:
    def gate(command: str, files: Files) -> Completed:
        return Completed(exit_code=command == "lint", output=command)

    made = world(story("A"), gate=gate, lint="lint", build="build")
    await made.coordinator(max_iterations=1).run()
    assert made.sandbox.ran == ["lint", "test", "build"]


async def test_a_gate_that_does_not_end_in_time_fails() -> None:
    made = world(story("A"), gate=lambda c, f: Completed(exit_code=0, output="", timed_out=True))
    result = await made.coordinator(max_iterations=1).run()
    assert result.outcome == "max_iterations"
    assert made.ends == [("A", "failed", "gates")]


async def test_a_blocked_story_stops_those_behind_it_and_no_others() -> None:
    made = world(story("A"), story("B", "A"), story("C"))
    made.runtime.behaviours["story/a/1"] = "Alas.\nSTORY_BLOCKED: there is no such API"
    result = await made.coordinator().run()
    assert made.ends[0] == ("A", "blocked", "told")
    assert ("B", "blocked", "depends") in made.ends
    assert made.trunk.lands == ["C"]
    assert (result.outcome, result.exit_code) == ("blocked", 1)
    assert "no such API" in result.error


async def test_nothing_changed_never_passes() -> None:
    made = world(story("A"), test=None)
    made.runtime.behaviours["story/a/1"] = "STORY_COMPLETE: A"
    await made.coordinator(max_iterations=1).run()
    assert made.ends == [("A", "failed", "empty")]


async def test_without_gates_a_story_must_be_said_to_be_complete() -> None:
    made = world(story("A"), test=None)
    made.runtime.behaviours["story/a/1"] = made.writes({"x": "y"}, "I think that is all.")
    await made.coordinator(max_iterations=1).run()
    assert made.ends == [("A", "failed", "agent")]


async def test_an_agent_out_of_steps_has_failed_whatever_it_left() -> None:
    made = world(story("A"))
    made.runtime.behaviours["story/a/1"] = made.writes({"A.txt": "x"}, outcome="max_steps")
    await made.coordinator(max_iterations=1).run()
    assert made.ends == [("A", "failed", "agent")]


async def test_a_diff_that_removes_a_test_fails_unless_the_story_names_the_file() -> None:
    for words, end in (("", "measures"), ("rewrite tests/test_a.py", "")):
        made = world(story("A", description=words))
        made.workspace.nodes[made.workspace.base].files["tests/test_a.py"] = "def test_it():\n  x()"
        made.runtime.behaviours["story/a/1"] = made.writes({"tests/test_a.py": "pass"})
        await made.coordinator(max_iterations=1).run()
        assert made.ends[0][2] == end


async def test_a_conflict_goes_to_a_resolver_and_its_result_is_measured() -> None:
    made = world(story("A"), story("B"))
    made.runtime.behaviours["story/a/1"] = made.writes({"readme": "by a"})
    made.runtime.behaviours["story/b/1"] = made.writes({"readme": "by b"})

    async def resolve(spec: AgentSpec, _: str) -> TurnResult:
        made.workspace.files_of(spec.root)["readme"] = "by both"
        return completed("kept both")

    made.runtime.behaviours["resolver/b/1"] = resolve
    result = await made.coordinator().run()
    assert result.is_success
    assert made.workspace.nodes[made.workspace.main].files["readme"] == "by both"
    assert len(made.sandbox.ran) == 2


async def test_a_conflict_that_stays_is_a_failed_attempt_that_the_next_is_told_of() -> None:
    made = world(story("A"), story("B"))
    made.runtime.behaviours["story/a/1"] = made.writes({"readme": "by a"})
    made.runtime.behaviours["story/b/1"] = made.writes({"readme": "by b"})
    result = await made.coordinator().run()
    assert ("B", "failed", "merge") in made.ends
    assert "in readme" in made.runtime.message_to("story/b/2")
    assert result.is_success


async def test_what_is_lost_beside_the_story_counts_as_no_attempt() -> None:
    made = world(story("A"))
    lost = [AgentLostError("story/a/1", "its node is gone")] * 2

    async def shaky(spec: AgentSpec, text: str) -> TurnResult:
        if lost:
            raise lost.pop()
        return await made.does(spec, text)

    made.runtime.behaviours["story/a/1"] = shaky
    work = asyncio.create_task(made.coordinator(max_iterations=1).run())
    await made.clock.advance(60)
    result = await work
    assert (result.outcome, result.iterations) == ("completed", 1)
    faults = [e for e in made.publisher.recorded if isinstance(e, AttemptFaulted)]
    assert [f.next_in_s for f in faults] == [2.0, 10.0]


async def test_a_provider_that_stays_down_interrupts_the_run_which_goes_on_later() -> None:
    made = world(story("A"), story("B", "A"))
    down = completed("", outcome="failed", error="down", error_kind="ModelUnavailableError")
    made.runtime.behaviours["story/a/1"] = down
    work = asyncio.create_task(made.coordinator().run())
    await made.clock.advance(600)
    result = await work
    assert (result.outcome, result.error) == ("interrupted", "down")
    assert result.exit_code != 0
    del made.runtime.behaviours["story/a/1"]
    assert (await made.coordinator().run()).outcome == "completed"
    assert Counter(made.trunk.lands) == {"A": 1, "B": 1}


@pytest.mark.parametrize("when", ["carried", "passed"])
async def test_a_prd_that_is_gone_interrupts_the_run_without_a_pause(
    when: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = world(story("A"), story("B", "A"))

    async def gone(*_: object) -> object:
        raise PrdGoneError("prd.json")

    with monkeypatch.context() as away:
        away.setattr(made.book, when, gone)
        result = await made.coordinator().run()  # nobody advances the clock
    assert (result.outcome, result.error_kind) == ("interrupted", "PrdGoneError")
    assert "prd.json: it was deleted" in result.error
    assert made.runtime.message_to("story/a/1")
    assert (await made.coordinator().run()).outcome == "completed"
    assert Counter(made.trunk.lands) == {"A": 1, "B": 1}


async def test_what_is_still_to_be_judged_is_kept_where_a_run_is_cut_off() -> None:
    made = world(story("A"), test="true")

    def broken(command: str, files: object) -> Completed:
        raise ToolError("no shell")

    made.sandbox.gate = broken
    assert (await made.coordinator().run()).outcome == "interrupted"
    made.sandbox.gate = lambda command, files: Completed(exit_code=0, output="fine")
    assert (await made.coordinator().run()).outcome == "completed"
    assert made.trunk.awaited == [True, False]


async def test_a_spent_budget_ends_the_run_and_leaves_the_attempt_open() -> None:
    made = world(story("A"))
    made.runtime.behaviours["story/a/1"] = BudgetSpentError("tokens", 5, 5)
    result = await made.coordinator().run()
    assert (result.outcome, made.ends) == ("budget", [])


@pytest.mark.parametrize("answer", [True, {"approved": True}, {"approved": True, "text": "x"}])
async def test_a_wrong_criterion_is_amended_by_somebodys_word_alone(answer: object) -> None:
    made = world(story("A", acceptance_criteria=("one", "two")), answer=answer)
    made.runtime.behaviours["story/a/1"] = "CRITERION_WRONG: 2: it has three => three"
    result = await made.coordinator().run()
    assert result.is_success
    assert made.asked[0]["evidence"] == "it has three"
    new = "x" if isinstance(answer, dict) and "text" in answer else "three"
    assert made.book.prd.by_id["A"].acceptance_criteria == ("one", new)
    assert f"2. {new}" in made.runtime.message_to("story/a/2")


async def test_a_proposal_that_is_denied_blocks_the_story_and_changes_nothing() -> None:
    made = world(story("A", acceptance_criteria=("one",)), answer={"approved": False})
    made.runtime.behaviours["story/a/1"] = "CRITERION_WRONG: 1: no => two"
    result = await made.coordinator().run()
    assert made.ends == [("A", "blocked", "criterion")]
    assert result.outcome == "blocked"
    assert made.book.prd.by_id["A"].acceptance_criteria == ("one",)


async def test_cancelled_it_says_so_and_goes_on_with_the_same_attempt() -> None:
    made = world(story("A"))
    begun = asyncio.Event()

    async def slow(spec: AgentSpec, text: str) -> TurnResult:
        begun.set()
        await asyncio.sleep(3600)
        return completed()

    made.runtime.behaviours["story/a/1"] = slow
    coordinator = made.coordinator()
    work = asyncio.create_task(coordinator.run())
    await begun.wait()
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
    assert coordinator.result is not None
    assert (coordinator.result.outcome, coordinator.result.exit_code) == ("interrupted", 130)
    del made.runtime.behaviours["story/a/1"]
    result = await made.coordinator(max_iterations=1).run()
    assert (result.outcome, made.runtime.paths) == ("completed", ["story/a/1", "story/a/1"])


async def test_a_run_that_ended_by_itself_is_granted_more_by_a_resume() -> None:
    made = world(story("A"), gate=wants("A.txt", "right"))
    made.runtime.behaviours["story/a/1"] = "STORY_BLOCKED: no key"
    assert (await made.coordinator(max_iterations=1).run()).outcome == "blocked"
    made.runtime.behaviours["story/a/2"] = made.writes({"A.txt": "right"})
    assert (await made.coordinator(max_iterations=1).run()).outcome == "completed"


class _Killed(BaseException):
    """The process is gone."""


def _scene() -> World:
    made = world(story("A"), story("B", "A"), story("C"), gate=wants("C.txt", "second"))
    made.sandbox.gate = lambda c, f: Completed(
        exit_code="C.txt" in f and "second" not in f["C.txt"], output="C is wrong"
    )
    made.runtime.behaviours["story/c/2"] = made.writes({"C.txt": "second"})
    return made


async def _count() -> int:
    made = _scene()
    await made.coordinator(parallel=1).run()
    return len(made.publisher.batches)


async def test_killed_after_any_record_it_comes_to_the_same_tree() -> None:
    whole = _scene()
    assert (await whole.coordinator(parallel=1).run()).is_success
    wanted = whole.workspace.nodes[whole.workspace.main].files
    for moment in range(1, await _count()):
        made = _scene()
        record = made.publisher.record

        async def dying(*events: Any, made: World = made, record: Any = record) -> None:
            if len(made.publisher.batches) >= moment:  # noqa: B023 - awaited in this round
                await asyncio.sleep(3600)
            await record(*events)

        made.publisher.record = dying  # type: ignore[method-assign]
        work = asyncio.create_task(made.coordinator(parallel=1).run())
        for _ in range(300):
            await asyncio.sleep(0)
        while not work.done():
            for task in asyncio.all_tasks() - {asyncio.current_task()}:
                task.cancel()
            await asyncio.sleep(0)
        made.publisher.record = record  # type: ignore[method-assign]
        result = await made.coordinator(parallel=1).run()
        assert result.is_success, moment
        assert made.workspace.nodes[made.workspace.main].files == wanted
        assert Counter(made.trunk.lands) == {"A": 1, "B": 1, "C": 1}
        assert len(made.book.entries) == 3


@st.composite
def graphs(draw: st.DrawFn) -> tuple[Story, ...]:
    count = draw(st.integers(1, 7))
    found = []
    for number in range(count):
        needs = draw(st.sets(st.integers(0, number - 1), max_size=3)) if number else set()
        found.append(
            story(
                f"S{number}",
                *(f"S{n}" for n in sorted(needs)),
                priority=draw(st.integers(1, 3)),
                complexity=draw(st.integers(1, 3)),
            )
        )
    return tuple(draw(st.permutations(found)))


@given(graphs(), st.sampled_from([None, 1, 2]), st.sets(st.integers(0, 6), max_size=2))
def test_each_story_runs_after_its_needs_never_twice_at_once_and_always_alike(
    stories: tuple[Story, ...], parallel: int | None, stuck: set[int]
) -> None:
    async def once() -> tuple[list[str], World]:
        made = world(*stories)
        for number in stuck:
            made.runtime.behaviours[f"story/s{number}/1"] = "STORY_BLOCKED: no"
        result = await made.coordinator(parallel=parallel, max_iterations=99).run()
        assert result.is_success == (not stuck & {int(s.id[1:]) for s in stories})
        return made.trunk.lands, made

    lands, made = asyncio.run(once())
    place = {id: number for number, id in enumerate(lands)}
    needs = {s.id: s.depends_on for s in stories}
    for id in lands:
        assert all(place[need] < place[id] for need in needs[id])
    started = [e for e in made.publisher.recorded if isinstance(e, AttemptStarted)]
    assert len({e.story for e in started}) == len(started)
    ends = {story: status for story, status, _ in made.ends}
    assert set(ends) == set(needs)
    assert asyncio.run(once())[0] == lands


async def test_a_gate_that_ran_before_a_crash_is_not_run_again() -> None:
    made = _scene()
    await made.coordinator(parallel=1).run()
    runs = [e for e in made.publisher.recorded if isinstance(e, GateRun)]
    assert len(runs) == len({(r.story, r.attempt, r.gate, r.commit) for r in runs})
    assert not [e for e in made.publisher.recorded if isinstance(e, DiagnosisMade)]
