"""Killed at every boundary of the durable protocol, and taken up again: nothing is lost.

The cells are those of `points.json`, which `python -m tests.faults.list_points` writes from a
recording run of each scenario; a point that is not listed turns a test red. Of a point that is
passed often, the first time is a cell of the rotating matrix, the others are of `--full`.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.failpoints import KILLED, Forge, Undisturbed, check, play, record, staged
from tests.faults.list_points import LISTS, POINTS

_LISTED: dict[str, dict[str, int]] = json.loads(POINTS.read_text())
_MOST = 6
"""Cells of one point of one list; what is passed more often is sampled evenly."""


def _times(count: int) -> list[int]:
    if count <= _MOST:
        return list(range(1, count + 1))
    return sorted({1 + round(n * (count - 1) / (_MOST - 1)) for n in range(_MOST)})


def _cells() -> Iterator[object]:
    for name, points in _LISTED.items():
        for point, count in points.items():
            for time in _times(count):
                marks = [pytest.mark.matrix]
                if time > 1:
                    marks.append(pytest.mark.full)
                yield pytest.param(
                    name, f"{point}:{time}", marks=marks, id=f"{name}-{point}:{time}"
                )


@pytest.fixture(scope="module")
def forge() -> Iterator[Forge]:
    forge = Forge()
    yield forge
    forge.close()


_undisturbed: dict[str, Undisturbed] = {}


async def _record(name: str, folder: Path, forge: Forge) -> Undisturbed:
    """A recording run of a list, once a session."""
    if name not in _undisturbed:
        room = folder / f"recording-{name}"
        room.mkdir()
        _undisturbed[name] = await record(LISTS[name].scenario, room, forge, *LISTS[name].killed_at)
    return _undisturbed[name]


@pytest.mark.parametrize("name", LISTS)
async def test_every_point_that_is_passed_is_listed(
    name: str, tmp_path: Path, forge: Forge
) -> None:
    passed = (await _record(name, tmp_path, forge)).hits
    whole = _LISTED[LISTS[name].scenario]
    assert set(passed) <= {*_LISTED[name], *whole}, "run `python -m tests.faults.list_points`"
    if not LISTS[name].killed_at:  # after a crash it is a matter of luck what is left to do
        assert set(passed) == set(whole), "run `python -m tests.faults.list_points`"


@pytest.mark.parametrize(("name", "point"), list(_cells()))
async def test_a_crash_there_loses_nothing(
    name: str, point: str, tmp_path: Path, forge: Forge
) -> None:
    way = LISTS[name]
    undisturbed = await _record(way.undisturbed, tmp_path, forge)
    room = tmp_path / "room"
    room.mkdir()
    async with staged(way.scenario, room, forge) as scene:
        await play(scene, *way.killed_at, point)
        if point.endswith(":1") and not way.killed_at:
            assert scene.lives[0].code == KILLED, "the point was not passed"
        await check(scene, undisturbed.tree)
