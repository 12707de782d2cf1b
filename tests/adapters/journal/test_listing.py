import os
from pathlib import Path

import pytest

from codetether_ray.core.errors import UnknownRunError
from codetether_ray.core.events import (
    Event,
    ModelResponded,
    Record,
    RunFinished,
    RunStarted,
)
from codetether_ray.core.messages import assistant
from codetether_ray.core.models import ModelResponse
from codetether_ray.core.spec import Correlation
from codetether_ray.core.usage import Usage
from codetether_ray.journal.listing import (
    find_run,
    list_runs,
    sessions_of,
    spending,
)
from codetether_ray.journal.segments import events_root, run_directory
from codetether_ray.local.journal import LocalJournal

_FIRST = "ses_0000000000_00000001"
_SECOND = "ses_0000000000_00000002"
_SWARM = "swm_0000000000_00000003"


def _at(run_id: str, event: Event, time: float) -> Record:
    return Record(correlation=Correlation(run_id=run_id), agent="main", event=event, time=time)


def _answer(tokens: int, cost: float | None, text: str = "ok") -> ModelResponded:
    response = ModelResponse(
        message=assistant(text),
        finish_reason="stop",
        usage=Usage(prompt_tokens=tokens, completion_tokens=1),
        cost_usd=cost,
    )
    return ModelResponded(step=0, response=response, elapsed_ms=1)


async def _write(data_dir: Path, run_id: str, *events: Event, at: float = 1000.0) -> None:
    journal = await LocalJournal.open(data_dir, run_id)
    for number, event in enumerate(events):
        await journal.append([_at(run_id, event, at + number)])
    await journal.close()


def _started(directory: Path, kind: str = "session") -> RunStarted:
    return RunStarted(kind=kind, title="make it so", directory=str(directory), model="tape/x")


async def test_a_run_is_summed_up_from_its_first_and_last_lines(tmp_path: Path) -> None:
    big = {"text": "x" * 300_000}
    await _write(
        tmp_path,
        _FIRST,
        _started(tmp_path),
        _answer(5, 0.1),
        RunFinished(outcome="completed", summary=big),
    )
    (summary,) = list_runs(tmp_path)
    assert (summary.id, summary.kind, summary.title) == (_FIRST, "session", "make it so")
    assert (summary.model, summary.directory) == ("tape/x", str(tmp_path))
    assert (summary.state, summary.outcome, summary.records) == ("finished", "completed", 3)
    assert (summary.started_at, summary.updated_at) == (1000.0, 1002.0)


async def test_a_run_without_an_end_is_interrupted_and_one_with_a_writer_runs(
    tmp_path: Path,
) -> None:
    await _write(tmp_path, _FIRST, _started(tmp_path), RunFinished(outcome="completed"))
    await _write(tmp_path, _FIRST, _answer(1, None), at=2000.0)
    assert find_run(tmp_path, _FIRST).state == "interrupted"
    journal = await LocalJournal.open(tmp_path, _FIRST)
    running = find_run(tmp_path, _FIRST)
    assert running.state == "running"
    assert running.holder is not None
    assert running.holder.pid == os.getpid()
    await journal.close()
    assert find_run(tmp_path, _FIRST).state == "interrupted"


async def test_runs_are_listed_by_their_last_change(tmp_path: Path) -> None:
    await _write(tmp_path, _FIRST, _started(tmp_path), at=3000.0)
    await _write(tmp_path, _SECOND, _started(tmp_path), at=1000.0)
    await _write(tmp_path, _SWARM, _started(tmp_path, "swarm"), at=2000.0)
    assert [s.id for s in list_runs(tmp_path)] == [_FIRST, _SWARM, _SECOND]


async def test_sessions_are_those_of_the_directory_asked_for(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    (tmp_path / "link").symlink_to(here)
    await _write(tmp_path, _FIRST, _started(here), at=1000.0)
    await _write(tmp_path, _SECOND, _started(there), at=2000.0)
    await _write(tmp_path, _SWARM, _started(here, "swarm"), at=3000.0)
    assert [s.id for s in sessions_of(tmp_path, tmp_path / "link")] == [_FIRST]
    assert [s.id for s in sessions_of(tmp_path, there)] == [_SECOND]
    assert sessions_of(tmp_path, tmp_path) == ()


async def test_the_runs_begun_last_can_be_had_alone(tmp_path: Path) -> None:
    for number, run_id in enumerate((_FIRST, _SECOND, _SWARM)):
        await _write(tmp_path, run_id, _started(tmp_path), at=3000.0 - number)
    assert [s.id for s in list_runs(tmp_path, newest=2)] == [_SECOND, _SWARM]


async def test_of_a_run_whose_beginning_is_damaged_the_kind_is_still_known(tmp_path: Path) -> None:
    await _write(tmp_path, _FIRST, _started(tmp_path), RunFinished(outcome="completed"))
    (segment,) = run_directory(tmp_path, _FIRST).glob("*.jsonl")
    text = segment.read_bytes()
    segment.write_bytes(text.replace(b'"kind":"run.started"', b'"kind":"ruin.started"'))
    (found,) = list_runs(tmp_path)
    assert (found.state, found.kind, found.directory) == ("damaged", "session", "")
    assert "damaged at byte" in found.detail


async def test_spending_adds_up_every_answer(tmp_path: Path) -> None:
    await _write(tmp_path, _FIRST, _started(tmp_path), _answer(10, 0.5), _answer(7, 0.25))
    spent = spending(tmp_path, _FIRST)
    assert (spent.usage, spent.cost_usd, spent.calls) == (
        Usage(prompt_tokens=17, completion_tokens=2),
        0.75,
        2,
    )
    await _write(tmp_path, _FIRST, _answer(1, None, "x" * 100_000))
    spent = spending(tmp_path, _FIRST)
    assert (spent.usage.prompt_tokens, spent.cost_usd, spent.calls) == (18, None, 3)


async def test_a_damaged_run_is_listed_as_such_and_hides_no_other(tmp_path: Path) -> None:
    await _write(tmp_path, _FIRST, _started(tmp_path), RunFinished(outcome="completed"))
    await _write(tmp_path, _SECOND, _started(tmp_path))
    (segment,) = run_directory(tmp_path, _FIRST).glob("*.jsonl")
    data = segment.read_bytes()
    segment.write_bytes(b"?" + data[1:])
    states = {s.id: (s.state, s.detail) for s in list_runs(tmp_path)}
    assert states[_FIRST][0] == "damaged"
    assert segment.name in states[_FIRST][1]
    assert states[_SECOND][0] == "interrupted"


async def test_a_torn_last_line_does_not_hide_the_run(tmp_path: Path) -> None:
    await _write(tmp_path, _FIRST, _started(tmp_path), _answer(1, 0.0))
    (segment,) = run_directory(tmp_path, _FIRST).glob("*.jsonl")
    segment.write_bytes(segment.read_bytes()[:-9])
    (run_directory(tmp_path, _FIRST) / "mark").unlink()
    summary = find_run(tmp_path, _FIRST)
    assert (summary.state, summary.records) == ("interrupted", 1)


async def test_what_is_no_run_is_not_listed(tmp_path: Path) -> None:
    assert list_runs(tmp_path) == ()
    (events_root(tmp_path) / "notes").mkdir(parents=True)
    journal = await LocalJournal.open(tmp_path, _FIRST)
    await journal.close()
    assert list_runs(tmp_path) == ()
    for run_id in (_FIRST, _SECOND, "../x"):
        with pytest.raises(UnknownRunError):
            find_run(tmp_path, run_id)
