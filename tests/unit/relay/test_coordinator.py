from dataclasses import replace
from typing import Any

import pytest

from codetether_ray.core.errors import AgentLostError, BudgetSpentError
from codetether_ray.core.events import (
    RelayFinished,
    RelayStarted,
    TeamFormed,
    TurnBegun,
    TurnDone,
    TurnFinished,
)
from codetether_ray.core.spec import TurnResult
from codetether_ray.relay.result import RelayResult
from codetether_ray.relay.verify import RelayCheck
from tests.unit.relay.world import (
    BreakingPublisher,
    CrashError,
    Scores,
    World,
    team_of,
    world,
)

LONG = "finding " * 1_000
NEEDS_A_WORD = TurnResult(outcome="needs_decision", error_kind="DecisionNeededError")


async def _run(scene: World, **options: Any) -> RelayResult:
    return await scene.coordinator(**options).run()


async def test_members_take_turns_in_order_and_each_gets_the_handoff_of_the_one_before() -> None:
    scene = world(
        relay__auto_a=["a began", "a went on", "a ended"],
        relay__auto_b=["b began", "b went on", "b ended"],
    )
    result = await _run(scene)
    assert (result.outcome, result.is_success, result.rounds) == ("max_rounds", True, 3)
    paths = [path for path, _ in scene.runtime.asked]
    assert paths == ["planner", *["relay/auto-a", "relay/auto-b"] * 3]
    batons = [text for path, text in scene.runtime.asked if path != "planner"]
    assert "build it" in batons[0]
    assert "You go first" in batons[0]
    assert "Handoff from @auto-a (round 1):\na began" in batons[1]
    assert "Handoff from @auto-b (round 1):\nb began" in batons[2]
    assert "build it" not in batons[2], "the task is told once"
    assert result.final_handoff == "b ended"
    assert result.to_json()["status"] == "max_rounds_reached"


async def test_the_journal_tells_every_step_in_order() -> None:
    scene = world()
    await _run(scene, rounds=1)
    kinds = [type(event) for event in scene.publisher.recorded]
    assert kinds == [
        RelayStarted, TeamFormed, TurnBegun, TurnDone, TurnBegun, TurnDone, RelayFinished,
    ]  # fmt: skip


async def test_all_members_work_in_one_tree_that_is_nobodys_own() -> None:
    scene = world()
    scene.runtime.said["relay/auto-a"] = scene.writes({"x": "1"}, "wrote x")
    scene.runtime.said["relay/auto-b"] = scene.writes({"y": "2"}, "wrote y")
    result = await _run(scene, rounds=1)
    specs = [scene.runtime.specs[f"relay/auto-{n}"] for n in "ab"]
    assert {(s.root, s.tree, s.kind) for s in specs} == {("/trees/relay", "", "member")}
    assert scene.workspace.nodes[result.commit].files == {"readme": "hello", "x": "1", "y": "2"}
    first, second = scene.turns
    assert scene.workspace.nodes[second.commit].parents == (first.commit,)


async def test_what_is_handed_over_is_on_the_bus() -> None:
    scene = world(relay__auto_a="a did it")
    await _run(scene, rounds=1)
    assert scene.announced == [
        ("user", "auto-a", "build it"),
        ("auto-a", "auto-b", "a did it"),
    ]


async def test_three_equal_answers_without_a_change_end_it_as_converged() -> None:
    scene = world(relay__auto_a="All is well.", relay__auto_b="all is WELL!")
    result = await _run(scene)
    assert (result.outcome, len(result.turns)) == ("converged", 3)


async def test_equal_answers_while_files_change_are_no_convergence() -> None:
    scene = world()
    count = iter(range(100))

    def changes(spec: Any, _: str) -> str:
        scene.workspace.files_of(spec.root)["n"] = str(next(count))
        return "same"

    scene.runtime.said |= {"relay/auto-a": changes, "relay/auto-b": changes}
    assert (await _run(scene)).outcome == "max_rounds"


async def test_two_rounds_at_rest_with_everybody_done_end_it() -> None:
    said = {n: [f"{n} {i}\nSTATUS: done" for i in range(9)] for n in "ab"}
    scene = world(relay__auto_a=said["a"], relay__auto_b=said["b"])
    result = await _run(scene, rounds=9)
    assert (result.outcome, len(result.turns)) == ("converged", 4)


async def test_done_is_believed_only_where_nothing_changes() -> None:
    scene = world()
    count = iter(range(100))

    def changes(spec: Any, _: str) -> str:
        scene.workspace.files_of(spec.root)["n"] = str(next(count))
        return f"{next(count)}\nSTATUS: done"

    scene.runtime.said |= {"relay/auto-a": changes, "relay/auto-b": changes}
    assert (await _run(scene, rounds=4)).outcome == "max_rounds"


async def test_a_team_that_cannot_be_used_is_asked_for_again_and_then_generalists_do_it() -> None:
    scene = world(planner="no json here", planner_repair=team_of("only-one"))
    result = await _run(scene, rounds=1)
    assert [p for p, _ in scene.runtime.asked][:2] == ["planner", "planner-repair"]
    assert "no json here" in scene.runtime.asked[1][1]
    assert result.agents == ("auto-agent-1", "auto-agent-2")
    assert any("generalists" in note for note in result.notes)


async def test_a_question_goes_into_the_baton_of_who_is_asked() -> None:
    scene = world(
        planner=team_of("a", "b", "c"), relay__auto_a="did it\n@auto-c: which port?\n@auto-z: hm?"
    )
    await _run(scene, count=3, rounds=1)
    told = dict(scene.runtime.asked)
    assert "which port?" not in told["relay/auto-b"].partition("Asked of you")[2]
    assert "Asked of you (answer in your handoff):\n- @auto-a: which port?" in told["relay/auto-c"]
    assert "hm?" not in told["relay/auto-c"]


async def test_a_specialist_joins_right_after_who_missed_one() -> None:
    joins = '{"spawn": true, "reason": "r", "profile": {"name": "sql", "specialty": "SQL"}}'
    scene = world(relay__auto_a=["x\nNEEDED: a database expert", "y"], aide__specialist_1=joins)
    result = await _run(scene, rounds=2)
    paths = [p for p, _ in scene.runtime.asked]
    assert paths == [
        "planner", "relay/auto-a", "aide/specialist-1", "relay/auto-sql", "relay/auto-b",
        "relay/auto-a", "relay/auto-sql", "relay/auto-b",
    ]  # fmt: skip
    assert result.agents == ("auto-a", "auto-sql", "auto-b")
    second = [text for path, text in scene.runtime.asked if path == "relay/auto-a"][1]
    assert "New in the team:\n- @auto-sql (SQL)" in second


async def test_a_long_answer_is_summarised_and_cut_where_nobody_can() -> None:
    scene = world(
        relay__auto_a=LONG,
        aide__summary_1="in short",
        aide__summary_3=AgentLostError("aide/summary-3", "died"),
    )
    await _run(scene, rounds=2)
    to_b = [text for path, text in scene.runtime.asked if path == "relay/auto-b"]
    assert "round 1):\nin short" in to_b[0]
    assert "characters left out" in to_b[1]
    assert len(to_b[1]) < 6_000


async def test_a_turn_that_ran_out_of_steps_is_handed_on_with_the_reason() -> None:
    spent = TurnResult(outcome="max_steps", text="half of it", error="50 steps")
    scene = world(relay__auto_a=spent)
    result = await _run(scene, rounds=1)
    told = dict(scene.runtime.asked)["relay/auto-b"]
    assert "(Its turn ended before it was finished: it had used up its steps.)\nhalf of it" in told
    assert result.outcome == "max_rounds"


@pytest.mark.parametrize(
    ("said", "outcome", "code"),
    [
        (AgentLostError("relay/auto-b", "it died"), "failed", 1),
        (TurnResult(outcome="failed", error="500", error_kind="ModelError"), "failed", 1),
        (NEEDS_A_WORD, "failed", 3),
        (BudgetSpentError("tokens", 10, 11), "budget", 1),
        (TurnResult(outcome="budget", error="spent", error_kind="BudgetSpentError"), "budget", 1),
    ],
)  # fmt: skip
async def test_what_stops_a_member_stops_the_relay_and_a_resume_goes_on_from_there(
    said: Any, outcome: str, code: int
) -> None:
    scene = world(relay__auto_b=said)
    result = await _run(scene, rounds=1)
    assert (result.outcome, len(result.turns)) == (outcome, 1)
    assert result.to_json()["exit_code"] == code
    assert scene.workspace.released["relay"] is True
    scene.runtime.said["relay/auto-b"] = "b at last"
    result = await _run(scene, rounds=1)
    assert (result.outcome, result.final_handoff) == ("max_rounds", "b at last")
    asked = [p for p, _ in scene.runtime.asked]
    assert asked == ["planner", "relay/auto-a", "relay/auto-b", "relay/auto-b"]


async def test_a_provider_that_fails_before_there_is_a_team_loses_nothing() -> None:
    failed = TurnResult(outcome="failed", error="503", error_kind="ModelUnavailableError")
    scene = world(planner=failed)
    assert (await _run(scene)).outcome == "failed"
    scene.runtime.said["planner"] = team_of("a", "b")
    assert (await _run(scene, rounds=1)).outcome == "max_rounds"


async def test_it_ends_when_every_key_result_is_met_and_not_before() -> None:
    scene = world()
    scene.runtime.said["relay/auto-b"] = scene.writes({"done": "1"}, "made it")
    scores = Scores(scene.workspace, lambda files: float("done" in files))
    result = await _run(scene, scoring=scores)
    assert (result.outcome, len(result.turns), result.to_json()["exit_code"]) == ("all_met", 2, 0)
    assert [m.turn for m in scores.kept] == [0, 1, 2]
    assert [m.met for m in scores.kept] == [(), (), ("kr",)]
    assert "files are there: 0, target 1.0: not met" in scene.runtime.asked[1][1]


async def test_ten_turns_that_change_nothing_are_no_progress() -> None:
    scene = world()
    scores = Scores(scene.workspace, lambda files: float("done" in files))
    result = await _run(scene, rounds=5, scoring=scores)
    assert (result.outcome, len(result.turns)) == ("max_rounds", 10)
    assert (result.is_success, result.to_json()["exit_code"]) == (False, 1)
    assert {m.readings[0].value for m in scores.kept} == {0.0}


async def test_what_cannot_be_measured_is_not_met() -> None:
    scene = world()
    scores = Scores(scene.workspace, lambda _: None)
    assert (await _run(scene, rounds=1, scoring=scores)).outcome == "max_rounds"


async def test_somebodys_cancellation_ends_it_between_turns() -> None:
    scene = world()
    scores = Scores(scene.workspace, lambda _: 0.0, is_over=True)
    result = await _run(scene, scoring=scores)
    assert (result.outcome, len(result.turns)) == ("cancelled", 0)


def _scene(at: int = -1, *, is_kept: bool = False) -> tuple[World, Scores]:
    joins = '{"spawn": true, "reason": "r", "profile": {"name": "sql"}}'
    scene = world(
        relay__auto_a=[LONG + "\nNEEDED: SQL\n@auto-b: why?", "a2", "a3"],
        aide__specialist_1=joins,
        aide__summary_1="short",
    )
    scene.runtime.said["relay/auto-b"] = scene.writes({"b": "1"}, "b wrote")
    scene.publisher = BreakingPublisher(at, is_kept=is_kept)
    return scene, Scores(scene.workspace, lambda files: len(files) / 10)


async def test_killed_before_or_after_any_record_it_goes_on_and_repeats_no_turn() -> None:
    quiet, scores = _scene()
    wanted = await _run(quiet, rounds=2, scoring=scores)
    records = len(quiet.publisher.recorded)
    assert records > 15
    for at in range(records):
        for is_kept in (False, True):
            scene, scores = _scene(at, is_kept=is_kept)
            with pytest.raises(CrashError):
                await _run(scene, rounds=2, scoring=scores)
            assert isinstance(scene.publisher, BreakingPublisher)
            scene.publisher.at = -1
            result = await _run(scene, rounds=2, scoring=scores)
            assert (result.relay_id, result.outcome) == (wanted.relay_id, wanted.outcome)
            assert scene.runtime.asked == quiet.runtime.asked
            assert result.turns == wanted.turns
            assert result.commit == wanted.commit
            assert {m.turn for m in scores.kept} == set(range(len(wanted.turns) + 1))


def _checked(scene: World) -> list[str]:
    """What is odd in a scene's records, once its agents' turns are among them."""
    check, odd, said = RelayCheck(), [], dict(scene.runtime.done)
    planner = next(result for (path, _), (_, result) in said.items() if path == "planner")
    check.take("planner", TurnFinished(turn=0, result=planner))
    for event in scene.publisher.recorded:
        if isinstance(event, TurnDone):
            check.take(f"relay/{event.member}", TurnFinished(turn=0, result=event.result))
        departure = check.take("run", event)
        if departure is not None:
            odd.append(departure.what)
    return odd


async def test_its_decisions_are_taken_again_from_its_records() -> None:
    scene, scores = _scene()
    await _run(scene, rounds=2, scoring=scores)
    assert _checked(scene) == []


async def test_other_rounds_on_a_resume_are_on_record() -> None:
    scene = world(relay__auto_b=AgentLostError("relay/auto-b", "it died"))
    await _run(scene, rounds=1)
    scene.runtime.said["relay/auto-b"] = "b"
    result = await _run(scene, rounds=2)
    assert (result.outcome, len(result.turns)) == ("max_rounds", 4)
    assert _checked(scene) == []


@pytest.mark.parametrize(
    ("kind", "change", "words"),
    [
        (TurnBegun, {"member": "auto-b"}, "turn 1 is not the next step"),
        (TurnBegun, {"baton": "0" * 64}, "the baton of turn 1 is another one"),
        (TurnDone, {"turn": 2}, "turn 2 is done and was not begun"),
        (RelayFinished, {"outcome": "converged"}, "the relay did not end so"),
        (TeamFormed, {"profiles": ()}, "the team is not the planner's"),
    ],
)
async def test_a_record_that_was_changed_is_found(
    kind: type, change: dict[str, Any], words: str
) -> None:
    scene = world()
    await _run(scene, rounds=1)
    recorded = scene.publisher.recorded
    at = next(n for n, event in enumerate(recorded) if isinstance(event, kind))
    recorded[at] = replace(recorded[at], **change)  # type: ignore[type-var]
    assert _checked(scene)[0] == words
