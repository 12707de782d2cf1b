"""The Parquet copy: what is asked of it, and that it can be made again."""

import json
import shutil
from pathlib import Path

import pytest

from codetether_ray.archive.cache import ReadThrough
from codetether_ray.archive.query import Question, ask
from codetether_ray.archive.rows import row
from codetether_ray.archive.s3 import S3Store
from codetether_ray.bootstrap.archiving.opening import push_run
from codetether_ray.bootstrap.archiving.retention import apply_retention
from codetether_ray.bootstrap.archiving.rows import parquet_root, send_rows, update_rows
from codetether_ray.core import failpoints
from codetether_ray.core.errors import UsageError
from codetether_ray.core.events import ModelResponded, RunFinished
from codetether_ray.core.messages import assistant
from codetether_ray.core.models import ModelResponse
from codetether_ray.core.usage import Usage
from tests.adapters.archive.runs import BEGIN, new_run, note, small, write

TODAY = "2023-11-14"
"""The day of `BEGIN`: nothing of it is joined yet."""


async def test_every_record_of_a_finished_run_is_a_row_once(data: Path) -> None:
    run = new_run()
    records = await write(data, run, small(count=8, big=1))
    assert update_rows(data) == update_rows(data) == ()
    rows = ask(parquet_root(data), Question(columns=("seq", "run_id", "kind", "payload")))
    assert [r["seq"] for r in rows] == [r.seq for r in records]
    assert {r["kind"] for r in rows} == {"run.started", "run.finished"}
    assert json.loads(rows[1]["payload"])["title"].startswith("note 0")
    await write(data, run, [note("more"), RunFinished(outcome="completed")])
    update_rows(data)
    assert len(ask(parquet_root(data), Question(columns=("seq",)))) == len(records) + 2


async def test_a_run_that_goes_on_is_left_until_it_ends(data: Path) -> None:
    run = new_run()
    await write(data, run, [note("begun")])
    update_rows(data)
    assert ask(parquet_root(data), Question()) == []


async def test_filters_sums_and_groups(data: Path) -> None:
    runs = [new_run(), new_run()]
    for run in runs:
        await write(data, run, small(count=4))
    update_rows(data, day=TODAY)
    root = parquet_root(data)
    assert {r["run_id"] for r in ask(root, Question(run_id=runs[0]))} == {runs[0]}
    assert len(ask(root, Question(session_id=runs[1], kinds=("run.finished",)))) == 1
    assert ask(root, Question(agent="nobody")) == []
    assert len(ask(root, Question(since=BEGIN + 1, until=BEGIN + 2))) == 4
    assert len(ask(root, Question(limit=3))) == 3
    sums = ask(root, Question(sums=("prompt_tokens",), by=("run_id",)))
    assert [(r["run_id"], r["prompt_tokens"], r["count"]) for r in sums] == [
        (run, 0, 6) for run in sorted(runs)
    ]
    with pytest.raises(UsageError, match="no column"):
        ask(root, Question(columns=("nonsense",)))
    with pytest.raises(UsageError, match="summed"):
        ask(root, Question(sums=("agent",)))


def test_tokens_cost_and_tool_come_from_the_payload() -> None:
    line = {
        "run_id": "r",
        "kind": "model.responded",
        "seq": 1,
        "off": 10,
        "time": 1.0,
        "payload": {
            "response": {"usage": {"prompt_tokens": 3, "completion_tokens": 2}, "cost_usd": 0.5}
        },
    }
    found = row(line)
    assert (found["prompt_tokens"], found["completion_tokens"], found["cost_usd"]) == (3, 2, 0.5)
    summary = row({**line, "kind": "run.finished"})
    assert (summary["prompt_tokens"], summary["cost_usd"]) == (None, None)
    assert row({**line, "payload": {"call": {"name": "bash"}}})["tool"] == "bash"
    assert row({**line, "payload": None, "blob": {"sha256": "x"}})["payload"] == (
        '{"blob":{"sha256":"x"}}'
    )


async def test_the_copy_can_be_made_again_and_joined_without_a_row_lost(data: Path) -> None:
    for _ in range(17):
        await write(data, new_run(), small(count=2))
    update_rows(data, day=TODAY)
    root = parquet_root(data)
    wanted = Question(columns=("run_id", "seq", "kind", "payload", "off"))
    before = ask(root, wanted)
    update_rows(data)
    assert len(list(root.rglob("*.parquet"))) == 2
    assert ask(root, wanted) == before
    shutil.rmtree(root)
    update_rows(data)
    assert ask(root, wanted) == before


async def test_the_copy_is_archived_and_follows_what_was_joined(store: S3Store, data: Path) -> None:
    for _ in range(17):
        run = new_run()
        await write(data, run, small(count=2))
    update_rows(data, day=TODAY)
    send_rows(store, data)
    assert len(list(store.stored("parquet/"))) == 34
    update_rows(data)
    send_rows(store, data)
    here = {p.relative_to(data).as_posix() for p in parquet_root(data).rglob("*.parquet")}
    assert {s.name for s in store.stored("parquet/")} == here
    assert len(here) == 2


def answer(text: str, tokens: int) -> ModelResponded:
    """A model's answer as it is recorded."""
    usage = Usage(prompt_tokens=tokens, completion_tokens=1)
    response = ModelResponse(
        message=assistant(text), finish_reason="stop", usage=usage, cost_usd=0.25
    )
    return ModelResponded(step=0, response=response, elapsed_ms=1)


@pytest.mark.damages_runs  # an answer without its call
async def test_the_tokens_of_an_answer_that_is_kept_apart_count(data: Path) -> None:
    begun, *_, ended = small()
    await write(data, new_run(), [begun, answer("short", 3), answer("l" * 100_000, 4), ended])
    update_rows(data)
    wanted = Question(sums=("prompt_tokens", "completion_tokens", "cost_usd"))
    (found,) = ask(parquet_root(data), wanted)
    assert (found["prompt_tokens"], found["completion_tokens"], found["cost_usd"]) == (7, 2, 0.5)


@pytest.mark.damages_runs  # only the archive has it, and whoever verifies does not look there
async def test_the_rows_of_a_run_that_only_the_archive_holds_are_read_through(
    store: S3Store, data: Path, tmp_path: Path
) -> None:
    run = new_run()
    records = await write(data, run, small(count=8, big=1))
    for _ in range(3):
        push_run(store, data, run)
        apply_retention(store, data, 0.0)
    (trouble,) = update_rows(data)
    assert run in trouble
    assert ask(parquet_root(data), Question()) == []
    assert update_rows(data, fetch=ReadThrough(store, tmp_path / "cache")) == ()
    assert len(ask(parquet_root(data), Question())) == len(records)


async def test_a_copy_that_was_stopped_while_it_was_made_counts_no_row_twice(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = new_run()
    await write(data, run, small(count=2))
    stop_at(monkeypatch, "rows.written")
    with pytest.raises(StoppedError):
        update_rows(data)
    monkeypatch.undo()
    await write(data, run, [note("more"), RunFinished(outcome="completed")])
    update_rows(data)
    (total,) = ask(parquet_root(data), Question(by=("run_id",)))
    assert total["count"] == 6


@pytest.mark.parametrize("where", ["rows.planned", "rows.removed"])
async def test_a_join_that_was_stopped_counts_no_row_twice(
    data: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    for _ in range(17):
        await write(data, new_run(), small(count=2))
    update_rows(data, day=TODAY)
    before = ask(parquet_root(data), Question())
    stop_at(monkeypatch, where)
    with pytest.raises(StoppedError):
        update_rows(data)
    monkeypatch.undo()
    update_rows(data)
    assert ask(parquet_root(data), Question()) == before


class StoppedError(BaseException):
    """Nobody catches it."""


def stop_at(monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    """Stop at a boundary as a crash would."""

    def hit(name: str) -> None:
        if name == where:
            raise StoppedError

    monkeypatch.setattr(failpoints, "hit", hit)
