from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from codetether_ray.core.errors import JournalCorruptError, JournalError
from codetether_ray.core.events import Record, ToolFinished
from codetether_ray.core.messages import ToolResult
from codetether_ray.disk.files import RealDisk
from codetether_ray.journal.encode import members, restore
from codetether_ray.journal.lines import after, frame
from codetether_ray.journal.mark import write_mark
from codetether_ray.journal.reader import read_records
from codetether_ray.journal.recovery import Recovered, recover
from codetether_ray.journal.scan import RunScan
from codetether_ray.journal.segments import list_segments, sealed_name
from codetether_ray.local.journal import LocalJournal
from tests.adapters.journal.disks import QuickDisk
from tests.adapters.journal.streams import Written, small_run
from tests.contracts.journal import RUN, note, record


def _run(data_dir: Path) -> Written:
    return Written(data_dir, [[rec] for rec in small_run()])


def _recover(written: Written) -> Recovered:
    return recover(RUN, written.directory, QuickDisk())


def _records(written: Written) -> list[Record]:
    scan = RunScan(RUN, written.directory)
    return [restore(line.data, written.directory) for line in scan if not line.is_control]


def _start_again(written: Written, data: bytes) -> None:
    """The run as it was, but with `data` in its open segment."""
    for path in written.directory.iterdir():
        if path.is_file() and path.name not in ("mark", "gen.1"):
            path.unlink()
    written.segment.write_bytes(data)


def test_at_every_truncation_offset_the_whole_lines_survive_and_the_rest_is_cut(
    tmp_path: Path,
) -> None:
    written = _run(tmp_path)
    for length in range(len(written.data) + 1):
        _start_again(written, written.data[:length])
        taken = _recover(written)
        kept = written.within(length)
        assert list(taken.index.read(taken.index.places(None))) == kept
        assert taken.position.seq == len(kept)
        if length % 8 == 0:
            assert _records(written) == kept
            again = _recover(written)
            assert (again.position, again.adopted) == (taken.position, {})
        assert (
            b"".join(s.path.read_bytes() for s in list_segments(written.directory))
            == (written.data[: taken.position.off])
        )
        cut = written.data[taken.position.off : length]
        torn = [p.read_bytes() for p in written.directory.glob("torn-*")]
        assert torn == ([cut] if cut else [])


def test_no_acknowledged_byte_is_cut_at_any_truncation_offset(tmp_path: Path) -> None:
    written = _run(tmp_path)
    acked = written.marks[1]
    write_mark(RealDisk(), written.directory, acked, 0)
    for length in range(len(written.data) + 1):
        _start_again(written, written.data[:length])
        if length < acked.off:
            with pytest.raises(JournalCorruptError):
                _recover(written)
            assert written.segment.read_bytes() == written.data[:length]
        else:
            _recover(written)
            assert _records(written) == written.within(length)


def test_every_flipped_byte_of_an_acknowledged_run_is_named(tmp_path: Path) -> None:
    written = _run(tmp_path)
    write_mark(RealDisk(), written.directory, written.marks[-1], 0)
    ends = [0, *written.line_ends]
    first_line = written.data.index(b"\n") + 1
    for at in range(len(written.data)):
        data = bytearray(written.data)
        data[at] ^= 1 << at % 8
        _start_again(written, bytes(data))
        with pytest.raises(JournalCorruptError) as caught:
            _recover(written)
        line = 0 if at < first_line else max(end for end in [first_line, *ends] if end <= at)
        assert caught.value.offset == line
        assert caught.value.segment == written.segment.name
        assert written.segment.read_bytes() == bytes(data)


def test_a_flipped_byte_with_a_whole_line_behind_it_is_named_without_any_mark(
    tmp_path: Path,
) -> None:
    written = _run(tmp_path)
    for at in range(written.line_ends[-2] - 1):
        data = bytearray(written.data)
        data[at] ^= 0x40
        _start_again(written, bytes(data))
        with pytest.raises(JournalCorruptError):
            _recover(written)


def test_a_flipped_byte_in_a_sealed_segment_is_named(tmp_path: Path) -> None:
    written = _run(tmp_path)
    _recover(written)
    (segment,) = list_segments(written.directory)
    assert not segment.is_open
    data = bytearray(written.data)
    data[-5] ^= 1
    segment.path.write_bytes(bytes(data))
    with pytest.raises(JournalCorruptError, match="checksum"):
        list(read_records(tmp_path, RUN))
    segment.path.write_bytes(written.data[: written.line_ends[-2]])
    with pytest.raises(JournalCorruptError, match="too early"):
        list(read_records(tmp_path, RUN))


def test_a_missing_segment_is_named(tmp_path: Path) -> None:
    written = _run(tmp_path)
    middle = written.line_ends[1]
    first = written.segment.with_name(sealed_name(written.segment.name, middle))
    second = written.segment.with_name(
        written.segment.name.replace(f"{0:020}-open", f"{middle:020}-open")
    )
    first.write_bytes(written.data[:middle])
    second.write_bytes(written.data[middle:])
    written.segment.unlink()
    assert list(read_records(tmp_path, RUN)) == written.records
    first.unlink()
    with pytest.raises(JournalCorruptError, match="missing"):
        list(read_records(tmp_path, RUN))


def test_bytes_of_a_fenced_writer_behind_a_seal_are_not_read(tmp_path: Path) -> None:
    written = _run(tmp_path)
    _recover(written)
    (segment,) = list_segments(written.directory)
    with segment.path.open("ab") as file:
        file.write(b'{"v":1,"from":"a zombie"}\n')
    assert list(read_records(tmp_path, RUN)) == written.records


def test_a_line_of_an_older_generation_behind_a_newer_is_named(tmp_path: Path) -> None:
    written = _run(tmp_path)
    at = written.marks[-1]
    for generation, text in ((2, "taker"), (1, "zombie")):
        members_text, _, _ = members(note("a", text), 9)
        line = frame(at, generation, members_text)
        at = after(at, line, is_control=False)
        with written.segment.open("ab") as file:
            file.write(line)
    write_mark(RealDisk(), written.directory, at, 0)
    with pytest.raises(JournalCorruptError, match="generation 1 is older"):
        list(read_records(tmp_path, RUN))


def test_a_lost_blob_is_named(tmp_path: Path) -> None:
    big = ToolResult(call_id="1", name="bash", content="x" * 100_000)
    written = Written(tmp_path, [[record("a", ToolFinished(step=0, result=big))]])
    assert list(read_records(tmp_path, RUN)) == written.records
    (blob,) = (written.directory / "blobs").iterdir()
    blob.write_bytes(blob.read_bytes()[:-1] + b"?")
    with pytest.raises(JournalError, match="damaged"):
        list(read_records(tmp_path, RUN))
    blob.unlink()
    with pytest.raises(JournalError, match="cannot be read"):
        list(read_records(tmp_path, RUN))


@given(
    st.lists(
        st.lists(st.tuples(st.sampled_from("ab"), st.text(max_size=30)), min_size=1, max_size=3),
        min_size=1,
        max_size=6,
    ),
    st.data(),
)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_run_cut_anywhere_beyond_its_mark_keeps_what_was_acknowledged(
    tmp_path_factory: pytest.TempPathFactory,
    batches: list[list[tuple[str, str]]],
    data: st.DataObject,
) -> None:
    made = [[note(agent, text) for agent, text in batch] for batch in batches]
    written = Written(tmp_path_factory.mktemp("run"), made)
    acked = data.draw(st.integers(0, len(written.marks) - 1))
    write_mark(RealDisk(), written.directory, written.marks[acked], acked)
    length = data.draw(st.integers(written.marks[acked].off, len(written.data)))
    garbage = data.draw(st.binary(max_size=20))
    _start_again(written, written.data[:length] + garbage)
    torn = (written.data[:length] + garbage)[len(written.data) :]
    taken = _recover(written)
    kept = _records(written)
    assert kept[: written.marks[acked].seq] == written.records[: written.marks[acked].seq]
    assert kept == written.records[: len(kept)]
    assert taken.agent_seqs == {
        agent: sum(rec.agent == agent for rec in kept) for agent in {rec.agent for rec in kept}
    }
    assert length < len(written.data) or len(kept) == len(written.records) or torn


async def test_a_run_with_a_torn_tail_goes_on_where_it_was_cut(tmp_path: Path) -> None:
    written = _run(tmp_path)
    written.segment.write_bytes(written.data[:-3])
    journal = await LocalJournal.open(tmp_path, RUN)
    new = await journal.append([note("a", "new")])
    await journal.close()
    kept = written.records[:-1]
    assert list(read_records(tmp_path, RUN)) == [*kept, *new]
    assert new[0].seq == len(kept)
    (torn,) = written.directory.glob("torn-*")
    assert torn.read_bytes() == written.data[written.line_ends[-2] : -3]
