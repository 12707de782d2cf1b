"""A Ralph run's decisions are taken again from its records; a record that lies is found."""

from dataclasses import replace

import pytest

from codetether_ray.core.events import (
    AttemptEnded,
    AttemptStarted,
    Event,
    GateRun,
    RalphFinished,
    StoryEnded,
)
from codetether_ray.ralph.verify import RalphCheck
from tests.unit.ralph.world import story, world


async def records() -> list[Event]:
    made = world(story("A"), story("B", "A"), story("C"))
    made.runtime.behaviours["story/c/1"] = "STORY_BLOCKED: no"
    await made.coordinator().run()
    return made.publisher.recorded


def first_odd(events: list[Event]) -> str:
    check = RalphCheck()
    for event in events:
        odd = check.take(event)
        if odd is not None:
            return odd.what
    return ""


async def test_a_true_record_is_decided_the_same_again() -> None:
    assert first_odd(await records()) == ""


@pytest.mark.parametrize(
    ("kind", "change", "what"),
    [
        (AttemptStarted, {"story": "B"}, "before what it depends on"),
        (AttemptStarted, {"attempt": 2}, "wrong attempt"),
        (AttemptStarted, {"story": "Z"}, "not in the PRD"),
        (AttemptEnded, {"status": "failed"}, "something else"),
        (GateRun, {"exit_code": 1}, "without its gate test"),
        (GateRun, {"commit": "other"}, "another commit"),
        (StoryEnded, {"commit": "other"}, "was not judged"),
        (RalphFinished, {"outcome": "completed"}, "outcome is another"),
    ],
)
async def test_a_record_that_lies_is_found(
    kind: type, change: dict[str, object], what: str
) -> None:
    events = await records()
    place = next(
        n
        for n, e in enumerate(events)
        if isinstance(e, kind) and getattr(e, "status", "") not in ("blocked",)
    )
    events[place] = replace(events[place], **change)  # type: ignore[arg-type]
    assert what in first_odd(events)
