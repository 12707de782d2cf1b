"""One append against one take-over, in every order of what others can see of them.

The lock is left out: this is what holds where it does not, and what a woken writer meets.
"""

import contextlib
import itertools
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from codetether_ray.core.errors import JournalError
from codetether_ray.core.events import Record
from codetether_ray.disk.files import RealDisk
from codetether_ray.journal import recovery
from codetether_ray.journal.reader import read_records
from codetether_ray.journal.recovery import Recovered, recover
from codetether_ray.journal.scan import RunScan
from codetether_ray.journal.segments import run_directory
from codetether_ray.journal.sink import RunSink
from codetether_ray.journal.stream import Chunk, Stream
from tests.adapters.journal.disks import QuickDisk
from tests.contracts.journal import RUN, WHERE, note
from tests.faults.interleave import Turns, every_order

_MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


class SteppedDisk(QuickDisk):
    """A disk whose visible operations are steps. Flushes are none: nobody else sees them."""

    def __init__(self, turns: Turns) -> None:
        self._turns = turns

    def create(self, path: Path) -> Any:
        self._turns.step()
        return _Stepped(super().create(path), self._turns)

    def open(self, path: Path) -> Any:
        self._turns.step()
        return _Stepped(super().open(path), self._turns)

    def write_at(self, path: Path, offset: int, data: bytes) -> None:
        self._turns.step()
        RealDisk.write_at(self, path, offset, data)

    def rename(self, old: Path, new: Path) -> None:
        self._turns.step()
        super().rename(old, new)

    def exists(self, path: Path) -> bool:
        self._turns.step()
        return super().exists(path)


class _Stepped:
    """A file whose growing and shrinking are steps; a write is two, so that it is seen torn."""

    def __init__(self, file: Any, turns: Turns) -> None:
        self._file, self._turns = file, turns
        self.sync, self.close = file.sync, file.close

    def write(self, data: bytes) -> int:
        self._turns.step()
        return int(self._file.write(data))

    def truncate(self, length: int) -> None:
        self._turns.step()
        self._file.truncate(length)


@dataclass
class Writer:
    """A writer of the run, in one thread: the real stream and sink."""

    data_dir: Path
    disk: RealDisk
    clock: Callable[[], float]
    segment_bytes: int
    promised: list[Record] = field(default_factory=list)
    read: list[Record] = field(default_factory=list)

    def take(self) -> None:
        """Take the run over."""
        directory = run_directory(self.data_dir, RUN)
        taken = recover(RUN, directory, self.disk)
        self._begin(directory, taken)
        self.read = list(taken.index.read(taken.index.places(None)))

    def _begin(self, directory: Path, taken: Recovered) -> None:
        self._stream = Stream(
            position=taken.position,
            agent_seqs=taken.agent_seqs,
            generation=taken.generation,
            segment_bytes=self.segment_bytes,
            correlation=WHERE,
            writer={"pid": taken.generation, "host": "node", "program": "0"},
            clock=self.clock,
        )
        self._sink = RunSink(
            run_id=RUN,
            directory=directory,
            disk=self.disk,
            position=taken.position,
            generation=taken.generation,
            clock=self.clock,
        )

    def close(self) -> None:
        """Let go of the file: there are thousands of orders in one process."""
        self._sink.close()

    def append(self, *texts: str) -> bool:
        """Whether records were promised."""
        chunk: Chunk = self._stream.add([note("a", text) for text in texts])
        try:
            self._sink.commit([chunk])
        except JournalError:
            return False
        self.promised += chunk.records
        self._sink.mark()
        return True


class Scene:
    """An old writer that appends, and a taker, from the same start in each order."""

    def __init__(self, folder: Path, *, has_segment: bool, rolls: bool) -> None:
        self.folder = folder
        self.has_segment = has_segment
        self.segment_bytes = 300 if rolls else 1 << 20
        self.texts = ("x", "y") if rolls else ("x",)
        self.turns = Turns()
        self.disk = SteppedDisk(self.turns)
        self.writers: list[Writer] = []

    def close(self) -> None:
        """Let go of the files of the order that was played last."""
        for writer in self.writers:
            writer.close()
        self.writers.clear()

    def play(self, order: list[str]) -> list[list[str]]:
        self.close()
        shutil.rmtree(self.folder / "data", ignore_errors=True)
        run_directory(self.folder / "data", RUN).mkdir(parents=True)
        ticks = itertools.count(1_700_000_000)
        self.old, self.taker = (
            Writer(self.folder / "data", self.disk, lambda: float(next(ticks)), self.segment_bytes)
            for _ in range(2)
        )
        self.writers += [self.old, self.taker]
        self.old.take()
        if self.has_segment:
            assert self.old.append("before")
        return self.turns.play({"old": self._append, "taker": self._take}, order)

    def _append(self) -> None:
        self.old.append(*self.texts)

    def _take(self) -> None:
        self.taker.take()

    def check(self, order: tuple[str, ...]) -> None:
        """What was promised is there, once; what the taker read stays."""
        assert not self.old.append("after"), f"{order}: the old writer still gets promises"
        assert self.taker.append("mine"), f"{order}: the taker gets none"
        found = list(read_records(self.folder / "data", RUN))
        third = Writer(self.folder / "data", self.disk, lambda: 0.0, 1 << 20)
        third.take()
        self.writers.append(third)
        assert third.read == found, order
        assert [record.seq for record in found] == list(range(len(found))), order
        assert found[: len(self.taker.read)] == self.taker.read, f"{order}: it read what is gone"
        promised = [*self.old.promised, *self.taker.promised]
        numbers = [record.seq for record in promised]
        assert len(set(numbers)) == len(numbers), f"{order}: one number was promised twice"
        for record in promised:
            assert found[record.seq : record.seq + 1] == [record], f"{order}: {record} is lost"


@pytest.fixture
def folder() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="two-writers-", dir=_MEMORY))
    yield path
    shutil.rmtree(path)


def _watch_the_taker(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """Raising the generation is a step of the taker, and so is each line that it reads."""
    raise_generation, read_lines = recovery.raise_generation, RunScan.__iter__
    passed = recovery.hit

    def stepped_raise(*arguments: Any) -> int:
        scene.turns.step()
        return raise_generation(*arguments)

    def stepped_lines(scan: RunScan) -> Iterator[Any]:
        scene.turns.step()
        for line in read_lines(scan):
            yield line
            scene.turns.step()

    def stepped_hit(place: str) -> None:
        if place == "tail.read":
            scene.turns.step()
        passed(place)

    monkeypatch.setattr(recovery, "hit", stepped_hit)
    monkeypatch.setattr(recovery, "raise_generation", stepped_raise)
    monkeypatch.setattr(RunScan, "__iter__", stepped_lines)


@pytest.mark.parametrize(
    ("has_segment", "rolls"),
    [(True, False), (False, False), pytest.param(True, True, marks=pytest.mark.full)],
)
def test_no_promised_record_is_lost_in_any_order_of_an_append_and_a_take_over(
    folder: Path, monkeypatch: pytest.MonkeyPatch, has_segment: bool, rolls: bool
) -> None:
    scene = Scene(folder, has_segment=has_segment, rolls=rolls)
    _watch_the_taker(scene, monkeypatch)
    count = 0
    with contextlib.closing(scene):
        for order in every_order(scene.play):
            scene.check(order)
            count += 1
    assert count > 100
