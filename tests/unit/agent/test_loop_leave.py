"""An agent that is told to leave stops after its present step, and goes on elsewhere from there."""

import asyncio

from codetether_ray.agent.fold import fold
from codetether_ray.core.errors import NodeLostError
from codetether_ray.core.events import ToolFinished, TurnFinished
from codetether_ray.core.messages import user
from tests.unit.agent.scenes import Scene, by_step, call, says

_GO = user("go")
_SCRIPT = by_step(
    says(call("1", "read"), call("2", "note")),
    says(call("3", "write")),
    says(call("4", "task")),
    "done",
)


async def _left_after(ticks: int) -> tuple[Scene, bool]:
    """A turn that is told to leave after so many awaits; whether it left before its end."""
    scene = Scene(_SCRIPT)
    task = asyncio.create_task(scene.turn(_GO))
    for _ in range(ticks):
        await asyncio.sleep(0)
    scene.loop.leave()
    try:
        await task
    except NodeLostError:
        return scene, True
    return scene, False


async def test_whenever_it_is_told_no_step_is_cut_and_none_is_done_twice() -> None:
    whole = Scene(_SCRIPT)
    wanted = await whole.turn(_GO)
    left = 0
    for ticks in range(1, 60):
        scene, has_left = await _left_after(ticks)
        if not has_left:
            continue
        left += 1
        events = scene.events
        assert not [e for e in events if isinstance(e, TurnFinished)]
        assert not [e for e in events if isinstance(e, ToolFinished) and e.interrupted]
        again = Scene(_SCRIPT, recorded=tuple(events))
        result = await again.turn(_GO)
        assert (result.outcome, result.text) == (wanted.outcome, wanted.text)
        assert fold(again.events).messages == fold(whole.events).messages
        requests = len(scene.provider.requests) + len(again.provider.requests)
        assert requests == len(whole.provider.requests), f"told after {ticks} awaits"
    assert left > 3


async def test_who_does_nothing_has_nothing_to_leave() -> None:
    scene = Scene(_SCRIPT)
    scene.loop.leave()
    assert (await scene.turn(_GO)).is_success
