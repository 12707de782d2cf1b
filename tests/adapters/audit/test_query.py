"""Reading: entries joined and merged, in bounded memory, whatever is between intent and outcome."""

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codetether_ray.audit import latest, members
from codetether_ray.audit.entries import Entry, entries_of, said_of_action
from codetether_ray.audit.lines import Head, after, frame
from codetether_ray.audit.log import AuditLog
from codetether_ray.audit.query import Query, find, moment, newest
from codetether_ray.core.spec import Correlation
from tests.adapters.audit.scene import action, entries, path_of, write_chain

NOON = 1_790_000_000.0


class Clock:
    """A clock that goes on by a second whenever it is asked."""

    def __init__(self, now: float = NOON) -> None:
        self.now = now

    def __call__(self) -> float:
        self.now += 1
        return self.now


def test_processes_that_wrote_at_the_same_time_are_merged_by_time(tmp_path: Path) -> None:
    clock = Clock()
    logs = [AuditLog(tmp_path, clock=clock) for _ in range(3)]
    for number in range(30):
        (id,) = logs[number % 3].begin_now(action(number))
        logs[number % 3].end(id, "success")
    for log in logs:
        log.close_now()
    assert [e["resource"] for e in entries(tmp_path)] == [f"sha256:{n:04}" for n in range(30)]


def test_the_newest_are_the_last_of_all(tmp_path: Path) -> None:
    clock = Clock()
    for chain in range(4):
        log = AuditLog(tmp_path, clock=clock)
        for step in range(5):
            log.begin_now(action(chain * 5 + step))
        log.close_now()
    found = newest(tmp_path, Query(), 7)
    assert [e["resource"] for e in found] == [f"sha256:{n:04}" for n in range(13, 20)]
    assert [e.data for e in find(tmp_path, Query())][-7:] == [e.data for e in found]


def test_a_goal_is_found_by_its_id_and_by_its_runs(tmp_path: Path) -> None:
    log = AuditLog(tmp_path)
    log.begin_now(
        action(1, correlation=Correlation(run_id="r1", okr_id="okr_1", okr_run_id="okrrun_1")),
        action(2, correlation=Correlation(run_id="r2", okr_id="okr_1")),
        action(3),
    )
    log.close_now()
    assert len(entries(tmp_path, okr="okr_1")) == 2
    assert len(entries(tmp_path, okr="okrrun_1")) == 1
    assert len(entries(tmp_path, run="r2")) == 1


def _file(
    path: Path, order: list[tuple[int, bool]], times: Callable[[int], float] = lambda n: n / 1e6
) -> None:
    """A chain of intents (True) and outcomes (False) of numbered actions.

    `times`: seconds of each line, by its number.
    """
    head, out = Head(), []
    for number, is_intent in order:
        timestamp = members.timestamp(NOON + times(head.count))
        text = (
            f'"id":"act_{number}","timestamp":"{timestamp}",'
            f'"category":"api","outcome":"{"intent" if is_intent else "success"}","detail":{{}}'
        )
        line = frame("c", head, text)
        out.append(line)
        head = after(head, line)
    path.write_bytes(b"".join(out))


@settings(max_examples=100, deadline=None)
@given(data=st.data(), window=st.integers(0, 12))
def test_entries_keep_the_order_of_intents_whatever_the_window(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, window: int
) -> None:
    path = tmp_path_factory.mktemp("chain") / "c.jsonl"
    count = data.draw(st.integers(0, 20))
    open_ones: list[int] = []
    order: list[tuple[int, bool]] = []
    ended = set()
    for number in range(count):
        order.append((number, True))
        open_ones.append(number)
        while open_ones and data.draw(st.booleans()):
            done = open_ones.pop(data.draw(st.integers(0, len(open_ones) - 1)))
            order.append((done, False))
            ended.add(done)
    _file(path, order)
    found = list(entries_of(path, window=window))
    assert [e["id"] for e in found] == [f"act_{n}" for n in range(count)]
    assert {e["id"] for e in found if e["outcome"] == "success"} == {f"act_{n}" for n in ended}


@settings(max_examples=150, deadline=None)
@given(data=st.data(), limit=st.integers(0, 8), block=st.integers(1, 900))
def test_the_newest_of_a_file_are_the_same_from_its_end_whatever_its_clock_did(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, limit: int, block: int
) -> None:
    path = tmp_path_factory.mktemp("chain") / "c.jsonl"
    numbers = st.tuples(st.integers(0, 12), st.booleans())
    order = data.draw(st.lists(numbers, max_size=30, unique=True))
    clock = data.draw(st.sampled_from([0.0, 0.5, 3.0]))
    jumps = data.draw(st.lists(st.sampled_from([0.0, 0.0, 0.0, -1.0, -9.0]), min_size=30))
    _file(path, order, lambda n: n * clock + sum(jumps[: n + 1]))

    def is_wanted(entry: Entry) -> bool:
        return int(str(entry["id"])[4:]) % 5 != 1

    with patch.object(latest, "_BLOCK", block):
        found = latest.latest_of(path, is_wanted, limit)
    everything = sorted(filter(is_wanted, entries_of(path)), key=lambda e: (e.timestamp, e.n))
    assert sorted(found, key=lambda e: (e.timestamp, e.n)) == everything[-limit or len(order) :]


def test_of_a_long_file_only_the_end_is_parsed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "c.jsonl"
    _file(path, [(n // 2, n % 2 == 0) for n in range(6_000)], lambda n: float(n))
    parsed: list[bytes] = []

    def parse(line: bytes, holding: bytes) -> dict[str, Any] | None:
        parsed.append(line)
        return said_of_action(line, holding)

    monkeypatch.setattr(latest, "said_of_action", parse)
    found = latest.latest_of(path, lambda _: True, 10)
    assert sorted(int(str(entry["id"])[4:]) for entry in found) == list(range(2_990, 3_000))
    assert len(parsed) < 30


def test_a_file_whose_time_was_set_back_is_read_all_the_same(tmp_path: Path) -> None:
    path = path_of(tmp_path, write_chain(tmp_path, 2))
    os.utime(path, (0, 0))
    assert len(entries(tmp_path, since=time.time() - 60)) == 2
    write_chain(tmp_path, 1)
    assert len(newest(tmp_path, Query(), 3)) == 3


def test_a_line_that_is_no_json_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "c.jsonl"
    _file(path, [(0, True), (1, True)])
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + b"\xff\xfe{\n" + b'"text"\n' + lines[1] + b'{"half')
    assert [e["id"] for e in entries_of(path)] == ["act_0", "act_1"]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("90s", NOON - 90),
        ("2h", NOON - 7200),
        ("1.5d", NOON - 129_600),
        ("99999999999d", 0.0),
        ("2026-11-22T08:00:00Z", 1_795_334_400.0),
        ("2026-11-22T08:00:00+02:00", 1_795_327_200.0),
    ],
)
def test_times_are_iso_or_spans(text: str, wanted: float) -> None:
    assert moment(text, NOON) == wanted


@pytest.mark.parametrize("text", ["", "h", "soon", "2x"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="isoformat"):
        moment(text, NOON)


def test_an_entry_is_plain_json(tmp_path: Path) -> None:
    log = AuditLog(tmp_path)
    (id,) = log.begin_now(action(1, detail={"wörter": ["\ud800", 1, None, True]}))
    log.end(id, "success")
    log.close_now()
    (entry,) = entries(tmp_path)
    assert json.loads(json.dumps(entry)) == entry
