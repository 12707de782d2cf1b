"""What a real agent loop recorded is what a real agent loop replays, compactions and all."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from codetether_ray.agent.loop import AgentLoop
from codetether_ray.core.events import Compacted, Event, ModelResponded, Nudged, Record
from codetether_ray.core.messages import user
from codetether_ray.core.models import ModelInfo, ModelRequest
from codetether_ray.core.usage import Usage
from codetether_ray.providers.tape import Tape, TapeProvider, load, tape_from_records
from codetether_ray.testing.fakes import make_spec
from tests.adapters.providers.asking import EagerClock
from tests.unit.agent.scenes import Scene, call, says

INFO = ModelInfo(id="m", provider="x", context_window=4_000, max_output_tokens=500)
SPEC = make_spec(model="x/m", max_output_tokens=500)
TURNS = ("first task", "second task")


def _script(request: ModelRequest) -> Any:
    """Reads a lot, falls silent once, and ends; sums up where it is asked to."""
    if not request.tools:
        return "notes of what was read"
    asked = [m.text for m in request.messages if m.role == "user"][-1]
    if "second" in asked and request.messages[-1].role == "user":
        return "second done"
    if request.step < 10:
        n = request.step
        calls = (call(f"a{n}", "read", path="x" * 900), call(f"b{n}", "note", n=n))
        return says(*calls, text="y" * 1200)
    return "" if request.messages[-1].role == "tool" else "first done"


class Replay(TapeProvider):
    """A replay that knows the window of the scripted model, which no catalogue lists."""

    def info(self, model: str) -> ModelInfo | None:
        return INFO


def _scene(recorded: Sequence[Event] = ()) -> Scene:
    return Scene(
        _script,
        recorded=recorded,
        spec=SPEC,
        info=INFO,
        usage=Usage(prompt_tokens=0, completion_tokens=10),
        clock=EagerClock(),
    )


def _replaying(tape: Tape, recorded: Sequence[Event] = ()) -> Scene:
    scene = _scene(recorded)
    provider = Replay(tape, clock=EagerClock(), model="run.tape")
    scene.loop = AgentLoop(
        replace(SPEC, model="tape/run.tape"), replace(scene.parts, provider=provider)
    )
    return scene


@pytest.fixture
async def first() -> Scene:
    scene = _scene()
    for turn in TURNS:
        assert (await scene.turn(user(turn))).is_success
    return scene


def _tape(scene: Scene, tmp_path: Path) -> Tape:
    records = [
        Record(correlation=SPEC.correlation, agent=SPEC.path, event=event, time=0.0)
        for event in scene.events
    ]
    tape_from_records(records).save(tmp_path / "run.tape")
    return load(tmp_path / "run.tape")


async def test_a_replay_gives_the_same_events(first: Scene, tmp_path: Path) -> None:
    assert first.of(Compacted)
    assert {event.purpose for event in first.of(ModelResponded)} == {"step", "compaction"}
    again = _replaying(_tape(first, tmp_path))
    for turn in TURNS:
        assert (await again.turn(user(turn))).is_success
    assert again.tags == first.tags
    responses = [event.response for event in first.of(ModelResponded)]
    assert [event.response for event in again.of(ModelResponded)] == responses
    assert again.of(Compacted) == first.of(Compacted)
    assert again.of(Nudged) == first.of(Nudged) != []


async def test_a_replay_goes_on_from_any_event(first: Scene, tmp_path: Path) -> None:
    tape = _tape(first, tmp_path)
    ends = [n for n, tag in enumerate(first.tags) if tag == "turn.finished"]
    for cut in range(1, ends[0] + 1):
        again = _replaying(tape, first.events[:cut])
        result = await again.turn(user(TURNS[0]))
        assert (result.outcome, result.text) == ("completed", "first done"), cut
