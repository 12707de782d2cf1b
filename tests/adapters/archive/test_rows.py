"""The Parquet copy: what is asked of it, and that it can be made again."""

import json
import shutil
from pathlib import Path

import pytest

from codetether_ray.archive.query import Question, ask
from codetether_ray.archive.rows import row
from codetether_ray.archive.s3 import S3Store
from codetether_ray.bootstrap.archive_rows import (
    join_rows,
    make_all_rows,
    make_rows,
    parquet_root,
    push_rows,
)
from codetether_ray.core.errors import UsageError
from codetether_ray.core.events import RunFinished
from tests.adapters.archive.runs import BEGIN, new_run, note, small, write


async def test_every_record_of_a_finished_run_is_a_row_once(data: Path) -> None:
    run = new_run()
    records = await write(data, run, small(count=8, big=1))
    make_rows(data, run)
    assert make_rows(data, run) == []
    rows = ask(parquet_root(data), Question(columns=("seq", "run_id", "kind", "payload")))
    assert [r["seq"] for r in rows] == [r.seq for r in records]
    assert {r["kind"] for r in rows} == {"run.started", "run.finished"}
    assert json.loads(rows[1]["payload"])["title"].startswith("note 0")
    await write(data, run, [note("more"), RunFinished(outcome="completed")])
    make_rows(data, run)
    assert len(ask(parquet_root(data), Question(columns=("seq",)))) == len(records) + 2


async def test_a_run_that_goes_on_is_left_until_it_ends(data: Path) -> None:
    run = new_run()
    await write(data, run, [note("begun")])
    assert make_rows(data, run) == []


async def test_filters_sums_and_groups(data: Path) -> None:
    runs = [new_run(), new_run()]
    for run in runs:
        await write(data, run, small(count=4))
    make_all_rows(data)
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
        "seq": 1,
        "off": 10,
        "time": 1.0,
        "payload": {
            "response": {"usage": {"prompt_tokens": 3, "completion_tokens": 2}, "cost_usd": 0.5}
        },
    }
    found = row(line)
    assert (found["prompt_tokens"], found["completion_tokens"], found["cost_usd"]) == (3, 2, 0.5)
    assert row({**line, "payload": {"call": {"name": "bash"}}})["tool"] == "bash"
    assert row({**line, "payload": None, "blob": {"sha256": "x"}})["payload"] == (
        '{"blob":{"sha256":"x"}}'
    )


async def test_the_copy_can_be_made_again_and_joined_without_a_row_lost(data: Path) -> None:
    for _ in range(17):
        await write(data, new_run(), small(count=2))
    make_all_rows(data)
    root = parquet_root(data)
    wanted = Question(columns=("run_id", "seq", "kind", "payload", "off"))
    before = ask(root, wanted)
    join_rows(data)
    assert len(list(root.rglob("*.parquet"))) == 2
    assert ask(root, wanted) == before
    shutil.rmtree(root)
    make_all_rows(data)
    assert ask(root, wanted) == before


async def test_the_copy_is_archived_and_follows_what_was_joined(store: S3Store, data: Path) -> None:
    for _ in range(17):
        run = new_run()
        await write(data, run, small(count=2))
        push_rows(store, data, run, lambda _: None)
    assert len(list(store.stored("parquet/"))) == 34
    join_rows(data)
    push_rows(store, data, run, lambda _: None)
    here = {p.relative_to(data).as_posix() for p in parquet_root(data).rglob("*.parquet")}
    assert {s.name for s in store.stored("parquet/")} == here
    assert len(here) == 2
