"""What the kernel does: a failing flush, a short write, a full disk, a stopped writer."""

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from codetether_ray.core.errors import RunBusyError
from codetether_ray.core.events import Record
from codetether_ray.journal.lease import LEASE, LEASE_VARIABLE
from codetether_ray.journal.lock import read_holder
from codetether_ray.journal.reader import read_records
from codetether_ray.journal.segments import run_directory
from codetether_ray.local.journal import LocalJournal
from tests.contracts.journal import RUN, note

_ROOT = Path(__file__).parents[2]
_STRACE = shutil.which("strace")
_MANY = 1_000_000


def _program(data_dir: Path, count: int, length: int = 0) -> list[str]:
    return [sys.executable, "-m", "tests.faults.writer", str(data_dir), str(count), str(length)]


def _run(
    arguments: list[str], *, timeout_s: float = 60, **env: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        arguments,
        cwd=_ROOT,
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        timeout=timeout_s,
    )


def _promised(out: str) -> list[int]:
    return [int(line) for line in out.split("\n") if line.isdigit()]


async def _goes_on(data_dir: Path, promised: list[int]) -> list[Record]:
    """Everything promised is there, and the next writer goes on behind it."""
    journal = await LocalJournal.open(data_dir, RUN)
    kept = await journal.read()
    assert [record.seq for record in kept] == list(range(len(kept)))
    assert promised == list(range(len(promised)))
    assert len(kept) >= len(promised)
    assert (await journal.append([note("a", "next")]))[0].seq == len(kept)
    await journal.close()
    return list(read_records(data_dir, RUN))


def _can_trace() -> bool:
    if _STRACE is None:
        return False
    done = subprocess.run([_STRACE, "-o", os.devnull, "true"], capture_output=True)
    return done.returncode == 0


@pytest.mark.skipif(not _can_trace(), reason="strace is not here, or may trace nothing")
@pytest.mark.parametrize("when", [1, 3, pytest.param(6, marks=pytest.mark.matrix)])
async def test_a_flush_that_fails_once_is_final_and_loses_no_promise(
    tmp_path: Path, when: int
) -> None:
    assert _STRACE is not None
    inject = f"inject=fdatasync:error=EIO:when={when}"
    tracer = [_STRACE, "-f", "-qq", "-o", os.devnull, "-e", "trace=fdatasync", "-e", inject]
    done = _run([*tracer, *_program(tmp_path, 20)])
    assert done.returncode == 3, done.stderr
    assert "refused: " in done.stdout
    assert "again: " in done.stdout
    assert len(_promised(done.stdout)) < 20
    await _goes_on(tmp_path, _promised(done.stdout))


@pytest.mark.skipif(not _can_trace(), reason="strace is not here, or may trace nothing")
async def test_a_directory_that_cannot_be_flushed_promises_nothing(tmp_path: Path) -> None:
    assert _STRACE is not None
    inject = "inject=fsync:error=EIO:when=2+"
    tracer = [_STRACE, "-f", "-qq", "-o", os.devnull, "-e", "trace=fsync", "-e", inject]
    done = _run([*tracer, *_program(tmp_path, 5)])
    assert done.returncode == 3, done.stdout + done.stderr
    assert _promised(done.stdout) == []
    await _goes_on(tmp_path, [])


@pytest.mark.parametrize("limit", [2_000, 3_333, 5_001])
async def test_a_short_write_is_cut_off_and_what_was_promised_before_it_stays(
    tmp_path: Path, limit: int
) -> None:
    done = _run(_program(tmp_path, 40, 100), FILE_BYTES=str(limit))
    assert done.returncode == 3, done.stdout + done.stderr
    promised = _promised(done.stdout)
    assert 0 < len(promised) < 40
    kept = await _goes_on(tmp_path, promised)
    assert len(kept) == len(promised) + 1  # nothing of what was cut off is taken for a record


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MB."""
    place = tmp_path / "small"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(place)], capture_output=True
    )
    if mounted.returncode:
        pytest.skip(f"nothing may be mounted here: {mounted.stderr.decode().strip()}")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


async def test_a_full_disk_stops_the_run_in_a_sentence_and_it_goes_on_with_room(
    small_disk: Path,
) -> None:
    (small_disk / "other").write_bytes(b"\0" * 400_000)
    done = _run(_program(small_disk, _MANY, 5_000))
    assert done.returncode == 3, done.stdout + done.stderr
    assert "the disk is full" in done.stdout
    promised = _promised(done.stdout)
    assert promised
    (small_disk / "other").unlink()
    await _goes_on(small_disk, promised)


async def test_a_writer_that_is_stopped_past_its_lease_is_replaced_and_promises_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(LEASE_VARIABLE, "0.5")
    process = await asyncio.create_subprocess_exec(
        *_program(tmp_path, _MANY),
        cwd=_ROOT,
        env={**os.environ, LEASE_VARIABLE: "0.5"},
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    first = [int(await process.stdout.readline()) for _ in range(5)]
    with pytest.raises(RunBusyError, match=f"process {process.pid} on "):
        await LocalJournal.open(tmp_path, RUN)
    process.send_signal(signal.SIGSTOP)
    await _until_stale(run_directory(tmp_path, RUN), 0.5)
    journal = await LocalJournal.open(tmp_path, RUN)
    taken = await journal.read()
    holder = read_holder(run_directory(tmp_path, RUN))
    assert holder is not None
    assert holder.pid == os.getpid()
    with contextlib.suppress(ProcessLookupError):  # the taker has ended it
        process.send_signal(signal.SIGCONT)
    rest = _promised((await process.stdout.read()).decode())
    await process.wait()
    promised = [*first, *rest]
    assert promised == list(range(len(promised)))
    assert len(promised) <= len(taken), "the woken writer was promised something"
    assert (await journal.append([note("b")]))[0].seq == len(taken)
    await journal.close()


async def _until_stale(directory: Path, stale_s: float) -> None:
    """Make the lease old, instead of waiting: the writer is stopped and cannot renew it."""
    old = (directory / LEASE).stat().st_mtime - 10 * stale_s
    os.utime(directory / LEASE, (old, old))
