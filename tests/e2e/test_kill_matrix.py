"""Whoever is killed or stopped, whenever: the run ends as if nobody had been. See `kill_matrix`."""

import asyncio
import signal
from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest

from tests.e2e.kill_matrix import NAMES, QUESTION, Cell, Column, Row, Scene, furnished
from tests.e2e.program import Program

_COLUMNS: tuple[Column, ...] = ("model", "tool", "between", "merge")
_ON_A_SHARED_HEAD: tuple[Row, ...] = ("sub-agent", "bus", "supervisor", "driver")
_ON_ITS_OWN: tuple[Row, ...] = ("raylet", "head")
_BLOWS = (signal.SIGKILL, signal.SIGSTOP)

_SHARED = [
    *(Cell(row=r, column=c, blow=b) for r, c, b in product(_ON_A_SHARED_HEAD, _COLUMNS, _BLOWS)),
    *(Cell(row=r, column="model", strikes=2) for r in _ON_A_SHARED_HEAD),
    Cell(row="supervisor", column="between", strikes=2),
    Cell(row="supervisor", column="merge", strikes=2),
    Cell(row="supervisor", column="tool", is_approved=True),
]
_OWN = [
    *(Cell(row=r, column=c, blow=b) for r, c, b in product(_ON_ITS_OWN, _COLUMNS, _BLOWS)),
    *(Cell(row=r, column="model", strikes=2) for r in _ON_ITS_OWN),
    Cell(row="head", column="merge", strikes=2),
    Cell(row="head", column="tool", is_approved=True),
]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """A home with a head that the cells share."""
    program = furnished(tmp_path_factory.mktemp("shared"))
    up = asyncio.run(program.run("up", "--memory", "2GB"))
    assert up.code == 0, up.err
    yield program
    asyncio.run(program.run("down"))


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The tree of a run that nobody touched."""
    program = furnished(tmp_path_factory.mktemp("undisturbed"))
    scene = Scene(cell=Cell(row="driver", column="model", strikes=0), program=program)
    asyncio.run(scene.play("--local"))
    found = scene.aftermath()
    found.check_effects()
    return found.tree()


async def check(cell: Cell, program: Program, tree: str) -> None:
    scene = Scene(cell=cell, program=program)
    result = await scene.play()
    assert result["outcome"] == "success"
    assert [s["status"] for s in result["subtask_results"]] == ["completed"] * len(NAMES)
    assert len(scene.struck) == cell.strikes
    assert scene.said.count(QUESTION) == cell.is_approved
    found = scene.aftermath()
    assert found.tree() == tree
    found.check_requests(cell.repeats)
    found.check_events()
    found.check_effects(approvals=cell.is_approved)
    found.check_replay()
    await found.check_processes()


@pytest.mark.matrix
@pytest.mark.parametrize("cell", _SHARED, ids=str)
async def test_a_run_on_a_shared_head_survives(
    cell: Cell, shared: Program, tmp_path: Path, undisturbed: str
) -> None:
    """By itself, but for the driver's death: then `--resume` follows what went on without it."""
    project = tmp_path / "project"
    project.mkdir()
    await check(cell, replace(shared, project=project), undisturbed)


@pytest.mark.matrix
@pytest.mark.parametrize("cell", _OWN, ids=str)
async def test_a_run_survives_its_head(cell: Cell, tmp_path: Path, undisturbed: str) -> None:
    """By `--resume`: on another head, or in one process beside the old head, which wakes up."""
    await check(cell, furnished(tmp_path), undisturbed)
