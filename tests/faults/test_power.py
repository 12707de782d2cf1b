"""A whole agent whose power is cut at every operation of the disk.

SIGKILL cannot show this: the page cache outlives a process. Here only what was flushed is left.
"""

import random
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest

from codetether_ray.core.events import ModelResponded, Record, ToolFinished, TurnFinished
from codetether_ray.journal.reader import read_records
from codetether_ray.journal.segments import list_segments, run_directory
from tests.contracts.journal import RUN
from tests.faults.disk_model import Everything, Luck, Nothing, Operation
from tests.faults.scene import ANSWER, STEPS, Life, events_of

_BLOB_BYTES = 300  # instead of 64 KiB


class RandomLuck:
    """Some of it is there."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def keeps_name(self) -> bool:
        return self._random.random() < 0.5

    def of_write(self, length: int) -> tuple[int, int]:
        whole = self._random.choice((0, length, self._random.randint(0, length)))
        return whole, self._random.choice((0, length - whole))


@dataclass(frozen=True)
class Cut:
    """The power was cut at an operation: what is left, and what had happened by then."""

    place: str
    left: Path
    promised: tuple[Record, ...]
    effects: tuple[str, ...]
    asked: int


@pytest.fixture(autouse=True)
def _small_blobs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("codetether_ray.journal.encode.INLINE_BYTES", _BLOB_BYTES)


async def test_a_tool_runs_only_when_its_start_and_its_intent_are_durable(tmp_path: Path) -> None:
    life = _new_life(tmp_path)
    result = await life.run()
    assert (result.outcome, result.text) == ("completed", ANSWER)
    assert sorted(life.effects) == ["c0", "c1", "c2", "c3", "c4"]
    results = [e.result for e in events_of(life.data_dir) if isinstance(e, ToolFinished)]
    assert not [r.content for r in results if r.is_error]
    directory = run_directory(life.data_dir, RUN)
    assert len(list_segments(directory)) > 1
    assert list((directory / "blobs").iterdir())


@pytest.mark.parametrize(
    "part", [0, *(pytest.param(n, marks=pytest.mark.matrix) for n in range(1, 4))]
)
async def test_wherever_the_power_is_cut_nothing_promised_is_lost_and_the_run_goes_on(
    tmp_path: Path, part: int
) -> None:
    cuts = await _cuts(tmp_path, part)
    assert len(cuts) > 10
    for number, cut in enumerate(cuts):
        await _goes_on(cut, tmp_path / f"scratch-{number}")


async def _cuts(folder: Path, part: int) -> list[Cut]:
    """Run undisturbed, and keep what a cut would leave before each operation of the disk."""
    life, cuts = _new_life(folder), list[Cut]()

    def before(operation: Operation, path: Path) -> None:
        number = len(cuts)
        left = folder / f"cut-{number}"
        left.mkdir()
        luck: Luck = (
            (Nothing(), Everything())[part] if part < 2 else RandomLuck(part * 999 + number)
        )
        life.disk.crash(left, luck)
        cuts.append(
            Cut(
                place=f"cut {number} before {operation} of {path.name}",
                left=left,
                promised=tuple(life.promised),
                effects=tuple(life.effects),
                asked=len(life.provider.requests),
            )
        )

    life.disk.before = before
    await life.run()
    return cuts


async def _goes_on(cut: Cut, scratch: Path) -> None:
    left = list(read_records(cut.left / "data", RUN)) if _has_run(cut.left) else []
    for record in cut.promised:
        assert left[record.seq : record.seq + 1] == [record], f"{cut.place}: {record} is lost"
    finished = sum(isinstance(r.event, ModelResponded) for r in left)
    life = Life(cut.left, scratch)
    result = await life.run()
    assert (result.outcome, result.text) == ("completed", ANSWER), cut.place
    asked = [request.step for request in life.provider.requests]
    assert asked == list(range(finished, STEPS)), f"{cut.place}: a finished call was asked again"
    assert cut.asked + len(asked) <= STEPS + 1
    _settled(cut, life)


def _has_run(left: Path) -> bool:
    return run_directory(left / "data", RUN).is_dir()


def _settled(cut: Cut, life: Life) -> None:
    """Every call has one result; what had an effect has it once, or the model was told."""
    events = events_of(life.data_dir)
    results = [e for e in events if isinstance(e, ToolFinished)]
    ids = Counter(e.result.call_id for e in results)
    assert ids == Counter(["c0", "c1", "c2", "c3", "c4"]), cut.place
    effects = Counter((*cut.effects, *life.effects))
    for id in ("c1", "c4"):
        assert effects[id] <= 1, f"{cut.place}: the shell ran {id} twice"
        is_told = any(e.result.call_id == id and e.interrupted for e in results)
        assert effects[id] == 1 or is_told, f"{cut.place}: {id} is neither done nor interrupted"
    assert sum(isinstance(e, TurnFinished) for e in events) == 1, cut.place


def _new_life(folder: Path) -> Life:
    root = folder / "disk"
    (root / "data").mkdir(parents=True)
    return Life(root, folder / "scratch")
