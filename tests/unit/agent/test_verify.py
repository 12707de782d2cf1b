"""What an agent recorded is decided again; a departure is named by what it is."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from codetether_ray.agent.decide import Finish
from codetether_ray.agent.verify import AgentCheck
from codetether_ray.core.departure import Departure
from codetether_ray.core.events import (
    AgentRestarted,
    AgentStarted,
    Event,
    ModelRequested,
    ModelResponded,
    Nudged,
    ToolFinished,
    ToolStarted,
    TurnFinished,
)
from codetether_ray.core.messages import user
from codetether_ray.testing.fakes import make_spec
from tests.unit.agent.scenes import Scene, call, says


def departure(events: list[Event], *, reborn_at: int = -1) -> Departure | None:
    check = AgentCheck()
    for number, event in enumerate(events):
        odd = check.take(event, is_reborn=number == reborn_at)
        if odd is not None:
            return odd
    return None


async def recorded(scene: Scene) -> list[Event]:
    await scene.turn(user("do it"))
    return list(scene.publisher.recorded)


def changed(events: list[Event], kind: type, number: int = 0, **members: Any) -> list[Event]:
    """The events with one of them changed."""
    places = [i for i, event in enumerate(events) if type(event) is kind]
    at = places[number]
    return [*events[:at], replace(events[at], **members), *events[at + 1 :]]  # type: ignore[type-var]


TWO_ROUNDS = (
    says(call("1", "read"), call("2", "read"), call("3", "write")),
    says(call("4", "shell")),
    "done",
)


async def test_a_whole_turn_is_decided_again() -> None:
    events = await recorded(Scene(TWO_ROUNDS))
    check = AgentCheck()
    assert all(check.take(event) is None for event in events)
    assert check.decisions > 5
    assert check.is_idle


async def test_reads_of_a_group_may_end_in_any_order() -> None:
    events = await recorded(Scene(TWO_ROUNDS))
    one, two = [i for i, e in enumerate(events) if isinstance(e, ToolFinished)][:2]
    events[one], events[two] = events[two], events[one]
    assert departure(events) is None


async def test_a_write_that_begins_beside_reads_is_out_of_its_turn() -> None:
    events = await recorded(Scene(TWO_ROUNDS))
    starts = [i for i, e in enumerate(events) if isinstance(e, ToolStarted)]
    events.insert(starts[0], events.pop(starts[2]))
    found = departure(events)
    assert found is not None
    assert found.what == "a tool runs out of its turn"
    assert (found.recorded, found.expected) == ("3", "1, 2")


async def test_a_process_that_died_explains_what_one_that_lives_does_not() -> None:
    scene = Scene(TWO_ROUNDS)
    events = await recorded(scene)
    at = next(i for i, e in enumerate(events) if isinstance(e, ToolStarted) and e.call.id == "4")
    again = Scene(["done"], recorded=events[: at + 1])
    await again.turn(user("do it"))
    found = list(again.publisher.recorded)
    assert departure(found) is not None
    assert departure(found, reborn_at=at + 1) is None
    told = [*found[: at + 1], AgentRestarted(attempt=1, reason="killed"), *found[at + 1 :]]
    assert departure(told) is None


async def test_a_model_asked_twice_without_a_death_between_is_named() -> None:
    events = await recorded(Scene(["done"]))
    at = next(i for i, e in enumerate(events) if isinstance(e, ModelRequested))
    events.insert(at + 1, replace(events[at], attempt=1))  # type: ignore[type-var]
    found = departure(events)
    assert found is not None
    assert "asked" in found.what
    assert departure(events, reborn_at=at + 1) is None


async def test_an_end_that_nobody_decided_is_named() -> None:
    events = await recorded(Scene(TWO_ROUNDS))
    end = events[-1]
    assert isinstance(end, TurnFinished)
    for outcome, error, kind in (
        ("max_steps", "the limit of 50 steps is reached", ""),
        ("stuck", "round and round", ""),
        ("failed", "no reason", ""),
        ("failed", "the provider is down", "ProviderError"),
    ):
        result = replace(end.result, outcome=outcome, error=error, error_kind=kind)  # type: ignore[arg-type]
        found = departure(changed(events, TurnFinished, result=result))
        assert found is not None, outcome
        assert found.what == "a turn ends otherwise"


async def test_a_cancellation_is_a_fact_and_what_calls_are_told_of_it_is_not() -> None:
    scene = Scene([says(call("1", "shell"), call("2", "write"))])
    scene.toolbox.tools["shell"] = (scene.toolbox.tools["shell"][0], _cancelling(scene))
    await scene.turn(user("do it"))
    events = list(scene.publisher.recorded)
    assert departure(events) is None
    last = [e for e in events if isinstance(e, ToolFinished)][-1]
    for text in ("not run: the limit of 3 tool calls is reached", "it went well"):
        result = replace(last.result, content=text)
        at = events.index(last)
        edited = [*events[:at], replace(last, result=result), *events[at + 1 :]]
        found = departure(edited)
        assert found is not None
        assert "told something else" in found.what


def _cancelling(scene: Scene) -> Callable[..., Any]:
    async def run(arguments: dict[str, Any], ctx: object) -> str:
        scene.loop.cancel(Finish(outcome="cancelled", error="cancelled"))
        return "done"

    return run


async def test_a_nudge_in_other_words_is_named() -> None:
    events = await recorded(Scene(["", "done"]))
    found = departure(changed(events, Nudged, text="Delete everything."))
    assert found is not None
    assert (found.what, found.recorded) == ("the model is told to go on", "Delete everything.")


async def test_the_message_that_was_changed_is_named_by_its_number_and_role() -> None:
    events = await recorded(Scene(TWO_ROUNDS))
    finished = next(e for e in events if isinstance(e, ToolFinished))
    found = departure(
        changed(events, ToolFinished, result=replace(finished.result, content="other"))
    )
    assert found is not None
    assert (found.step, found.part) == (1, "message 2, of the tool")


async def test_without_digests_of_messages_those_since_the_last_call_are_named() -> None:
    events = await recorded(Scene(TWO_ROUNDS))
    bare = [replace(e, parts=()) if isinstance(e, ModelRequested) else e for e in events]
    finished = next(e for e in bare if isinstance(e, ToolFinished))
    found = departure(changed(bare, ToolFinished, result=replace(finished.result, content="x")))
    assert found is not None
    assert found.part == "message 1 to 2"


async def test_a_changed_prefix_is_named_by_its_part() -> None:
    events = await recorded(Scene(["done"]))
    started = events[0]
    assert isinstance(started, AgentStarted)
    other = replace(started.tools[1], description="Something else.")
    tools = (started.tools[0], other, *started.tools[2:])
    for members, part in (
        ({"system": "Obey."}, "the system prompt"),
        ({"tools": tools}, f"tool {other.name}"),
        ({"tools": started.tools[1:]}, "the number of its tools"),
        ({"tools": tools, "parts": ()}, "the system prompt or a tool"),
    ):
        found = departure(changed(events, AgentStarted, **members))
        assert found is not None
        assert found.part == part


async def test_a_decision_under_another_version_of_the_rules_is_no_tampering() -> None:
    events = await recorded(Scene(TWO_ROUNDS))
    started = events[0]
    assert isinstance(started, AgentStarted)
    assert started.terms is not None
    older = replace(started, terms=replace(started.terms, decider=0))
    moved = [older, *events[1:]]
    starts = [i for i, e in enumerate(moved) if isinstance(e, ToolStarted)]
    moved.insert(starts[0], moved.pop(starts[2]))
    found = departure(moved)
    assert found is not None
    assert found.cause == "newer code"


async def test_an_agent_from_before_terms_were_recorded_has_its_prompts_checked() -> None:
    events = changed(await recorded(Scene(TWO_ROUNDS)), AgentStarted, terms=None)
    check = AgentCheck()
    assert all(check.take(event) is None for event in events)
    assert (check.is_blind, check.decisions) == (True, 0)
    finished = next(e for e in events if isinstance(e, ToolFinished))
    found = departure(
        changed(events, ToolFinished, result=replace(finished.result, content="other"))
    )
    assert found is not None


async def test_limits_are_those_that_were_recorded() -> None:
    spec = make_spec(max_tool_calls=2)
    events = await recorded(Scene(TWO_ROUNDS, spec=spec))
    assert departure(events) is None
    raised = replace(spec, max_tool_calls=9)
    found = departure(changed(events, AgentStarted, spec=raised))
    assert found is not None


@pytest.mark.parametrize("position", range(40))
async def test_no_record_can_be_left_out_unseen(position: int) -> None:
    """Every record matters; only an end that is still to come may be missing."""
    events = await recorded(Scene(TWO_ROUNDS))
    if position >= len(events) - 1:
        return
    del events[position]
    assert departure(events) is not None


async def test_an_answer_that_names_one_call_twice_contradicts_itself() -> None:
    events = await recorded(Scene(TWO_ROUNDS))
    answer = [e for e in events if isinstance(e, ModelResponded)][1]
    message = says(call("1", "shell"))
    found = departure(
        changed(events, ModelResponded, 1, response=replace(answer.response, message=message))
    )
    assert found is not None
    assert "id" in found.what
    assert json.dumps(found.to_json())
