"""`check_run` names everything that is wrong with a run."""

import zlib
from pathlib import Path

import pytest

from codetether_ray.core.errors import UnknownRunError
from codetether_ray.core.events import ToolFinished
from codetether_ray.core.messages import ToolResult
from codetether_ray.disk.files import RealDisk
from codetether_ray.journal.check import Integrity, check_run
from codetether_ray.journal.mark import write_mark
from codetether_ray.journal.segments import Segment, list_segments, run_directory
from codetether_ray.local.journal import LocalJournal
from tests.adapters.journal.streams import Written, small_run
from tests.contracts.journal import RUN, note, record


async def _segments(data_dir: Path, count: int = 30) -> tuple[Segment, ...]:
    """A run of several segments, closed."""
    journal = await LocalJournal.open(data_dir, RUN, segment_bytes=2000)
    for number in range(count):
        await journal.append([note("a", str(number))])
    await journal.close()
    return list_segments(run_directory(data_dir, RUN))


def _kinds(found: Integrity) -> set[str]:
    return {problem.kind for problem in found.problems}


def _flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 0x01
    path.write_bytes(bytes(data))


async def test_a_sound_run_has_no_problem(tmp_path: Path) -> None:
    segments = await _segments(tmp_path)
    found = check_run(tmp_path, RUN)
    assert found.is_intact
    assert found.problems == ()
    assert (found.records, found.segments) == (30, len(segments))
    assert found.bytes == sum(s.path.stat().st_size for s in segments)


def test_a_run_that_is_not_there_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(UnknownRunError):
        check_run(tmp_path, RUN)


def test_every_flipped_byte_is_named_where_it_is(tmp_path: Path) -> None:
    written = Written(tmp_path, [[rec] for rec in small_run()])
    write_mark(RealDisk(), written.directory, written.marks[-1], 0)
    starts = [0, written.data.index(b"\n") + 1, *written.line_ends[:-1]]
    for at in range(len(written.data)):
        data = bytearray(written.data)
        data[at] ^= 1 << at % 8
        written.segment.write_bytes(bytes(data))
        found = check_run(tmp_path, RUN)
        assert not found.is_intact
        line = max(start for start in starts if start <= at)
        assert found.problems[0].offset == line
        assert found.problems[0].segment == written.segment.name


async def test_each_of_several_damages_is_named(tmp_path: Path) -> None:
    first, second, *_, last = await _segments(tmp_path)
    _flip(first.path, 700)
    _flip(second.path, 700)
    _flip(last.path, 10)
    found = check_run(tmp_path, RUN)
    assert {p.segment for p in found.problems if p.kind == "line"} == {
        segment.path.name for segment in (first, second, last)
    }
    assert found.records > 20


async def test_a_changed_line_with_a_new_checksum_breaks_the_chain_and_the_seal(
    tmp_path: Path,
) -> None:
    first, *_ = await _segments(tmp_path)
    raw = first.path.read_bytes().splitlines(keepends=True)
    body = raw[1].replace(b'"0"', b'"7"').rsplit(b',"crc"', 1)[0]
    assert body != raw[1].rsplit(b',"crc"', 1)[0]
    raw[1] = body + b',"crc":"%08x"}\n' % zlib.crc32(body)
    first.path.write_bytes(b"".join(raw))
    found = check_run(tmp_path, RUN)
    assert _kinds(found) == {"chain", "seal"}
    assert found.problems[0].offset == len(raw[0]) + len(raw[1])


async def test_the_last_acknowledged_line_changed_with_its_checksum_is_named(
    tmp_path: Path,
) -> None:
    *_, last = await _segments(tmp_path)
    raw = last.path.read_bytes().splitlines(keepends=True)
    body = raw[-1].replace(b'"29"', b'"92"').rsplit(b',"crc"', 1)[0]
    raw[-1] = body + b',"crc":"%08x"}\n' % zlib.crc32(body)
    last.path.write_bytes(b"".join(raw))
    (problem,) = check_run(tmp_path, RUN).problems
    assert problem.kind == "chain"
    assert "acknowledged" in problem.detail


async def test_a_missing_segment_is_named_and_the_rest_is_checked(tmp_path: Path) -> None:
    _, second, third, *_ = await _segments(tmp_path)
    second.path.unlink()
    (problem,) = check_run(tmp_path, RUN).problems
    assert (problem.kind, problem.segment) == ("missing", third.path.name)


async def test_a_cut_end_is_missing_and_a_torn_one_is_not_damage(tmp_path: Path) -> None:
    *_, last = await _segments(tmp_path)
    data = last.path.read_bytes()
    last.path.write_bytes(data + b'{"v":1,"seq":30')
    found = check_run(tmp_path, RUN)
    assert _kinds(found) == {"torn"}
    assert found.is_intact
    last.path.write_bytes(data[: data.rindex(b"\n", 0, -1) + 1])
    assert _kinds(check_run(tmp_path, RUN)) == {"missing"}


async def test_a_changed_blob_is_named_with_the_line_that_needs_it(tmp_path: Path) -> None:
    journal = await LocalJournal.open(tmp_path, RUN)
    big = ToolResult(call_id="1", name="bash", content="x" * 100_000)
    await journal.append([note("a"), record("a", ToolFinished(step=0, result=big))])
    await journal.close()
    assert check_run(tmp_path, RUN).blobs == 1
    (blob,) = (run_directory(tmp_path, RUN) / "blobs").iterdir()
    _flip(blob, 5)
    (problem,) = check_run(tmp_path, RUN).problems
    assert problem.kind == "blob"
    assert problem.offset > 0


async def test_bytes_behind_a_seal_are_a_zombies_and_no_damage(tmp_path: Path) -> None:
    first, *_ = await _segments(tmp_path)
    with first.path.open("ab") as file:
        file.write(b"late\n")
    found = check_run(tmp_path, RUN)
    assert _kinds(found) == {"zombie"}
    assert found.is_intact
