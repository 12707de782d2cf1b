import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from codetether_ray.bootstrap.remote import following as run_following
from codetether_ray.bootstrap.remote.following import follow, look
from codetether_ray.bootstrap.truth import runs
from codetether_ray.bootstrap.truth.place import Truth
from codetether_ray.bootstrap.truth.runs import Standing
from codetether_ray.core.events import Event, Record, RunFinished, RunStarted
from codetether_ray.core.spec import Correlation

RUN = "rlp_0000000000_00000000"
STARTED = RunStarted(kind="ralph", title="t", directory="/d", command={"ralph_id": RUN})


def records(*events: Event) -> list[Any]:
    made = (
        Record(correlation=Correlation(run_id=RUN), agent="run", event=event, time=1.0)
        for event in events
    )
    return [replace(record, seq=seq).to_json() for seq, record in enumerate(made)]


def truth(monkeypatch: pytest.MonkeyPatch, looks: Sequence[tuple[bool, Sequence[Event]]]) -> Truth:
    """A head at which the run is alive, or not, and has these records, from look to look."""
    left = list(looks)

    async def ask(_: Truth, function: str, *arguments: Any) -> Any:
        if function == runs.STANDING:
            return Standing(is_alive=left[0][0])
        found = records(*left[0][1])[arguments[1] + 1 :]
        if not found and len(left) > 1:
            left.pop(0)
        return found

    monkeypatch.setattr(Truth, "ask", ask)
    monkeypatch.setattr(run_following, "_PAUSE_S", 0.0)
    return Truth(data_dir=Path("/data"))


async def test_each_event_is_shown_once_until_the_run_has_ended(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ended = RunFinished(outcome="completed", summary={"exit_code": 0})
    head = truth(monkeypatch, [(True, [STARTED]), (True, [STARTED]), (False, [STARTED, ended])])
    shown: list[str] = []
    async with asyncio.timeout(60):
        seen = await follow(head, RUN, lambda record: shown.append(record.event.tag))
    assert shown == ["run.started", "run.finished"]
    assert (seen.state, seen.outcome, seen.result) == ("finished", "completed", {"exit_code": 0})


async def test_a_run_that_nobody_is_at_and_that_has_not_ended_was_interrupted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with asyncio.timeout(60):
        seen = await follow(truth(monkeypatch, [(True, []), (False, [STARTED])]), RUN, _nothing)
    assert (seen.state, seen.outcome) == ("interrupted", "")


async def test_what_was_taken_up_again_has_not_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    again = replace(STARTED, resumed=True)
    cut = RunFinished(outcome="interrupted")
    seen = await look(truth(monkeypatch, [(True, [STARTED, cut, again])]), RUN, _nothing)
    assert (seen.state, seen.result) == ("running", None)


def _nothing(_: Record) -> None:
    """Nobody looks."""
