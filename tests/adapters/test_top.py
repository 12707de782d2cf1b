"""What `top` reads of a data directory: the journals of runs under way, once; little of others."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from codetether_ray.bootstrap import top
from codetether_ray.bootstrap.top import RunWatcher, look
from codetether_ray.bootstrap.truth.place import LocalHome
from codetether_ray.core import events as e
from codetether_ray.core.events import Event, Record
from codetether_ray.core.ids import new_run_id
from codetether_ray.core.messages import assistant
from codetether_ray.core.models import ModelResponse
from codetether_ray.core.spec import Correlation
from codetether_ray.core.usage import Usage
from codetether_ray.local.journal import LocalJournal

NOW = 1_790_000_000.0


class Reads:
    """Counts what is read, by the name of the function that reads."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.lines = 0
        self.calls: Counter[str] = Counter()
        for name in ("read_lines", "find_run", "spending", "live_holder"):
            patch.setattr(top, name, self._counted(name, getattr(top, name)))

    def _counted(self, name: str, function: Any) -> Any:
        def counted(*arguments: Any, **options: Any) -> Any:
            self.calls[name] += 1
            found = function(*arguments, **options)
            return self._lines(found) if name == "read_lines" else found

        return counted

    def _lines(self, found: Any) -> Any:
        for line in found:
            self.lines += 1
            yield line


def _record(run_id: str, event: Event, agent: str = "main") -> Record:
    return Record(correlation=Correlation(run_id=run_id), agent=agent, event=event, time=NOW)


def _began() -> Event:
    return e.RunStarted(kind="session", title="a task", directory="/somewhere")


def _asked(step: int) -> Event:
    return e.ModelRequested(step=step, attempt=0, model="p/m", digest="", messages=1)


def _answered(step: int) -> Event:
    usage = Usage(prompt_tokens=90, completion_tokens=10)
    response = ModelResponse(message=assistant("x"), finish_reason="stop", usage=usage, cost_usd=1)
    return e.ModelResponded(step=step, response=response, elapsed_ms=5)


async def _over(data_dir: Path) -> str:
    run_id = new_run_id("session")
    journal = await LocalJournal.open(data_dir, run_id)
    events = [_began(), _asked(0), _answered(0), e.RunFinished(outcome="completed")]
    await journal.append([_record(run_id, event) for event in events])
    await journal.close()
    return run_id


@pytest.mark.damages_runs
async def test_of_a_run_under_way_only_what_was_added_is_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads, run_id = Reads(monkeypatch), new_run_id("session")
    journal = await LocalJournal.open(tmp_path, run_id)
    watcher = RunWatcher(tmp_path, clock=lambda: NOW + 5)
    await journal.append([_record(run_id, _began())])
    for step in range(50):
        await journal.append([_record(run_id, _asked(step)), _record(run_id, _answered(step))])
    (run,) = _runs(watcher.look())
    assert (run["tokens"], run["cost_usd"], run["title"]) == (5000, 50, "a task")
    assert reads.lines == 101
    assert _runs(watcher.look()) == [run]
    assert reads.lines == 101
    await journal.append([_record(run_id, _asked(50)), _record(run_id, _answered(50))])
    assert _runs(watcher.look())[0]["tokens"] == 5100
    assert reads.lines == 103
    await journal.close()
    assert _runs(watcher.look())[0]["state"] == "interrupted"


@pytest.mark.damages_runs
async def test_of_many_runs_that_are_over_only_the_last_are_read_and_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = [await _over(tmp_path) for _ in range(40)]
    reads, watcher = Reads(monkeypatch), RunWatcher(tmp_path)
    found = watcher.look(ended=3)
    assert found["runs_total"] == 40
    assert found["runs_live"] == 0
    assert {run["id"] for run in _runs(found)} <= set(ids)
    assert len(_runs(found)) == 3
    assert reads.calls["find_run"] == reads.calls["spending"] == 3
    assert reads.calls["live_holder"] == 40
    watcher.look(ended=3)
    assert reads.calls["find_run"] == reads.calls["spending"] == 3
    assert reads.calls["live_holder"] == 40
    assert reads.calls["read_lines"] == 0


async def test_an_empty_directory_is_an_empty_picture(tmp_path: Path) -> None:
    found = look(LocalHome(data_dir=tmp_path))
    assert (found["runs_total"], found["runs"]) == (0, [])


@pytest.mark.damages_runs
async def test_a_damaged_run_spoils_no_picture(tmp_path: Path) -> None:
    run_id = await _over(tmp_path)
    (segment,) = (tmp_path / "events" / run_id).glob("*.jsonl")
    data = segment.read_bytes()
    segment.write_bytes(data[:60] + b"#" + data[61:])
    (run,) = _runs(RunWatcher(tmp_path).look())
    assert run["state"] == "damaged"
    assert run["problem"]


def _runs(picture: Any) -> list[dict[str, Any]]:
    return list(picture["runs"])
