"""A writer of small segments is killed where it seals and compresses them, and in recovery."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from codetether_ray.journal.reader import read_records
from codetether_ray.journal.segments import list_segments, run_directory
from tests.contracts.journal import RUN
from tests.faults.failpoints import hits

_ROOT = Path(__file__).parents[2]
_SEGMENT_BYTES = "8000"
_COUNT = 60

POINTS = (
    *("blob.stored", "blob.named", "seal.renamed", "journal.named", "journal.marked"),
    *("compress.written", "compress.flushed", "compress.verified"),
    *("compress.renamed", "compress.indexed", "compress.deleted"),
)
_IN_RECOVERY = ("generation.raised", "tail.kept", "tail.read", "tail.flushed", "tail.renamed")


def _write(data_dir: Path, count: int, length: int = 200, **env: str) -> tuple[int, list[int]]:
    """Exit code of a writer, and the numbers that it was promised."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.faults.writer", str(data_dir), str(count), str(length)],
        cwd=_ROOT,
        env={**os.environ, "SEGMENT_BYTES": _SEGMENT_BYTES, **env},
        capture_output=True,
        text=True,
        timeout=60,
    )
    return done.returncode, [int(line) for line in done.stdout.split()]


def _is_whole(data_dir: Path, promised: list[int]) -> None:
    found = [record.seq for record in read_records(data_dir, RUN)]
    assert found == list(range(len(found)))
    assert set(promised) <= set(found), "what was promised is lost"
    assert len(set(promised)) == len(promised), "a number was promised twice"


def test_a_writer_of_small_segments_passes_every_point_of_them(tmp_path: Path) -> None:
    log = tmp_path / "log"
    code, promised = _write(tmp_path, _COUNT, CODETETHER_FAILPOINT_LOG=str(log))
    assert (code, promised) == (0, list(range(_COUNT)))
    segment = list_segments(run_directory(tmp_path, RUN))[-1].path
    with segment.open("ab") as file:
        file.write(b'{"v":1,"seq":')  # torn
    assert _write(tmp_path, 1, 70_000, CODETETHER_FAILPOINT_LOG=str(log))[0] == 0
    passed = hits(log)
    assert set(POINTS) | set(_IN_RECOVERY) <= set(passed)
    assert {p for p in passed if p.startswith(("seal.", "compress.", "blob."))} <= set(POINTS)
    assert {p for p in passed if p.startswith(("tail.", "generation."))} <= set(_IN_RECOVERY)


@pytest.mark.parametrize(
    ("point", "time"),
    [
        pytest.param(point, time, marks=pytest.mark.matrix if time == 1 else pytest.mark.full)
        for point in POINTS
        for time in (1, 2)
    ],
)
def test_a_crash_between_segments_loses_nothing(tmp_path: Path, point: str, time: int) -> None:
    length = 70_000 if point.startswith("blob.") else 200
    count = 4 if length > 200 else _COUNT
    code, first = _write(tmp_path, count, length, CODETETHER_FAILPOINT=f"{point}:{time}")
    assert code == (-signal.SIGKILL)
    _is_whole(tmp_path, first)
    code, second = _write(tmp_path, 20)
    assert code == 0
    _is_whole(tmp_path, first + second)


@pytest.mark.matrix
@pytest.mark.parametrize("again", _IN_RECOVERY)
def test_a_crash_in_recovery_loses_nothing(tmp_path: Path, again: str) -> None:
    code, first = _write(tmp_path, _COUNT, CODETETHER_FAILPOINT="journal.written:20")
    assert code == -signal.SIGKILL
    segment = list_segments(run_directory(tmp_path, RUN))[-1].path
    with segment.open("ab") as file:
        file.write(b'{"v":1,"seq":')
    for _ in range(2):
        code, none = _write(tmp_path, 5, CODETETHER_FAILPOINT=f"{again}:1")
        _is_whole(tmp_path, first + none)
        first += none
    code, last = _write(tmp_path, 5)
    assert code == 0
    _is_whole(tmp_path, first + last)
