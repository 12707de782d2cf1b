"""Compressed, archived and plain segments read the same, whole and by byte range."""

import gzip
import random
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from codetether_ray.core.errors import JournalCorruptError, JournalError
from codetether_ray.core.events import Record, ToolFinished
from codetether_ray.core.messages import ToolResult
from codetether_ray.disk.files import RealDisk
from codetether_ray.journal import members
from codetether_ray.journal.away import note_away
from codetether_ray.journal.check import check_run
from codetether_ray.journal.compress import Compressor, compress_segment, compressible
from codetether_ray.journal.listing import find_run, spending
from codetether_ray.journal.members import index_path
from codetether_ray.journal.reader import read_lines, read_records
from codetether_ray.journal.segments import Segment, list_segments, run_directory
from codetether_ray.local.journal import LocalJournal
from tests.adapters.journal.disks import QuickDisk
from tests.contracts.journal import RUN, note, record

_TEXT = "".join(random.Random(7).choices("abcdefghij \n", k=3000))


@pytest.fixture(autouse=True)
def _small_members(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a small segment has several."""
    monkeypatch.setattr(members, "MEMBER_BYTES", 20_000)


async def _run(data_dir: Path, count: int = 120) -> list[Record]:
    """A run of several segments of about 100 KB, all plain."""
    journal = await LocalJournal.open(data_dir, RUN, segment_bytes=100_000, disk=QuickDisk())
    given: list[Record] = []
    for number in range(count):
        given += await journal.append([note("ab"[number % 2], f"{number} {_TEXT}")])
    await journal.close()
    return given


def _segments(data_dir: Path) -> tuple[Segment, ...]:
    return list_segments(run_directory(data_dir, RUN))


def _compress_all(data_dir: Path) -> None:
    for segment in _segments(data_dir)[:-1]:
        assert compress_segment(segment, RealDisk())


def _stay(data_dir: Path) -> None:
    """Leave the run as it is."""


async def test_plain_zcat_gives_the_segments_bytes(tmp_path: Path) -> None:
    await _run(tmp_path)
    first = _segments(tmp_path)[0]
    data = first.path.read_bytes()
    packed = compress_segment(first, RealDisk())
    assert packed is not None
    assert packed.name == f"{first.name}.gz"
    assert not first.path.exists()
    assert packed.stat().st_size < len(data)
    assert gzip.decompress(packed.read_bytes()) == data
    if shutil.which("zcat"):
        assert subprocess.run(["zcat", packed], capture_output=True, check=True).stdout == data


@pytest.mark.parametrize("prepare", [_stay, _compress_all])
async def test_every_reader_reads_both_forms(
    tmp_path: Path, prepare: Callable[[Path], None]
) -> None:
    given = await _run(tmp_path)
    prepare(tmp_path)
    assert list(read_records(tmp_path, RUN)) == given
    found = check_run(tmp_path, RUN)
    assert (found.problems, found.records) == ((), 120)
    summary = find_run(tmp_path, RUN)
    assert (summary.state, summary.records) == ("interrupted", 120)
    assert spending(tmp_path, RUN).calls == 0
    journal = await LocalJournal.open(tmp_path, RUN)
    assert await journal.read("b") == tuple(given[1::2])
    new = await journal.append([note("a")])
    assert new[0].seq == 120
    await journal.close()


@pytest.mark.parametrize("prepare", [_stay, _compress_all])
async def test_a_range_is_the_lines_that_begin_in_it(
    tmp_path: Path, prepare: Callable[[Path], None]
) -> None:
    await _run(tmp_path)
    places = [(line.place.off, line.place.seq) for line in read_lines(tmp_path, RUN)]
    prepare(tmp_path)
    end = check_run(tmp_path, RUN).bytes
    edges = [off + step for off, _ in places[::7] for step in (-1, 0, 1, 1500)]
    for start in [0, *edges, end - 1, end, end + 10]:
        for until in (None, start, start + 1, start + 30_000, end):
            found = [
                (line.place.off, line.data["seq"])
                for line in read_lines(tmp_path, RUN, start=start, until=until)
            ]
            last = end if until is None else until
            assert found == [place for place in places if start <= place[0] < last]


@pytest.mark.parametrize("prepare", [_stay, _compress_all])
async def test_a_range_opens_only_what_it_needs(
    tmp_path: Path, prepare: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    given = await _run(tmp_path)
    prepare(tmp_path)
    segments = _segments(tmp_path)
    for segment in (*segments[:2], *segments[3:]):
        data = bytearray(segment.path.read_bytes())
        data[:] = bytes(len(data))  # reading any of it would be noticed
        segment.path.write_bytes(bytes(data))
        if segment.form == "gzip":
            index_path(segment.path).unlink()
    third = segments[2]
    found = list(read_records(tmp_path, RUN, start=third.start, until=third.end))
    assert 20 < len(found) < 40
    assert found == given[found[0].seq : found[-1].seq + 1]
    if third.form == "gzip":
        loaded: list[int] = []
        member = members.MemberStream._member
        monkeypatch.setattr(
            members.MemberStream,
            "_member",
            lambda stream, number: loaded.append(number) or member(stream, number),  # type: ignore[func-returns-value]
        )
        middle = (third.start + (third.end or 0)) // 2
        assert len(list(read_records(tmp_path, RUN, start=middle, until=middle + 9000))) == 3
        assert len(loaded) <= 2


async def test_damage_within_a_range_is_named_and_damage_before_it_is_not_read(
    tmp_path: Path,
) -> None:
    await _run(tmp_path)
    second = _segments(tmp_path)[1]
    data = bytearray(second.path.read_bytes())
    data[40_000] ^= 1
    second.path.write_bytes(bytes(data))
    assert list(read_records(tmp_path, RUN, start=second.start + 50_000))
    with pytest.raises(JournalCorruptError, match="checksum") as caught:
        list(read_records(tmp_path, RUN, start=second.start + 30_000))
    assert caught.value.segment == second.path.name
    assert 36_000 < caught.value.offset <= 40_000


async def test_an_index_that_is_missing_or_wrong_is_made_anew(tmp_path: Path) -> None:
    given = await _run(tmp_path)
    _compress_all(tmp_path)
    indexes = sorted(run_directory(tmp_path, RUN).glob("*.gz.index"))
    right = [path.read_bytes() for path in indexes]
    assert len(right) > 2
    indexes[0].unlink()
    indexes[1].write_bytes(right[1][:-9] + right[1][-8:])
    indexes[2].write_bytes(right[0])
    assert list(read_records(tmp_path, RUN)) == given
    assert [path.read_bytes() for path in indexes] == right


async def test_a_flipped_byte_of_a_compressed_segment_is_named(tmp_path: Path) -> None:
    await _run(tmp_path)
    _compress_all(tmp_path)
    second = _segments(tmp_path)[1]
    data = second.path.read_bytes()
    seen = 0
    for at in range(0, len(data), 311):
        changed = bytearray(data)
        changed[at] ^= 0x10
        second.path.write_bytes(bytes(changed))
        found = check_run(tmp_path, RUN)
        if found.is_intact:  # a byte of a gzip header that means nothing (its time, its system)
            assert len(list(read_records(tmp_path, RUN))) == 120
            continue
        seen += 1
        with pytest.raises(JournalCorruptError) as caught:
            list(read_records(tmp_path, RUN))
        assert caught.value.segment == second.path.name == found.problems[0].segment
    assert seen > 20


class _CrashError(BaseException):
    pass


@pytest.mark.parametrize(
    "name", ["written", "flushed", "verified", "renamed", "indexed", "deleted"]
)
async def test_a_crash_between_any_two_steps_leaves_a_readable_run(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = await _run(tmp_path)
    first = _segments(tmp_path)[0]

    def crash(place: str) -> None:
        if place == f"compress.{name}":
            raise _CrashError

    with monkeypatch.context() as patch:
        patch.setattr("codetether_ray.journal.compress.hit", crash)
        with pytest.raises(_CrashError):
            compress_segment(first, RealDisk())
    assert list(read_records(tmp_path, RUN)) == given
    assert check_run(tmp_path, RUN).problems == ()
    if name != "deleted":
        compress_segment(_segments(tmp_path)[0], RealDisk())
    assert _segments(tmp_path)[0].form == "gzip"
    assert list(read_records(tmp_path, RUN)) == given
    assert not list(run_directory(tmp_path, RUN).glob("*.tmp"))


async def test_a_writer_compresses_all_but_the_newest_sealed_segment_meanwhile(
    tmp_path: Path,
) -> None:
    journal = await LocalJournal.open(tmp_path, RUN, segment_bytes=100_000)
    given: list[Record] = []
    for number in range(120):
        given += await journal.append([note("a", f"{number} {_TEXT}")])
    await journal.close()
    compressor = Compressor(run_directory(tmp_path, RUN), RealDisk())
    compressor.wake()
    while compressor._thread is not None:  # what close cut short
        compressor._thread.join()
    forms = [segment.form for segment in _segments(tmp_path)]
    assert forms == ["gzip"] * (len(forms) - 2) + ["plain", "plain"]
    assert compressible(run_directory(tmp_path, RUN)) == []
    assert list(read_records(tmp_path, RUN)) == given


async def test_a_segment_that_does_not_read_back_stays_plain(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await _run(tmp_path)
    first = _segments(tmp_path)[0]
    monkeypatch.setattr("codetether_ray.journal.compress._digest_of", lambda path: "another")
    with pytest.raises(OSError, match="does not hold"):
        compress_segment(first, RealDisk())
    assert _segments(tmp_path)[0] == first


async def test_segments_that_only_the_archive_holds_are_fetched(tmp_path: Path) -> None:
    given = await _run(tmp_path)
    directory, archive = run_directory(tmp_path, RUN), tmp_path / "archive"
    archive.mkdir()
    _compress_all(tmp_path)
    summary = find_run(tmp_path, RUN)
    for segment in _segments(tmp_path)[:3]:
        note_away(segment, segment.path.name)
        segment.path.rename(archive / segment.path.name)
    asked: list[str] = []

    def fetch(run_id: str, name: str, target: Path) -> bool:
        assert run_id == RUN
        asked.append(name)
        shutil.copy(archive / name, target)
        return True

    assert [s.form for s in _segments(tmp_path)[:4]] == ["away", "away", "away", "gzip"]
    assert list(read_records(tmp_path, RUN, fetch=fetch)) == given
    assert len(asked) == 3
    asked.clear()
    second = _segments(tmp_path)[1]
    assert list(read_records(tmp_path, RUN, start=second.start, until=second.end, fetch=fetch))
    assert asked == [f"{second.name}.gz"]
    assert check_run(tmp_path, RUN, fetch=fetch).problems == ()
    with pytest.raises(JournalError, match="codetether archive"):
        list(read_records(tmp_path, RUN))
    with pytest.raises(JournalError, match="in the archive"):
        list(read_records(tmp_path, RUN, fetch=lambda *_: False))
    assert find_run(tmp_path, RUN) == summary
    assert spending(tmp_path, RUN).cost_usd is None
    assert spending(tmp_path, RUN, fetch=fetch).cost_usd == 0
    journal = await LocalJournal.open(tmp_path, RUN, fetch=fetch)
    assert await journal.read() == tuple(given)
    await journal.close()
    assert len(list(directory.glob("*.away"))) == 3


async def test_a_blob_that_only_the_archive_holds_is_fetched_and_checked(tmp_path: Path) -> None:
    big = ToolResult(call_id="1", name="bash", content="x" * 100_000)
    journal = await LocalJournal.open(tmp_path, RUN)
    given = await journal.append([record("a", ToolFinished(step=0, result=big))])
    await journal.close()
    (blob,) = (run_directory(tmp_path, RUN) / "blobs").iterdir()
    data = blob.read_bytes()
    blob.unlink()

    def fetch(run_id: str, name: str, target: Path) -> bool:
        assert name == f"blobs/{blob.name}"
        target.write_bytes(data)
        return True

    assert tuple(read_records(tmp_path, RUN, fetch=fetch)) == given
    data = data[:-1] + b"?"
    with pytest.raises(JournalError, match="damaged"):
        list(read_records(tmp_path, RUN, fetch=fetch))
