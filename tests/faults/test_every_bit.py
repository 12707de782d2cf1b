"""A small run with sealed segments and blobs: every cut and every flipped bit of every file.

What is read is the run, or a prefix of it where its open end was torn; anything else is named.
(`tests/adapters/journal/test_recovery.py` does the same for the open segment of a run alone.)
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from codetether_ray.core.errors import JournalError
from codetether_ray.core.events import Record, ToolFinished
from codetether_ray.core.messages import ToolResult
from codetether_ray.disk.files import RealDisk
from codetether_ray.journal.mark import MARK, write_mark
from codetether_ray.journal.reader import read_records
from codetether_ray.journal.recovery import recover
from codetether_ray.journal.segments import list_segments, run_directory
from codetether_ray.local.journal import LocalJournal
from tests.adapters.journal.disks import QuickDisk
from tests.contracts.journal import RUN, note, record

pytestmark = pytest.mark.damages_runs

_BLOB_BYTES = 120


class Run:
    """A run on disk as its writer left it, and its bytes to put back."""

    def __init__(self, data_dir: Path, records: list[Record]) -> None:
        self.data_dir = data_dir
        self.records = records
        self.directory = run_directory(data_dir, RUN)
        self.files = {p: p.read_bytes() for p in self.directory.rglob("*") if p.is_file()}

    def put(self, path: Path, data: bytes) -> None:
        """The run as it was, but for one file."""
        for there in [p for p in self.directory.rglob("*") if p.is_file() and p not in self.files]:
            there.unlink()
        for known, bytes_ in self.files.items():
            if not known.exists() or known.read_bytes() != bytes_:
                known.write_bytes(bytes_)
        path.write_bytes(data)

    def read(self) -> list[Record] | None:
        """The records, or None if damage is named."""
        try:
            return list(read_records(self.data_dir, RUN))
        except JournalError:
            return None

    @property
    def sealed(self) -> Path:
        return next(s.path for s in list_segments(self.directory) if not s.is_open)

    @property
    def open(self) -> Path:
        return next(s.path for s in list_segments(self.directory) if s.is_open)

    @property
    def blob(self) -> Path:
        return next(p for p in self.files if p.parent.name == "blobs")

    @property
    def mark(self) -> Path:
        return self.directory / MARK


@pytest.fixture
async def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    return await make_run(tmp_path, monkeypatch)


async def make_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A run of two segments and a blob, marked to its end."""
    monkeypatch.setattr("codetether_ray.journal.encode.INLINE_BYTES", _BLOB_BYTES)
    journal = await LocalJournal.open(
        tmp_path, RUN, disk=QuickDisk(), segment_bytes=700, clock=lambda: 1_700_000_000.0
    )
    big = ToolResult(call_id="1", name="bash", content="é" * 40)
    given = [note("a", "one"), record("sub/b", ToolFinished(step=0, result=big)), note("a", "\0")]
    records = [(await journal.append([rec]))[0] for rec in given]
    await journal.close()
    made = Run(tmp_path, records)
    assert made.read() == records
    assert made.blob
    return made


def _flips(data: bytes, bit: int) -> Iterator[bytes]:
    """One bit of each byte flipped, byte after byte: bit `at + bit`, so that all turns are all."""
    for at in range(len(data)):
        flipped = bytearray(data)
        flipped[at] ^= 1 << (at + bit) % 8
        yield bytes(flipped)


_EVERY_BIT = pytest.mark.parametrize(
    "bit", [0, *(pytest.param(bit, marks=pytest.mark.full) for bit in range(1, 8))]
)


def _cuts(data: bytes) -> Iterator[bytes]:
    return (data[:length] for length in range(len(data)))


@_EVERY_BIT
def test_every_flipped_bit_of_a_sealed_segment_is_named(run: Run, bit: int) -> None:
    path = run.sealed
    for data in _flips(run.files[path], bit):
        path.write_bytes(data)
        assert run.read() is None


def test_every_cut_of_a_sealed_segment_is_named(run: Run) -> None:
    path = run.sealed
    for data in _cuts(run.files[path]):
        path.write_bytes(data)
        assert run.read() is None


@_EVERY_BIT
def test_every_flipped_bit_of_a_marked_open_segment_is_named(run: Run, bit: int) -> None:
    path = run.open
    for data in _flips(run.files[path], bit):
        path.write_bytes(data)
        assert run.read() is None


@_EVERY_BIT
def test_every_flipped_bit_and_every_cut_of_a_blob_is_named(run: Run, bit: int) -> None:
    path = run.blob
    for data in (*_flips(run.files[path], bit), *_cuts(run.files[path])):
        path.write_bytes(data)
        assert run.read() is None


@_EVERY_BIT
def test_no_flipped_bit_and_no_cut_of_the_mark_hides_a_record(run: Run, bit: int) -> None:
    """The mark is a lower bound: a damaged one says less, never something else."""
    path = run.mark
    for data in (*_flips(run.files[path], bit), *_cuts(run.files[path])):
        path.write_bytes(data)
        assert run.read() == run.records


@_EVERY_BIT
def test_an_open_end_without_a_mark_is_a_prefix_or_named_whatever_bit_is_flipped(
    run: Run, bit: int
) -> None:
    run.mark.unlink()
    path = run.open
    for data in _flips(run.files[path], bit):
        path.write_bytes(data)
        found = run.read()
        assert found is None or found == run.records[: len(found)]


@pytest.mark.parametrize("mark_is_there", [True, False])
def test_recovery_at_every_cut_of_the_open_segment_goes_on_or_refuses(
    run: Run, mark_is_there: bool
) -> None:
    path, refused = run.open, 0
    if not mark_is_there:
        del run.files[run.mark]
    for data in _cuts(run.files[path]):
        run.put(path, data)
        try:
            taken = recover(RUN, run.directory, QuickDisk())
        except JournalError:
            refused += 1
            assert path.read_bytes() == data, "a refused run was changed"
            continue
        found = run.read()
        assert found == run.records[: taken.position.seq]
    assert refused == (len(run.files[path]) if mark_is_there else 0)


def test_a_mark_of_a_longer_run_names_what_is_missing_wherever_the_segments_end(run: Run) -> None:
    """Whole segments are gone from the end: a witness apart from them says so."""
    write_mark(RealDisk(), run.directory, _end(run), 0)
    run.open.unlink()
    assert run.read() is None
    run.sealed.unlink()
    assert run.read() is None


def _end(run: Run):  # type: ignore[no-untyped-def]
    from codetether_ray.journal.scan import RunScan

    scan = RunScan(RUN, run.directory)
    list(scan)
    return scan.position
