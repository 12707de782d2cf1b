"""A writer that gives no sign of life is taken over; one that does is not."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from codetether_ray.core.errors import JournalError, RunBusyError
from codetether_ray.journal.check import check_run
from codetether_ray.journal.lease import LEASE, is_silent, lease_age_s, stale_after_s
from codetether_ray.journal.lock import Holder, read_holder, this_process
from codetether_ray.journal.process import end_process, started_at
from codetether_ray.journal.reader import read_records
from codetether_ray.journal.segments import list_segments, run_directory
from codetether_ray.local.journal import LocalJournal
from tests.adapters.journal.streams import Written
from tests.contracts.journal import RUN, note

_WRITER = """
import asyncio, sys
from pathlib import Path
from codetether_ray.local.journal import LocalJournal
from tests.contracts.journal import RUN, note

async def main():
    journal = await LocalJournal.open(Path(sys.argv[1]), RUN)
    for number in range(1000000):
        done = await journal.append([note("a", str(number))])
        print(done[0].seq, flush=True)

asyncio.run(main())
"""


@contextmanager
def _writer(data_dir: Path) -> Iterator["subprocess.Popen[str]"]:
    with subprocess.Popen(
        [sys.executable, "-c", _WRITER, str(data_dir)], stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        for _ in range(5):
            child.stdout.readline()
        try:
            yield child
        finally:
            child.kill()


@pytest.fixture
def short_lease(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CODETETHER_LEASE_S", "0.5")


@pytest.mark.usefixtures("short_lease")
async def test_a_stopped_writer_is_ended_and_what_it_acknowledged_is_kept(tmp_path: Path) -> None:
    told: list[tuple[str, Holder]] = []
    with _writer(tmp_path) as child:
        assert child.stdout is not None
        child.send_signal(signal.SIGSTOP)
        deadline = time.monotonic() + 60
        while True:
            try:
                journal = await LocalJournal.open(
                    tmp_path, RUN, on_stale=lambda run, holder: told.append((run, holder))
                )
                break
            except RunBusyError:
                assert time.monotonic() < deadline
                time.sleep(0.05)
        assert [(run, holder.pid) for run, holder in told] == [(RUN, child.pid)]
        assert child.wait(60) == -signal.SIGKILL
        acked = [int(line) for line in child.stdout.read().split()]
    new = await journal.append([note("b")])
    await journal.close()
    kept = [r.seq for r in read_records(tmp_path, RUN)]
    assert kept == list(range(new[0].seq + 1))
    assert set(acked) < set(kept)
    assert check_run(tmp_path, RUN).problems == ()
    last = list_segments(run_directory(tmp_path, RUN))[-1]
    assert f'"taken_from":{{"pid":{child.pid}' in last.path.read_text()


async def test_a_writer_that_lives_keeps_its_run_beyond_the_lease(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CODETETHER_LEASE_S", "2")  # it has two seconds to give a sign in
    with _writer(tmp_path) as child:
        time.sleep(2.5)
        with pytest.raises(RunBusyError, match="can be taken over once") as caught:
            await LocalJournal.open(tmp_path, RUN)
        words = str(caught.value)
        assert f"process {child.pid} on {os.uname().nodename} since 20" in words
        assert f"codetether cancel {RUN}" in words
        assert child.poll() is None


@pytest.mark.usefixtures("short_lease")
async def test_a_process_never_ends_itself(tmp_path: Path) -> None:
    journal = await LocalJournal.open(tmp_path, RUN)
    with pytest.raises(RunBusyError):
        await LocalJournal.open(tmp_path, RUN)
    await journal.append([note("a")])
    await journal.close()


@pytest.mark.usefixtures("short_lease")
async def test_a_holder_of_another_machine_is_not_ended(tmp_path: Path) -> None:
    with _writer(tmp_path) as child:
        child.send_signal(signal.SIGSTOP)
        lock = run_directory(tmp_path, RUN) / "lock"
        lock.write_text(lock.read_text().replace(os.uname().nodename, "elsewhere"))
        os.utime(run_directory(tmp_path, RUN) / LEASE, (1, 1))
        with pytest.raises(RunBusyError, match="on elsewhere since"):
            await LocalJournal.open(tmp_path, RUN)
        assert child.poll() is None


def test_a_pid_that_was_given_to_another_process_is_let_be() -> None:
    child = subprocess.Popen(["sleep", "60"])
    try:
        started = started_at(child.pid)
        assert started
        assert end_process(child.pid, started + "0")
        assert child.poll() is None
        assert end_process(child.pid, started)
        assert started_at(child.pid) == ""
    finally:
        child.kill()
        child.wait()
    assert not end_process(os.getpid(), started_at(os.getpid()))


async def test_a_lease_that_only_looks_old_is_watched_before_it_is_believed(
    tmp_path: Path,
) -> None:
    journal = await LocalJournal.open(tmp_path, RUN)
    directory = run_directory(tmp_path, RUN)
    assert (lease_age_s(directory) or 0) < 10
    assert not is_silent(directory, 15)
    await journal.close()
    os.utime(directory / LEASE, (1, 1))
    assert is_silent(directory, 0.2)
    (directory / LEASE).unlink()
    assert lease_age_s(directory) is None
    assert not is_silent(directory, 0.2)


def test_the_lock_names_a_process_and_when_it_started(tmp_path: Path) -> None:
    me = this_process()
    assert me.started == started_at(os.getpid()) != ""
    assert read_holder(tmp_path) is None


@pytest.mark.parametrize(("text", "seconds"), [("", 15.0), ("3", 3.0), ("x", 15.0), ("0", 0.1)])
def test_the_span_of_a_lease_can_be_set(text: str, seconds: float) -> None:
    assert stale_after_s({"CODETETHER_LEASE_S": text}) == seconds


async def test_a_writer_that_keeps_its_descriptor_writes_beside_the_run(tmp_path: Path) -> None:
    """Its bytes get no acknowledgement, are read by nobody, kept aside, and told."""
    import fcntl

    zombie = await LocalJournal.open(tmp_path, RUN)
    acked = await zombie.append([note("a", "acked")])
    directory = run_directory(tmp_path, RUN)
    fcntl.flock(zombie._writer._lock._fd, fcntl.LOCK_UN)  # what no lock is there to prevent
    warned: list[str] = []
    taker = await LocalJournal.open(tmp_path, RUN)
    with pytest.raises(JournalError, match="took over"):
        await zombie.append([note("a", "never acked")])
    mine = await taker.append([note("a", "mine")])
    assert [p.kind for p in check_run(tmp_path, RUN).problems] == ["zombie"]
    await taker.close()
    await zombie.close()
    again = await LocalJournal.open(tmp_path, RUN, warn=warned.append)
    more = await again.append([note("a", "more")])
    await again.close()
    assert tuple(read_records(tmp_path, RUN)) == (*acked, *mine, *more)
    assert check_run(tmp_path, RUN).problems == ()
    (kept,) = directory.glob("zombie-*")
    assert b"never acked" in kept.read_bytes()
    assert len(warned) == 1
    assert kept.name in warned[0]
    assert kept.name.encode() in list_segments(directory)[-1].path.read_bytes().splitlines()[0]


async def test_a_segment_that_a_fenced_writer_begins_is_passed_over(tmp_path: Path) -> None:
    written = Written(tmp_path, [[note("a", "never acked")]])
    stray = written.segment.read_bytes()
    written.segment.unlink()
    taker = await LocalJournal.open(tmp_path, RUN)
    mine = await taker.append([note("a", "mine")])
    written.segment.write_bytes(stray)
    assert len(list_segments(written.directory)) == 1
    assert tuple(read_records(tmp_path, RUN)) == mine
    assert [p.kind for p in check_run(tmp_path, RUN).problems] == ["zombie"]
    await taker.close()
    again = await LocalJournal.open(tmp_path, RUN)
    assert await again.read() == mine
    await again.close()
    (kept,) = written.directory.glob("zombie-*")
    assert kept.read_bytes() == stray
