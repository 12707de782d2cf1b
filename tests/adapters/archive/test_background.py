"""The background, the gate of `archive.sync`, and reading through, while the archive is away."""

import shutil
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from codetether_ray.archive.cache import ReadThrough
from codetether_ray.archive.gate import Gate
from codetether_ray.archive.patience import Backoff
from codetether_ray.archive.s3 import S3Place, S3Store
from codetether_ray.audit.query import Query, find
from codetether_ray.bootstrap.archiving.opening import gate, push_run
from codetether_ray.bootstrap.archiving.pull import pull_run
from codetether_ray.bootstrap.archiving.pusher import Pusher, push_everything
from codetether_ray.bootstrap.archiving.retention import apply_retention
from codetether_ray.bootstrap.archiving.standing import standing
from codetether_ray.core.errors import ArchiveError, AuditError, JournalError
from codetether_ray.core.events import Record
from codetether_ray.core.spec import Correlation
from codetether_ray.journal.reader import read_records
from codetether_ray.journal.segments import list_segments, run_directory
from codetether_ray.local.journal import LocalJournal
from tests.adapters.archive.rough import FaultError, Passing, RoughRoad
from tests.adapters.archive.runs import BEGIN, new_run, note, small, told, write


class Time:
    """Time that passes when somebody waits."""

    def __init__(self) -> None:
        self.now = 0.0
        self.waits: list[float] = []

    def wait(self, pause_s: float) -> bool:
        self.waits.append(pause_s)
        self.now += pause_s
        return True


def away(_: Passing) -> None:
    raise FaultError(0)


async def test_while_the_archive_is_down_runs_go_on_and_the_backlog_is_drained_after(
    store: S3Store, data: Path, road: RoughRoad, tmp_path: Path
) -> None:
    time, runs = Time(), list[str]()
    road.rule = away

    def wait(pause_s: float) -> bool:
        time.wait(pause_s)
        if time.now > 60:
            road.rule = lambda _: None
        return not pusher.rounds or bool(pusher.trouble)

    for _ in range(3):
        runs.append(new_run())
        await write(data, runs[-1], small(count=6, big=1))
    assert all(standing(data, run, store.place).lag_bytes for run in runs)
    said: list[str] = []
    patient = Backoff(jitter=lambda: 1.0)
    pusher = Pusher(lambda: store, data, wait=wait, backoff=patient, tell=said.append)
    pusher.start()._thread.join(60)
    assert pusher.trouble == ""
    assert len(said) == 1
    assert said[0].endswith("the run goes on, and what is not archived now is sent later")
    assert time.now > 60
    assert time.waits[1:7] == [0.5, 1.0, 2.0, 4.0, 8.0, 16.0]
    for run in runs:
        assert standing(data, run, store.place).lag_bytes == 0
        pull_run(store, tmp_path / "other", run)
        assert told(tmp_path / "other", run) == told(data, run)


@pytest.mark.matrix
async def test_a_minute_of_an_archive_that_is_really_down_loses_nothing(
    store: S3Store, data: Path, road: RoughRoad, tmp_path: Path
) -> None:
    road.rule = away
    run = new_run()
    back = threading.Timer(60, lambda: setattr(road, "rule", lambda _: None))
    back.start()
    pusher = Pusher(lambda: store, data, round_s=0.5).start()
    where = Correlation(run_id=run, session_id=run)
    journal = await LocalJournal.open(data, run, where, segment_bytes=20_000)
    count = 0
    while back.is_alive():
        event = note(f"{count} " + "x" * 100)
        await journal.append([Record(correlation=where, agent="main", event=event, time=BEGIN)])
        count += 1
        back.join(0.05)
    await journal.close()
    while standing(data, run, store.place).lag_bytes:
        back.join()
        threading.Event().wait(0.5)
    pusher.close(wait_s=60)
    pull_run(store, tmp_path / "other", run)
    assert len(told(tmp_path / "other", run)) == count
    assert told(tmp_path / "other", run) == told(data, run)


async def test_one_run_that_cannot_be_sent_does_not_hold_up_the_others(
    store: S3Store, data: Path, road: RoughRoad
) -> None:
    bad, good = new_run(), new_run()
    for run in (bad, good):
        await write(data, run, small(count=3))

    def rule(passing: Passing) -> None:
        if bad in passing.path:
            raise FaultError(500)

    road.rule = rule
    with pytest.raises(ArchiveError):
        push_everything(store, data)
    assert standing(data, good, store.place).lag_bytes == 0
    assert standing(data, bad, store.place).lag_bytes > 0


async def test_a_run_that_did_not_change_is_not_looked_at_again(
    store: S3Store, data: Path, road: RoughRoad
) -> None:
    run = new_run()
    await write(data, run, small(count=3))
    pusher, other = Pusher(lambda: store, data), Pusher(lambda: store, data)
    assert pusher.round().objects > 0
    road.seen.clear()
    assert pusher.round().objects == 0
    assert road.seen == []
    other.round()  # as another process would; what it says in the audit log is new
    assert all("/audit/" in line for line in road.seen)
    await write(data, run, [note("more")])
    assert pusher.round().objects > 0
    pusher.close()
    other.close()


async def test_with_the_gate_everything_acknowledged_is_in_the_archive_at_once(
    store: S3Store, data: Path, tmp_path: Path
) -> None:
    run = new_run()
    where = Correlation(run_id=run, session_id=run)
    mirror = gate(store, data, lambda _: None)
    journal = await LocalJournal.open(data, run, where, mirror=mirror)
    acked: list[str] = []
    for number in range(6):
        event = note("w" * 70_000 if number == 3 else f"n{number}")
        (record,) = await journal.append(
            [Record(correlation=where, agent="main", event=event, time=BEGIN + number)]
        )
        acked.append(record.to_text())
        pull_run(store, tmp_path / f"lost-home-{number}", run)
        assert told(tmp_path / f"lost-home-{number}", run) == acked
        assert standing(data, run, store.place).lag_bytes == 0
    await journal.close()


async def test_the_gate_waits_says_so_and_goes_on_when_the_archive_is_back(
    store: S3Store, data: Path, road: RoughRoad
) -> None:
    time, said = Time(), list[str]()
    run = new_run()
    where = Correlation(run_id=run, session_id=run)

    def wait(pause_s: float) -> bool:
        if time.now > 30:
            road.rule = lambda _: None
        return time.wait(pause_s)

    mirror = Gate(store, data, tell=said.append, wait=wait, now=lambda: time.now)
    journal = await LocalJournal.open(data, run, where, mirror=mirror)
    road.rule = away
    await journal.append([Record(correlation=where, agent="main", event=note("a"), time=BEGIN)])
    await journal.close()
    assert 30 < time.now < 300
    assert len(said) == 1
    assert "the run waits" in said[0]


async def test_the_gate_gives_up_with_a_sentence_and_the_run_can_be_continued(
    store: S3Store, data: Path, road: RoughRoad
) -> None:
    time = Time()
    run = new_run()
    where = Correlation(run_id=run, session_id=run)
    mirror = Gate(store, data, tell=lambda _: None, wait=time.wait, now=lambda: time.now)
    journal = await LocalJournal.open(data, run, where, mirror=mirror)
    road.rule = away
    with pytest.raises(JournalError, match="goes on when it is continued"):
        await journal.append([Record(correlation=where, agent="main", event=note("a"), time=1.0)])
    await journal.close()
    assert 295 < time.now < 310
    road.rule = lambda _: None
    await write(data, run, [note("b")])
    assert "b" in told(data, run)[-1]


@pytest.mark.damages_runs  # only the archive has it, and whoever verifies does not look there
async def test_a_run_whose_files_went_from_here_is_read_through(
    store: S3Store, data: Path, tmp_path: Path, road: RoughRoad
) -> None:
    run = new_run()
    await write(data, run, small(count=20, big=1))
    whole = told(data, run)
    push_run(store, data, run)
    apply_retention(store, data, 0.0)  # seals what was open
    push_run(store, data, run)
    assert apply_retention(store, data, 3600.0) == []
    assert apply_retention(store, data, 0.0) == [run]
    assert {s.form for s in list_segments(run_directory(data, run))} == {"away"}
    fetch = ReadThrough(store, tmp_path / "cache")
    assert [r.to_text() for r in read_records(data, run, fetch=fetch)] == whole
    road.seen.clear()
    assert [r.to_text() for r in read_records(data, run, fetch=fetch)] == whole
    assert road.seen == []
    shutil.rmtree(tmp_path / "cache")
    road.rule = away
    with pytest.raises((ArchiveError, JournalError)):
        list(read_records(data, run, fetch=fetch))


async def test_the_cache_is_bounded_and_takes_no_path_out_of_it(
    store: S3Store, data: Path, tmp_path: Path
) -> None:
    run = new_run()
    await write(data, run, small(count=40))
    push_run(store, data, run)
    fetch = ReadThrough(store, tmp_path / "cache", limit_bytes=6_000)
    names = [s.name.partition("/")[2] for s in store.stored(f"{run}/2")]
    assert len(names) > 4
    for number, name in enumerate(names):
        assert fetch(run, name, tmp_path / "out" / str(number))
    held = sum(p.stat().st_size for p in (tmp_path / "cache").rglob("*") if p.is_file())
    assert held <= 6_000
    assert not fetch(run, "../../secret", tmp_path / "out" / "x")
    assert not fetch("../x", names[0], tmp_path / "out" / "x")
    assert not fetch(run, "nothing.jsonl", tmp_path / "out" / "x")


async def test_a_compressed_segment_is_given_plain_and_the_other_way_round(
    store: S3Store, data: Path, tmp_path: Path
) -> None:
    import gzip
    import hashlib

    run, text = new_run(), b'{"a": 1}\n' * 100
    packed = gzip.compress(text)
    name = "20261122T000000Z-chat-events-00000000000000000000-00000000000000000900.jsonl"
    store.put(f"{run}/{name}.gz", packed, hashlib.sha256(packed).hexdigest())
    fetch = ReadThrough(store, tmp_path / "cache")
    assert fetch(run, name, tmp_path / "plain")
    assert (tmp_path / "plain").read_bytes() == text
    assert fetch(run, f"{name}.gz", tmp_path / "packed")
    assert (tmp_path / "packed").read_bytes() == packed


async def test_a_slow_archive_times_out_as_one_that_is_away(
    place: S3Place, road: RoughRoad, data: Path
) -> None:
    from dataclasses import replace

    run = new_run()
    await write(data, run, small(count=2))
    road.delay_s = 1.0
    with pytest.raises(ArchiveError, match="cannot be reached"):
        push_run(S3Store(replace(place, timeout_s=0.2)), data, run)
    road.delay_s = 0.0
    push_run(S3Store(place), data, run)
    assert standing(data, run, str(place)).lag_bytes == 0


async def test_what_one_bucket_has_says_nothing_of_another(
    store: S3Store, place: S3Place, data: Path, tmp_path: Path
) -> None:
    run = new_run()
    await write(data, run, small())
    whole = told(data, run)
    push_run(store, data, run)
    other = S3Store(replace(place, prefix="elsewhere/"))
    assert standing(data, run, other.place).lag_bytes > 0
    assert apply_retention(other, data, 0.0) == []
    push_run(other, data, run)
    assert standing(data, run, other.place).lag_bytes == 0
    pull_run(other, tmp_path / "back", run)
    assert told(tmp_path / "back", run) == whole


@pytest.mark.damages_runs  # only the archive has it, and whoever verifies does not look there
async def test_segments_that_only_a_former_archive_holds_are_told(
    store: S3Store, place: S3Place, data: Path
) -> None:
    run = new_run()
    await write(data, run, small())
    for _ in range(3):
        push_run(store, data, run)
        apply_retention(store, data, 0.0)
    now = standing(data, run, str(replace(place, prefix="elsewhere/")))
    assert (now.elsewhere, now.lag_bytes) == ((store.place,), 0)
    assert standing(data, run, store.place).elsewhere == ()


@pytest.mark.damages_runs  # only the archive has it, and whoever verifies does not look there
async def test_nothing_goes_from_here_that_the_archive_has_lost_since(
    store: S3Store, data: Path
) -> None:
    run = new_run()
    await write(data, run, small())
    for _ in range(2):
        push_run(store, data, run)
        apply_retention(store, data, 1e9, time.time() + 4000)  # seals what was open
    lost = next(s.name for s in store.stored(f"{run}/") if "chat-events" in s.name)
    store.delete([lost])
    assert apply_retention(store, data, 0.0) == []
    push_run(store, data, run)
    assert lost in {s.name for s in store.stored(f"{run}/")}
    assert apply_retention(store, data, 0.0) == [run]


async def test_what_goes_in_the_background_is_in_the_audit_log_before_it_goes(
    store: S3Store, data: Path
) -> None:
    run = new_run()
    await write(data, run, small(count=3))
    pusher = Pusher(lambda: store, data, run_id=run, retention_s=0.0)
    pusher.round()
    begun, _ = find(data, Query(category="archive"))
    assert (begun["action"], begun["run_id"], begun["outcome"]) == (
        "archive.background",
        run,
        "unknown",
    ), "it is under way"
    pusher.start().close(wait_s=30)
    ended, looked = find(data, Query(category="archive"))
    assert (ended["outcome"], looked["outcome"]) == ("success", "success")
    assert ended["detail"]["objects"] > 0
    assert looked["action"] == "archive.retention"


async def test_what_cannot_be_written_into_the_audit_log_does_not_go_in_the_background(
    store: S3Store, data: Path, road: RoughRoad
) -> None:
    await write(data, new_run(), small(count=3))
    (data / "audit").write_text("in the way")
    road.seen.clear()
    with pytest.raises(AuditError):
        Pusher(lambda: store, data).round()
    assert not road.seen
