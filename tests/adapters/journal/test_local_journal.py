import asyncio
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from codetether_ray.core.errors import JournalError, RunBusyError, UnknownRunError
from codetether_ray.disk import group
from codetether_ray.journal.generation import raise_generation
from codetether_ray.journal.listing import find_run
from codetether_ray.journal.reader import read_records
from codetether_ray.journal.segments import list_segments, run_directory
from codetether_ray.local.journal import LocalJournal
from tests.contracts.journal import RUN, JournalContract, Start, note


class TestLocalJournal(JournalContract):
    @pytest.fixture
    async def start(self, tmp_path: Path) -> Start:
        async def open_run() -> LocalJournal:
            return await LocalJournal.open(tmp_path, RUN)

        return open_run


class TestLocalJournalInSmallSegments(JournalContract):
    @pytest.fixture
    async def start(self, tmp_path: Path) -> Start:
        async def open_run() -> LocalJournal:
            return await LocalJournal.open(tmp_path, RUN, segment_bytes=1500)

        return open_run


async def test_a_second_writer_is_refused_and_told_who_holds_the_run(tmp_path: Path) -> None:
    journal = await LocalJournal.open(tmp_path, RUN)
    with pytest.raises(RunBusyError, match=f"process {os.getpid()} on "):
        await LocalJournal.open(tmp_path, RUN)
    await journal.append([note("a")])
    await journal.close()
    journal = await LocalJournal.open(tmp_path, RUN)
    await journal.close()


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


async def test_what_a_killed_writer_acknowledged_is_there_for_the_next(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", _WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        acked = [int(child.stdout.readline()) for _ in range(20)]
        with pytest.raises(RunBusyError, match=f"process {child.pid} on "):
            await LocalJournal.open(tmp_path, RUN)
        assert find_run(tmp_path, RUN).state == "running"
        child.send_signal(signal.SIGKILL)
        acked += [int(line) for line in child.stdout.read().split()]
    assert find_run(tmp_path, RUN).state == "interrupted"
    journal = await LocalJournal.open(tmp_path, RUN)
    kept = await journal.read()
    assert acked == list(range(len(acked)))
    assert [r.seq for r in kept][: len(acked)] == acked
    assert (await journal.append([note("a")]))[0].seq == len(kept)
    await journal.close()


async def test_a_writer_that_was_superseded_gets_no_acknowledgement(tmp_path: Path) -> None:
    journal = await LocalJournal.open(tmp_path, RUN)
    await journal.append([note("a")])
    raise_generation(run_directory(tmp_path, RUN))
    with pytest.raises(JournalError, match="took over"):
        await journal.append([note("a")])
    with pytest.raises(JournalError):
        await journal.append([note("a")])
    await journal.close()


async def test_segments_are_sealed_at_their_size_with_true_offsets(tmp_path: Path) -> None:
    journal = await LocalJournal.open(tmp_path, RUN, segment_bytes=2000)
    for number in range(40):
        await journal.append([note("a", str(number)), note("b")])
    await journal.close()
    segments = list_segments(run_directory(tmp_path, RUN))
    assert len(segments) > 5
    assert [s.is_open for s in segments] == [False] * (len(segments) - 1) + [True]
    at = 0
    for segment in segments[:-1]:
        assert (segment.start, segment.end) == (at, at + segment.path.stat().st_size)
        at = segment.end or 0
        first, *_, last = segment.path.read_bytes().splitlines()
        assert b'"kind":"segment.opened"' in first
        assert b'"kind":"segment.sealed"' in last
    assert [r.seq for r in read_records(tmp_path, RUN)] == list(range(80))


async def test_a_run_can_be_read_while_it_is_written(tmp_path: Path) -> None:
    journal = await LocalJournal.open(tmp_path, RUN, segment_bytes=3000)
    await journal.append([note("a", "first")])
    done = asyncio.Event()
    seen: list[int] = []

    def read() -> int:
        numbers = [r.seq for r in read_records(tmp_path, RUN)]
        assert numbers == list(range(len(numbers)))
        return len(numbers)

    async def follow() -> None:
        while not done.is_set():
            seen.append(await asyncio.to_thread(read))

    async def write(agent: str) -> None:
        for number in range(40):
            acked = await journal.append([note(agent, str(number))])
            if number % 20 == 0:
                assert await asyncio.to_thread(read) > acked[0].seq

    reader = asyncio.ensure_future(follow())
    await asyncio.gather(*(write(f"a{n}") for n in range(5)))
    done.set()
    await reader
    assert seen == sorted(seen)
    assert read() == 201
    await journal.close()


async def test_a_reader_can_go_on_behind_a_record(tmp_path: Path) -> None:
    journal = await LocalJournal.open(tmp_path, RUN)
    given = await journal.append([note("a"), note("b"), note("a")])
    await journal.close()
    assert list(read_records(tmp_path, RUN, after=0)) == list(given[1:])
    assert list(read_records(tmp_path, RUN, agent="a", after=0)) == [given[2]]
    assert list(read_records(tmp_path, RUN, kinds={"turn.started"})) == list(given)
    assert list(read_records(tmp_path, RUN, kinds={"run.finished"})) == []


@pytest.mark.parametrize(
    "run_id", ["../x", "", "ses_0000000000_0000000", "ses_0000000000_0000000/"]
)
async def test_an_id_that_is_no_run_id_opens_nothing(tmp_path: Path, run_id: str) -> None:
    with pytest.raises(UnknownRunError):
        await LocalJournal.open(tmp_path / "data", run_id)
    with pytest.raises(UnknownRunError):
        list(read_records(tmp_path / "data", run_id))
    assert not (tmp_path / "data").exists()


def test_a_run_that_is_not_there_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(UnknownRunError):
        list(read_records(tmp_path, RUN))


async def test_two_runs_of_one_process_share_a_writing_thread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(group, "_committers", {})  # none that others of this process use
    before = set(threading.enumerate())

    def committers() -> list[str]:
        new = set(threading.enumerate()) - before
        return [thread.name for thread in new if thread.name == "committer"]

    other = "swm_0000000000_00000000"
    one = await LocalJournal.open(tmp_path, RUN)
    two = await LocalJournal.open(tmp_path, other)
    assert len(committers()) == 1
    await asyncio.gather(*(j.append([note("a")]) for j in (one, two) for _ in range(10)))
    await one.close()
    assert len(await two.append([note("a")])) == 1
    await two.close()
    assert committers() == []
