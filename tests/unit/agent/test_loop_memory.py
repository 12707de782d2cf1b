"""An agent whose command took too much memory goes on where there is more, from the same step."""

from typing import Any

import pytest

from codetether_ray.core.errors import MemoryExceededError
from codetether_ray.core.events import ToolFinished, ToolStarted, TurnFinished
from codetether_ray.core.messages import user
from codetether_ray.ports.tool import Effect, ToolContext
from tests.unit.agent.scenes import Scene, by_step, call, says

_GO = user("go")
_SCRIPT = by_step(says(call("1", "note"), call("2", "shell")), "done")


async def _starved(arguments: dict[str, Any], ctx: ToolContext) -> str:
    raise MemoryExceededError("main", "its commands took more than was set aside", 300, 200)


async def test_the_turn_is_not_ended_and_no_finished_call_is_made_again() -> None:
    scene = Scene(_SCRIPT, tools={"shell": (Effect.SHELL, _starved)})
    with pytest.raises(MemoryExceededError):
        await scene.turn(_GO)
    assert not [e for e in scene.events if isinstance(e, TurnFinished)]
    assert [e for e in scene.events if isinstance(e, ToolStarted)]
    again = Scene(_SCRIPT, recorded=tuple(scene.events))
    result = await again.turn(_GO)
    assert (result.outcome, result.text) == ("completed", "done")
    assert len(scene.provider.requests) + len(again.provider.requests) == 2
    finished = [e.result.call_id for e in again.events if isinstance(e, ToolFinished)]
    assert sorted(finished) == ["1", "2"]
