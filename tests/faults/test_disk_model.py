"""The journal's own code on a disk that forgets what was not flushed, fails and is pulled out."""

import itertools
import os
import shutil
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from codetether_ray.core.errors import JournalError
from codetether_ray.core.events import Record
from codetether_ray.journal.options import Options
from codetether_ray.journal.reader import read_records
from codetether_ray.journal.segments import list_segments, run_directory
from codetether_ray.journal.writer import RunWriter
from tests.contracts.journal import RUN, note
from tests.faults.disk_model import Everything, ModelDisk, Nothing, Operation

_FAULTS: tuple[Operation, ...] = (
    "sync",
    "write",
    "create",
    "rename",
    "sync_directory",
    "truncate",
    "open",
)
_SEGMENT_BYTES = 900
_MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # nothing here needs a device
_BLOB_BYTES = 200  # instead of 64 KiB: a small run has blobs, too


class DrawnLuck:
    """Hypothesis chooses what is left, and shrinks it to what matters."""

    def __init__(self, data: st.DataObject) -> None:
        self._data = data

    def keeps_name(self) -> bool:
        return self._data.draw(st.booleans(), "keeps name")

    def of_write(self, length: int) -> tuple[int, int]:
        how = self._data.draw(st.sampled_from(("lost", "whole", "torn", "zeros")), "write")
        if how == "lost" or not length:
            return 0, 0
        if how == "whole":
            return length, 0
        whole = self._data.draw(st.integers(0, length - 1), "torn at")
        return whole, length - whole if how == "zeros" else 0


class JournalOnABadDisk(RuleBasedStateMachine):
    """Writers come and go on one run; whatever one of them promised is there for the next."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="disk-model-", dir=_MEMORY))
        self.boots = itertools.count()
        self.clock = itertools.count(1_700_000_000)
        self.texts = itertools.count()
        self.promised: dict[int, Record] = {}
        self.writer: RunWriter | None = None
        self.has_failed = False
        self.zombies: list[RunWriter] = []
        self.blobs = mock.patch("codetether_ray.journal.encode.INLINE_BYTES", _BLOB_BYTES)
        self.blobs.start()
        self._boot(None)

    # -- rules ------------------------------------------------------------------------------------

    @precondition(lambda self: self.writer is None)
    @rule()
    def open(self) -> None:
        self.disk.heal()
        self.writer, self.has_failed = self._open(), False
        self._check()

    @precondition(lambda self: self.writer is not None)
    @rule(lengths=st.lists(st.integers(0, 400), min_size=1, max_size=3))
    def append(self, lengths: list[int]) -> None:
        assert self.writer is not None
        kept = self._append(self.writer, lengths)
        if self.has_failed:
            assert kept is None, "a writer that had failed promised something"
        if kept is None:
            self.has_failed = True
            return
        for record in kept:
            assert record.seq not in self.promised, "two generations promised one number"
            self.promised[record.seq] = record

    @precondition(lambda self: self.writer is not None)
    @rule(operation=st.sampled_from(_FAULTS))
    def fail(self, operation: Operation) -> None:
        self.disk.fail_next(operation)

    @precondition(lambda self: self.writer is not None)
    @rule(longest=st.integers(1, 50))
    def write_short(self, longest: int) -> None:
        self.disk.longest_write = longest

    @precondition(lambda self: self.writer is not None)
    @rule(left=st.integers(0, 700))
    def fill_up(self, left: int) -> None:
        self.disk.bytes_left = left

    @precondition(lambda self: self.writer is not None)
    @rule()
    def close(self) -> None:
        assert self.writer is not None
        self.writer.close()
        self.writer = None

    @precondition(lambda self: self.writer is not None)
    @rule()
    def fail_to_open_twice(self) -> None:
        """Recovery itself meets a fault; the next one finds what was promised."""
        assert self.writer is not None
        self.writer.close()
        self.writer = None
        for operation in ("open", "sync", "rename"):
            self.disk.heal()
            self.disk.fail_next(operation)  # type: ignore[arg-type]
            try:
                self.writer = self._open()
            except JournalError:
                continue
            self.has_failed = False
            break

    @precondition(lambda self: self.writer is not None)
    @rule()
    def is_taken_over(self) -> None:
        """The writer hangs; another takes the run from it, and then it wakes up."""
        assert self.writer is not None
        self.disk.heal()
        self.zombies.append(self.writer)
        self.writer._lock.release()
        self.writer, self.has_failed = self._open(), False
        self._check()

    @precondition(lambda self: self.zombies)
    @rule(which=st.integers(0, 9), length=st.integers(0, 400))
    def a_zombie_appends(self, which: int, length: int) -> None:
        zombie = self.zombies[which % len(self.zombies)]
        assert self._append(zombie, [length]) is None, "a zombie promised something"

    @rule(data=st.data())
    def lose_power(self, data: st.DataObject) -> None:
        self._boot(DrawnLuck(data))

    @rule(keeps=st.booleans())
    def lose_power_at_its_worst_or_best(self, keeps: bool) -> None:
        self._boot(Everything() if keeps else Nothing())

    def teardown(self) -> None:
        try:
            self._boot(Nothing())
            self.open()
        finally:
            self._end_writers()
            self.blobs.stop()
            shutil.rmtree(self.folder)

    # -- steps ------------------------------------------------------------------------------------

    def _boot(self, luck: DrawnLuck | Nothing | Everything | None) -> None:
        root = self.folder / f"boot-{next(self.boots)}"
        (root / "data").mkdir(parents=True)
        if luck is not None:
            (root / "data").rmdir()
            self.disk.crash(root, luck)
        self._end_writers()
        self.disk, self.data_dir = ModelDisk(root), root / "data"

    def _end_writers(self) -> None:
        for writer in (self.writer, *self.zombies):
            if writer is not None:
                writer.close()
        self.writer, self.zombies = None, []

    def _open(self) -> RunWriter:
        return RunWriter(
            self.data_dir,
            RUN,
            options=Options(
                segment_bytes=_SEGMENT_BYTES,
                disk=self.disk,
                clock=lambda: float(next(self.clock)),
            ),
        )

    def _append(self, writer: RunWriter, lengths: Sequence[int]) -> Sequence[Record] | None:
        """The numbered records, or None if they were refused."""
        done, outcome = threading.Event(), list[Exception | None]()

        def told(_: Sequence[object], failure: Exception | None) -> None:
            outcome.append(failure)
            done.set()

        given = [note("ab"[n % 2], f"{next(self.texts)} " + "é" * n) for n in lengths]
        try:
            chunk = writer.add(given)
            writer.submit(chunk, told)
        except JournalError:
            return None
        assert done.wait(10)
        _settle(writer)
        return None if outcome[0] is not None else chunk.records

    def _check(self) -> None:
        """What was promised is there; what was read once is there for ever; nothing is damaged."""
        found = list(read_records(self.data_dir, RUN))
        assert [record.seq for record in found] == list(range(len(found)))
        for seq, record in self.promised.items():
            assert seq < len(found), f"record {seq} was promised and is lost"
            assert found[seq] == record
        self.promised.update((record.seq, record) for record in found)
        assert self.writer is not None
        index = self.writer.index
        assert list(index.read(index.places(None))) == found


@pytest.mark.parametrize("part", [0, pytest.param(1, marks=pytest.mark.full)])
def test_whatever_the_disk_does_what_was_promised_is_there(part: int) -> None:
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        JournalOnABadDisk,
        settings=settings(
            max_examples=60 if part == 0 else 400,
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            derandomize=part == 0,
            report_multiple_bugs=False,
            phases=(Phase.generate, Phase.shrink) if "SHRINK" in os.environ else (Phase.generate,),
        ),
    )


def test_a_second_recovery_changes_nothing(tmp_path: Path) -> None:
    machine = JournalOnABadDisk()
    try:
        machine.open()
        for length in (10, 300, 20, 350):
            machine.append([length, 5])
        for luck in (Nothing(), Everything()):
            machine._boot(luck)
            machine.open()
            machine.close()
            before = _bytes(machine.data_dir)
            machine.open()
            machine.close()
            assert _bytes(machine.data_dir) == before
    finally:
        machine.teardown()


class _NoSink:
    """Commits nothing: whoever is told of it knows that what came before is over."""

    def commit(self, chunks: Sequence[object]) -> None:
        """Nothing."""

    def mark(self) -> None:
        """Nothing."""


def _settle(writer: RunWriter) -> None:
    """Wait until the mark is written, too: it follows the acknowledgement."""
    done = threading.Event()
    writer._committer.submit(_NoSink(), None, lambda chunks, failure: done.set())
    assert done.wait(10)


def _bytes(data_dir: Path) -> list[tuple[str, bytes]]:
    return [(s.path.name, s.path.read_bytes()) for s in list_segments(run_directory(data_dir, RUN))]
