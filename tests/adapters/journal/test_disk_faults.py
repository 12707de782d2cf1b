import asyncio
import errno
import itertools
from pathlib import Path

import pytest

from codetether_ray.core.errors import JournalError
from codetether_ray.journal.reader import read_records
from codetether_ray.journal.segments import list_segments, run_directory
from codetether_ray.local.journal import LocalJournal
from tests.adapters.journal.disks import ScriptedDisk
from tests.contracts.journal import RUN, note, record


async def test_a_full_disk_fails_the_append_and_everything_after_it(tmp_path: Path) -> None:
    disk = ScriptedDisk()
    journal = await LocalJournal.open(tmp_path, RUN, disk=disk)
    acked = [(await journal.append([note("a", str(n))]))[0] for n in range(3)]
    disk.bytes_left = 40
    results = await asyncio.gather(
        *(journal.append([note("b")]) for _ in range(3)), return_exceptions=True
    )
    assert all(isinstance(r, JournalError) for r in results)
    assert "disk is full" in str(results[0])
    disk.bytes_left = None
    with pytest.raises(JournalError):
        await journal.append([note("a")])
    assert await journal.read() == tuple(acked)
    await journal.close()
    (segment,) = list_segments(run_directory(tmp_path, RUN))
    assert segment.path.read_bytes().endswith(b"\n")
    journal = await LocalJournal.open(tmp_path, RUN)
    assert await journal.read() == tuple(acked)
    assert (await journal.append([note("a")]))[0].seq == 3
    await journal.close()


async def test_a_failed_flush_is_final_even_if_the_next_would_work(tmp_path: Path) -> None:
    disk, hours = ScriptedDisk(), itertools.count(0, 3600)
    journal = await LocalJournal.open(tmp_path, RUN, disk=disk, clock=lambda: float(next(hours)))
    acked = await journal.append([note("a")])
    disk.failures["sync"] = errno.EIO
    with pytest.raises(JournalError, match="could not be written"):
        await journal.append([note("a")])
    disk.failures.clear()
    done = list(disk.log)
    with pytest.raises(JournalError):
        await journal.append([note("a")])
    assert disk.log == done
    await journal.close()
    assert tuple(read_records(tmp_path, RUN)) == acked


async def test_short_writes_are_completed(tmp_path: Path) -> None:
    disk = ScriptedDisk()
    disk.longest_write = 7
    journal = await LocalJournal.open(tmp_path, RUN, disk=disk)
    given = await journal.append([note("a", "é" * 50), note("b")])
    assert await journal.read() == given
    await journal.close()


async def test_nothing_is_acknowledged_or_readable_before_its_flush(tmp_path: Path) -> None:
    disk = ScriptedDisk()
    journal = await LocalJournal.open(tmp_path, RUN, disk=disk)
    await journal.append([note("a")])
    disk.gate.clear()
    waiting = asyncio.ensure_future(journal.append([note("a")]))
    while disk.log[-1][0] != "sync":
        await asyncio.sleep(0)
    assert not waiting.done()
    assert len(await journal.read()) == 1
    disk.gate.set()
    await waiting
    assert len(await journal.read()) == 2
    await journal.close()


async def test_what_waits_during_a_flush_shares_the_next_one(tmp_path: Path) -> None:
    disk = ScriptedDisk()
    journal = await LocalJournal.open(tmp_path, RUN, disk=disk)
    disk.gate.clear()
    first = asyncio.ensure_future(journal.append([note("a")]))
    while not disk.log or disk.log[-1][0] != "sync":
        await asyncio.sleep(0)
    rest = [asyncio.ensure_future(journal.append([note("b")])) for _ in range(100)]
    await asyncio.sleep(0)
    disk.gate.set()
    await asyncio.gather(first, *rest)
    flushes = [operation for operation, _ in disk.log].count("sync")
    assert flushes == 2
    await journal.close()


async def test_names_are_durable_before_the_first_acknowledgement_of_a_segment(
    tmp_path: Path,
) -> None:
    disk = ScriptedDisk()
    journal = await LocalJournal.open(tmp_path, RUN, disk=disk, segment_bytes=300)
    for _ in range(6):
        mark = len(disk.log)
        await journal.append([note("a")])
        done = disk.log[mark:]
        made = [n for n, (operation, _) in enumerate(done) if operation == "create"]
        flushed = [n for n, entry in enumerate(done) if entry == ("sync_directory", RUN)]
        assert bool(made) == bool(flushed)
        assert not made or made[-1] < flushed[-1]
    assert ("sync_directory", "events") in disk.log
    await journal.close()


async def test_a_blob_is_flushed_and_named_before_the_line_that_names_it(tmp_path: Path) -> None:
    from codetether_ray.core.events import ToolFinished
    from codetether_ray.core.messages import ToolResult

    disk = ScriptedDisk()
    journal = await LocalJournal.open(tmp_path, RUN, disk=disk)
    await journal.append([note("a")])
    mark = len(disk.log)
    big = ToolResult(call_id="1", name="bash", content="x" * 70_000)
    await journal.append([record("a", ToolFinished(step=0, result=big))])
    operations = [operation for operation, _ in disk.log[mark:]]
    assert operations == [
        *("create", "write", "sync", "rename", "sync_directory", "sync_directory"),
        *("write", "sync"),
    ]
    await journal.append([record("a", ToolFinished(step=1, result=big))])
    assert len(list((run_directory(tmp_path, RUN) / "blobs").iterdir())) == 2
    await journal.close()


@pytest.mark.parametrize("operation", ["create", "sync_directory", "rename"])
async def test_a_disk_that_refuses_a_new_segment_fails_the_append(
    tmp_path: Path, operation: str
) -> None:
    disk = ScriptedDisk()
    journal = await LocalJournal.open(tmp_path, RUN, disk=disk, segment_bytes=300)
    acked = await journal.append([note("a")])
    disk.failures[operation] = errno.EIO
    with pytest.raises(JournalError):
        await journal.append([note("a")])
    await journal.close()
    journal = await LocalJournal.open(tmp_path, RUN)
    kept = await journal.read()
    assert kept[:1] == acked
    assert (await journal.append([note("a")]))[0].seq == len(kept)
    await journal.close()
