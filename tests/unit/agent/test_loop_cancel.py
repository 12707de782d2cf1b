"""A turn can be cancelled at any await: it is recorded, sound, and can go on later."""

import asyncio

import pytest

from codetether_ray.agent.fold import fold
from codetether_ray.core.events import ToolFinished, TurnFinished
from codetether_ray.core.messages import user
from codetether_ray.ports.tool import Effect
from codetether_ray.testing.fakes import make_spec
from tests.unit.agent.scenes import Scene, by_step, call, says

_GO = user("go")
_SCRIPT = by_step(
    says(call("1", "read"), call("2", "read"), call("3", "shell")),
    says(call("4", "write"), call("5", "task")),
    "",
    "done",
)


def _scene(running: set[str], recorded=(), **more) -> Scene:
    async def work(arguments, ctx):
        running.add(ctx.call_id)
        try:
            for _ in range(4):
                await asyncio.sleep(0)
        finally:
            running.discard(ctx.call_id)
        return "ok"

    effects = {
        "read": Effect.READ,
        "shell": Effect.SHELL,
        "write": Effect.WRITE,
        "task": Effect.SPAWN,
    }
    tools = {name: (effect, work) for name, effect in effects.items()}
    return Scene(_SCRIPT, recorded=recorded, tools=tools, **more)


async def _ticks(n: int) -> None:
    for _ in range(n):
        await asyncio.sleep(0)


async def _length() -> int:
    scene, n = _scene(set()), 0
    task = asyncio.create_task(scene.turn(_GO))
    while not task.done():
        await asyncio.sleep(0)
        n += 1
    return n


@pytest.mark.parametrize("how", ["caller", "loop", "twice"])
async def test_a_turn_cancelled_at_any_await_is_recorded_and_can_go_on(how) -> None:
    length = await _length()
    assert length > 40
    outcomes = set()
    for at in range(length + 1):
        running: set[str] = set()
        scene = _scene(running)
        task = asyncio.create_task(scene.turn(_GO))
        await _ticks(at)
        if how == "loop":
            scene.loop.cancel()
        else:
            task.cancel()
        if how == "twice":
            await _ticks(2)
            task.cancel()
        (result,) = await asyncio.gather(task, return_exceptions=True)
        outcomes.add(await _check(scene, running, result, how, at))
    assert outcomes == {"cancelled", "completed"}


async def _check(scene, running, result, how, at) -> str:
    assert not running, f"a tool still runs after cancelling at {at}"
    assert not scene.ledger.open
    conversation = fold(scene.events)
    assert not conversation.pending
    assert conversation.turn is None or not conversation.turn.is_open
    if how == "loop" and scene.events:
        assert result == scene.of(TurnFinished)[-1].result
    again = _scene(running, recorded=scene.events)
    ended = await again.turn(_GO)
    assert (ended.outcome, ended.text) == ("completed", "done")
    assert again.answers == 4
    ids = [e.result.call_id for e in again.of(ToolFinished)]
    assert sorted(ids) == ["1", "2", "3", "4", "5"]
    if isinstance(result, asyncio.CancelledError):
        return "cancelled"
    return result.outcome


async def test_reads_that_had_finished_keep_their_results() -> None:
    never = asyncio.Event()

    async def read(arguments, ctx):
        if ctx.call_id == "2":
            await never.wait()
        return f"read {ctx.call_id}"

    scene = Scene(
        [says(call("1", "read"), call("2", "read"), call("3", "write"))],
        tools={"read": (Effect.READ, read)},
    )
    task = asyncio.create_task(scene.turn(_GO))
    await _ticks(30)
    scene.loop.cancel()
    result = await task
    assert result.outcome == "cancelled"
    found = [(e.result.call_id, e.result.is_error, e.interrupted) for e in scene.of(ToolFinished)]
    assert found == [("1", False, False), ("2", True, True), ("3", True, False)]


async def test_a_tool_that_swallows_its_cancellation_does_not_keep_the_turn_alive() -> None:
    never = asyncio.Event()

    async def stubborn(arguments, ctx):
        try:
            await never.wait()
        except asyncio.CancelledError:
            return "I go on"

    scene = Scene(
        [says(call("1", "stubborn")), "never asked"], tools={"stubborn": (Effect.READ, stubborn)}
    )
    task = asyncio.create_task(scene.turn(_GO))
    await _ticks(30)
    scene.loop.cancel()
    assert (await task).outcome == "cancelled"
    assert len(scene.provider.requests) == 1
    assert scene.of(ToolFinished)[0].result.content == "I go on"


async def test_cancelling_where_nothing_runs_does_nothing() -> None:
    scene = Scene(["one", "two"])
    scene.loop.cancel()
    assert (await scene.turn(_GO)).is_success
    scene.loop.cancel()
    assert (await scene.turn(user("more"))).is_success


async def test_a_message_after_a_cancelled_turn_finds_a_sound_conversation() -> None:
    scene = _scene(set())
    task = asyncio.create_task(scene.turn(_GO))
    await _ticks(20)
    scene.loop.cancel()
    await task
    scene.provider._script = lambda request: "fine"
    result = await scene.turn(user("now this"))
    assert result.is_success
    sent = scene.provider.requests[-1].messages
    calls = [c.id for m in sent for c in m.tool_calls]
    assert [r.call_id for m in sent for r in m.tool_results] == calls


async def test_an_answer_cut_off_in_the_middle_is_paid_for_as_far_as_it_went() -> None:
    from codetether_ray.core.models import TextDelta

    scene = Scene([], spec=make_spec())
    never = asyncio.Event()

    class Slow:
        name = "slow"

        async def stream(self, request):
            yield TextDelta(text="x" * 4000)
            await never.wait()

        def info(self, model):
            return None

        async def aclose(self):
            pass

    from dataclasses import replace

    from codetether_ray.agent.loop import AgentLoop

    loop = AgentLoop(scene.spec, replace(scene.parts, provider=Slow()))
    task = asyncio.create_task(loop.turn(_GO))
    await _ticks(20)
    loop.cancel()
    assert (await task).outcome == "cancelled"
    assert scene.ledger.settled.tokens > 1_000
    assert not scene.ledger.open
