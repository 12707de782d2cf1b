"""An agent that died goes on at the exact step: nothing finished is asked or run again."""

import asyncio
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codetether_ray.agent.digests import prefix_digest
from codetether_ray.agent.fold import fold
from codetether_ray.core.errors import ConnectionLostError, HistoryError
from codetether_ray.core.events import (
    Compacted,
    ModelRequested,
    ModelResponded,
    Nudged,
    Record,
    ToolFinished,
    TurnFinished,
)
from codetether_ray.core.messages import assistant, user
from codetether_ray.core.models import ModelInfo, ModelResponse
from codetether_ray.core.usage import Usage
from codetether_ray.ports.tool import Effect
from codetether_ray.testing.clock import FakeClock
from codetether_ray.testing.fakes import make_spec
from tests.unit.agent.scenes import NAMES, Scene, by_step, call, says

_GO = user("go")


def _messages(scene):
    return fold(scene.events).messages


async def _crash_everywhere(make, *, same_results=True):
    """Run once undisturbed, then once from every prefix of its events; compare the ends."""
    whole = make(())
    wanted = await whole.turn(_GO)
    for cut in range(len(whole.events) + 1):
        again = make(tuple(whole.events[:cut]))
        result = await again.turn(_GO)
        kept = sum(isinstance(e, ModelResponded) for e in whole.events[:cut])
        assert len(again.provider.requests) == whole.answers - kept, f"cut at {cut}"
        assert again.answers == whole.answers
        assert (result.outcome, result.text) == (wanted.outcome, wanted.text)
        assert (result.steps, result.usage) == (wanted.steps, wanted.usage)
        if same_results:
            assert _messages(again) == _messages(whole), f"cut at {cut}"
            assert result.tool_calls == wanted.tool_calls
        prefixes = {prefix_digest(r.system, r.tools) for r in again.provider.requests if r.tools}
        assert prefixes <= {whole.events[0].prefix_digest}
        yield whole, again, cut


async def test_a_crash_between_any_two_events_changes_neither_the_end_nor_the_bill() -> None:
    script = by_step(
        says(call("1", "read"), call("2", "read", n=2), text="look"),
        says(call("3", "write"), call("4", "note"), call("5", "task")),
        says(call("6", "read")),
        "done",
    )
    cuts = 0
    async for _ in _crash_everywhere(lambda e: Scene(script, recorded=e)):
        cuts += 1
    assert cuts > 20


async def test_a_crash_anywhere_in_a_cut_or_empty_or_refused_answer_changes_nothing() -> None:
    script = by_step(
        ModelResponse(message=assistant("a"), finish_reason="length", usage=Usage(prompt_tokens=3)),
        ModelResponse(message=assistant("b"), finish_reason="length", usage=Usage(prompt_tokens=3)),
        says(call("1", "read")),
        "",
        "done",
    )
    cuts = 0
    async for _ in _crash_everywhere(lambda e: Scene(script, recorded=e)):
        cuts += 1
    assert cuts > 10


async def test_a_crash_anywhere_in_a_compaction_never_pays_for_the_summary_twice() -> None:
    small = ModelInfo(id="m", provider="p", context_window=4_000, max_output_tokens=500)

    def script(request):
        if not request.tools:
            return "the summary"
        if request.step == 12:
            return "done"
        return says(call(str(request.step), "read", n=request.step), text="thinking " * 150)

    async def big(arguments, ctx):
        return f"{arguments['n']}" * 2_500

    def make(events):
        return Scene(
            script,
            recorded=events,
            info=small,
            tools={"read": (Effect.READ, big)},
            usage=Usage(prompt_tokens=0, completion_tokens=1),
        )

    async for whole, again, _ in _crash_everywhere(make):
        stages = [e.stage for e in whole.of(Compacted)]
        assert "summary" in stages
        assert [e.stage for e in again.of(Compacted)] == stages


_tools = st.sampled_from(sorted(NAMES))
_step = st.lists(_tools, min_size=1, max_size=4)


@settings(max_examples=25, deadline=None)
@given(st.lists(_step, max_size=4), st.data())
def test_any_turn_cut_anywhere_ends_with_every_call_answered_once(steps, data) -> None:
    answers = [
        says(*(call(f"{n}.{m}", name) for m, name in enumerate(names)))
        for n, names in enumerate(steps)
    ]
    script = by_step(*answers, "done")

    async def scene() -> None:
        whole = Scene(script)
        await whole.turn(_GO)
        cut = data.draw(st.integers(0, len(whole.events)))
        again = Scene(script, recorded=whole.events[:cut])
        result = await again.turn(_GO)
        assert result.is_success
        assert again.answers == whole.answers
        finished = [e.result.call_id for e in again.of(ToolFinished)]
        assert sorted(finished) == sorted(
            f"{n}.{m}" for n, s in enumerate(steps) for m in range(len(s))
        )
        shells = [a for a in again.toolbox.calls if a[0] == "shell"]
        lost = sum(e.interrupted for e in again.of(ToolFinished))
        assert lost <= 1
        before = sum(
            e.result.name == "shell" for e in whole.events[:cut] if isinstance(e, ToolFinished)
        )
        assert before + lost + len(shells) == sum(s.count("shell") for s in steps)

    asyncio.run(scene())


async def test_a_command_that_was_running_is_not_run_again_and_the_model_learns_it() -> None:
    script = by_step(says(call("1", "shell"), call("2", "shell")), "done")
    whole = Scene(script)
    await whole.turn(_GO)
    cut = whole.tags.index("tool.started") + 1
    again = Scene(script, recorded=whole.events[:cut])
    assert (await again.turn(_GO)).is_success
    first, second = again.of(ToolFinished)
    assert first.interrupted
    assert first.result.is_error
    assert not second.interrupted
    assert [name for name, _ in again.toolbox.calls] == ["shell"]
    told = again.provider.requests[0].messages[-1].tool_results[0]
    assert "interrupted" in told.content


async def test_a_child_is_called_again_under_the_same_call() -> None:
    seen = []

    async def task(arguments, ctx):
        seen.append(ctx.call_id)
        return "child"

    script = by_step(says(call("t", "task")), "done")
    tools = {"task": (Effect.SPAWN, task)}
    whole = Scene(script, tools=tools)
    await whole.turn(_GO)
    cut = whole.tags.index("tool.started") + 1
    await Scene(script, tools=tools, recorded=whole.events[:cut]).turn(_GO)
    assert seen == ["t", "t"]


async def test_a_finished_turn_is_not_taken_again() -> None:
    whole = Scene(["done"])
    wanted = await whole.turn(_GO)
    again = Scene([], recorded=whole.events)
    assert await again.turn(_GO) == wanted
    assert again.events == whole.events


async def test_another_message_starts_a_new_turn() -> None:
    whole = Scene(["done"])
    await whole.turn(_GO)
    again = Scene(["more"], recorded=whole.events)
    assert (await again.turn(user("go on"))).text == "more"
    assert [m.text for m in _messages(again)] == ["go", "done", "go on", "more"]


async def test_who_knows_how_many_turns_there_were_may_say_the_same_thing_again() -> None:
    whole = Scene(["done"])
    wanted = await whole.turn(_GO)
    more = Scene(["again"], recorded=whole.events, spec=make_spec(finished_turns=1))
    assert (await more.turn(_GO)).text == "again"
    resumed = Scene([], recorded=more.events, spec=make_spec(finished_turns=1))
    assert (await resumed.turn(_GO)).text == "again"
    first = Scene([], recorded=whole.events, spec=make_spec(finished_turns=0))
    assert await first.turn(_GO) == wanted


async def test_a_rebuilt_agent_may_hear_the_same_words_twice() -> None:
    whole = Scene(["done"])
    await whole.turn(_GO)
    again = Scene(["more"], recorded=whole.events)
    await again.turn(_GO)
    assert (await again.turn(_GO)).text == "more"


async def test_a_turn_that_was_left_open_is_closed_when_another_message_comes() -> None:
    script = by_step(says(call("1", "shell"), call("2", "write")), "new answer")
    whole = Scene(script)
    await whole.turn(_GO)
    cut = whole.tags.index("tool.started") + 1
    again = Scene(script, recorded=whole.events[:cut])
    result = await again.turn(user("something else"))
    assert result.text == "new answer"
    first, second = again.of(TurnFinished)
    assert (first.turn, first.result.outcome) == (0, "cancelled")
    assert (second.turn, second.result.outcome) == (1, "completed")
    assert [e.interrupted for e in again.of(ToolFinished)] == [True, False]
    assert not again.toolbox.calls


@pytest.mark.parametrize("outcome", ["waiting", "budget", "cancelled", "timeout", "failed"])
async def test_a_turn_without_a_verdict_goes_on_where_it_stopped(outcome) -> None:
    scene = Scene([says(call("1", "read")), ConnectionLostError("p", "gone")])
    await scene.turn(_GO)
    end = scene.events[-1]
    recorded = [*scene.events[:-1], replace(end, result=replace(end.result, outcome=outcome))]
    again = Scene(["done"], recorded=recorded)
    result = await again.turn(_GO)
    assert (result.outcome, result.steps) == ("completed", 2)
    assert [m.role for m in again.provider.requests[0].messages] == ["user", "assistant", "tool"]


async def test_a_stuck_turn_that_is_taken_up_again_may_find_another_way() -> None:
    async def same(arguments: object, ctx: object) -> str:
        return "nothing new"

    tools = {"read": (Effect.READ, same)}
    scene = Scene(lambda _: says(call("1", "read")), tools=tools)
    assert (await scene.turn(_GO)).outcome == "stuck"
    again = Scene(["found another way"], recorded=scene.events, tools=tools)
    result = await again.turn(_GO)
    assert (result.outcome, result.steps) == ("completed", 4)
    still = Scene(lambda _: says(call("1", "read")), recorded=scene.events, tools=tools)
    assert (await still.turn(_GO)).outcome == "stuck"
    assert len(still.provider.requests) == 3


async def test_more_steps_let_a_turn_go_on_that_had_used_up_its_own() -> None:
    script = by_step(says(call("1", "read")), says(call("2", "read", n=2)), "done")
    scene = Scene(script, spec=make_spec(max_steps=2))
    first = await scene.turn(_GO)
    assert first.outcome == "max_steps"
    same = Scene(script, recorded=scene.events, spec=make_spec(max_steps=2))
    assert await same.turn(_GO) == first
    more = Scene(script, recorded=scene.events, spec=make_spec(max_steps=3))
    assert (await more.turn(_GO)).is_success
    assert len(more.provider.requests) == 1


async def test_a_resumed_agent_sends_the_recorded_prefix_though_the_world_has_changed() -> None:
    scene = Scene([says(call("1", "read")), "done"], instructions=(("AGENTS.md", "Be brief."),))
    await scene.turn(_GO)
    cut = scene.tags.index("tool.finished") + 1
    again = Scene(
        ["done"],
        recorded=scene.events[:cut],
        instructions=(("AGENTS.md", "Be verbose."),),
        tools={"another": (Effect.READ, None)},
    )
    await again.turn(_GO)
    (request,) = again.provider.requests
    assert request.system == scene.provider.requests[1].system
    assert request.tools == scene.provider.requests[1].tools
    assert prefix_digest(request.system, request.tools) == scene.events[0].prefix_digest
    digests = [e.digest for e in again.of(ModelRequested)]
    assert digests == [e.digest for e in scene.of(ModelRequested)]


async def test_a_history_that_went_through_json_gives_the_same_digests() -> None:
    scene = Scene([says(call("1", "read")), says(call("2", "read", n=1)), "done"])
    await scene.turn(_GO)
    cut = scene.tags.index("tool.finished") + 1
    correlation = scene.spec.correlation
    recorded = [
        Record.from_json(
            Record(correlation=correlation, agent="main", event=e, time=0.0).to_json()
        ).event
        for e in scene.events[:cut]
    ]
    again = Scene([says(call("2", "read", n=1)), "done"], recorded=recorded)
    await again.turn(_GO)
    assert [e.digest for e in again.of(ModelRequested)] == [
        e.digest for e in scene.of(ModelRequested)
    ]
    request = again.provider.requests[0]
    assert prefix_digest(request.system, request.tools) == scene.events[0].prefix_digest


async def test_a_request_that_died_is_made_again_as_another_attempt() -> None:
    scene = Scene(["done"])
    await scene.turn(_GO)
    cut = scene.tags.index("model.requested") + 1
    again = Scene(["done"], recorded=scene.events[:cut])
    await again.turn(_GO)
    assert [(e.step, e.attempt) for e in again.of(ModelRequested)] == [(0, 0), (0, 1)]


@pytest.mark.damages_runs
async def test_a_history_that_contradicts_itself_is_refused() -> None:
    scene = Scene([says(call("1", "read")), "done"])
    await scene.turn(_GO)
    (finished,) = scene.of(ToolFinished)
    at = scene.events.index(finished)
    with pytest.raises(HistoryError):
        await Scene(["x"], recorded=[*scene.events[: at + 1], finished]).turn(_GO)


async def test_nudges_are_recorded_and_not_invented_again() -> None:
    script = by_step("", "done")
    whole = Scene(script)
    await whole.turn(_GO)
    cut = whole.tags.index("agent.nudged") + 1
    again = Scene(script, recorded=whole.events[:cut])
    await again.turn(_GO)
    assert len(again.of(Nudged)) == 1


async def test_a_turn_that_goes_on_has_the_time_that_its_finished_calls_left() -> None:
    async def slow(arguments, ctx):
        await clock.sleep(40)
        return "slept"

    def scene(history=()):
        return Scene(
            by_step(says(call("1", "slow")), says(call("2", "slow")), "done"),
            tools={"slow": (Effect.SHELL, slow)},
            recorded=history,
            clock=clock,
            spec=make_spec(timeout_s=60.0),
        )

    clock = FakeClock()
    first = scene()
    turn = asyncio.create_task(first.turn(_GO))
    await clock.advance(40.0)
    turn.cancel()
    await asyncio.gather(turn, return_exceptions=True)
    (slept,) = (i for i, e in enumerate(first.events) if isinstance(e, ToolFinished) and i < 8)
    again = scene(tuple(first.events[: slept + 1]))
    turn = asyncio.create_task(again.turn(_GO))
    await clock.advance(19.0)
    assert not turn.done()
    await clock.advance(1.0)
    assert (await turn).outcome == "timeout"

    retried = scene(tuple(again.events))  # its user wants the same once more: with all its time
    turn = asyncio.create_task(retried.turn(_GO))
    await clock.advance(40.0)
    assert (await turn).outcome == "completed"
