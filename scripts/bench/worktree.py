"""Milliseconds and disk per sub-agent's tree, on a repository of 10,000 files.

    python scripts/bench/worktree.py [FILES] [ROUNDS]

Ours is `start` of a run's workspace: on the run's own node, and on another one whose clone has the
base (as from the second sub-agent of a node on). Beside them, in another order each round, stand
`git worktree add` and `git clone --local` of the same checkout. Disk is what a tree adds to the
file system in blocks, files that are linked counted once. The first tree on a node brings the
repository there: it has a case of its own, against `git clone --no-local`. Medians; the ratio of
times is the median of the rounds' ratios.
"""

import asyncio
import importlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from codetether_ray.bootstrap.trees.cluster import ClusterWorkspace, Elsewhere
from codetether_ray.core.ids import new_run_id
from codetether_ray.workspace.open import open_workspace

FILES, ROUNDS = 10_000, 7
_MB = 1_000_000
_BLOCK = 512  # bytes, as `st_blocks` counts


class Neighbour:
    """A node on this machine with a data directory of its own, reached as over a cluster."""

    def __init__(self, data_dir: Path) -> None:
        self.node, self.host, self.data_dir = "other", "other", data_dir
        self.state: dict[str, Any] = {}

    async def call(self, function: str, *arguments: Any) -> Any:
        """What the function that `module:name` names gives here."""
        module, _, name = function.partition(":")
        return await getattr(importlib.import_module(module), name)(self, *arguments)


async def nothing(_: str) -> str:
    """No step was recorded."""
    return ""


def make_repository(place: Path, files: int) -> None:
    """A repository of so many files of a kilobyte or two, a hundred in a directory."""
    git(place.parent, "init", "-q", "-b", "trunk", str(place))
    for number in range(files):
        path = place / f"d{number // 100:03}" / f"f{number:05}.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"value = {number}\n" * (50 + number % 100))
    git(place, "config", "gc.auto", "0")
    git(place, "add", "-A")
    git(place, "-c", "user.name=b", "-c", "user.email=b@x", "commit", "-qm", "all")
    git(place, "repack", "-adq")
    git(place, "prune-packed", "-q")


def git(cwd: Path, *words: str) -> None:
    """Run git."""
    subprocess.run(["git", *words], cwd=cwd, check=True, capture_output=True)


def used(*places: Path) -> int:
    """Bytes that the files below take on disk."""
    seen, size = set(), 0
    for place in places:
        for path in place.rglob("*"):
            state = path.lstat()
            if (state.st_dev, state.st_ino) not in seen:
                seen.add((state.st_dev, state.st_ino))
                size += state.st_blocks * _BLOCK
    return size


async def timed(work: Callable[[], Awaitable[object]]) -> float:
    """Milliseconds of some work."""
    os.sync()  # what others wrote is not ours to wait for
    began = time.perf_counter()
    await work()
    return (time.perf_counter() - began) * 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One way to have a tree: `make` is given its name; `rooms` are where it leaves something."""

    name: str
    make: Callable[[str], Awaitable[object]]
    rooms: tuple[Path, ...]


class Bench:
    """Trees of one repository, one after another, none taken away before the end."""

    def __init__(self, folder: Path, files: int) -> None:
        self.folder = folder
        self.project = folder / "project"
        make_repository(self.project, files)
        self.ms: dict[str, list[float]] = {}
        self.mb: dict[str, float] = {}

    async def run(self, rounds: int) -> None:
        """All cases in each round, in another order each time; the first tells the disk."""
        cases = await self._cases()
        for number in range(rounds + 1):
            turn = number % len(cases)
            for case in (*cases[turn:], *cases[:turn]):
                await self._one(case, f"t{number}", is_first=not number)

    async def _one(self, case: Case, id: str, *, is_first: bool) -> None:
        before = used(*case.rooms) if is_first else 0
        ms = await timed(lambda: case.make(id))
        if is_first:
            self.mb[case.name] = (used(*case.rooms) - before) / _MB
        else:
            self.ms.setdefault(case.name, []).append(ms)

    async def _cases(self) -> tuple[Case, ...]:
        """The ways; the first tree on a node, and a clone of the whole, are made here."""
        folder, project = self.folder, self.project
        data, run_id = folder / "data", new_run_id("swarm")
        inner = await open_workspace(project, run_id, data_dir=data)
        far = Neighbour(folder / "far")
        run = ClusterWorkspace(
            inner,
            Elsewhere(
                run_id=run_id, home="home", reach=lambda _: far, recorded=nothing, room="project"
            ),
        )

        def by_git(*words: str) -> Awaitable[None]:
            return asyncio.to_thread(git, project, *words)

        def clone(how: str, id: str) -> Awaitable[None]:
            return by_git("clone", "-q", how, str(project), str(folder / "clones" / id))

        def worktree(id: str) -> Awaitable[None]:
            return by_git("worktree", "add", "-q", "-b", id, str(folder / "trees" / id))

        for name, make, room in (
            ("git clone --no-local", lambda: clone("--no-local", "whole"), folder / "clones"),
            ("first on a node", lambda: run.start("first", node="far"), far.data_dir),
        ):
            before = used(room)
            self.ms[name] = [await timed(make)]
            self.mb[name] = (used(room) - before) / _MB
        return (
            Case(name="home", make=run.start, rooms=(project / ".git", data)),
            Case(
                name="git worktree add", make=worktree, rooms=(project / ".git", folder / "trees")
            ),
            Case(
                name="node",
                make=lambda id: run.start(f"n{id}", node="far"),
                rooms=(far.data_dir,),
            ),
            Case(
                name="git clone --local",
                make=lambda id: clone("--local", id),
                rooms=(folder / "clones",),
            ),
        )

    def lines(self) -> None:
        """Print the cases."""
        for case in ("home", "node"):
            for name in ("git worktree add", "git clone --local"):
                self._lines(case, name)
        self._lines("first on a node", "git clone --no-local")

    def _lines(self, case: str, name: str) -> None:
        mine, theirs = self.ms[case], self.ms[name]
        ratio = statistics.median(a / b for a, b in zip(mine, theirs, strict=True))
        line(case, "ms", statistics.median(mine), name, statistics.median(theirs), ratio)
        line(case, "MB", self.mb[case], name, self.mb[name], self.mb[case] / self.mb[name])


def line(case: str, unit: str, ours: float, name: str, value: float, ratio: float) -> None:
    """Print one case."""
    row = {
        "bench": "worktree",
        "case": case,
        "unit": unit,
        "ours": round(ours, 2),
        "against": {name: round(value, 2)},
        "ratio": round(ratio, 3),
    }
    print(json.dumps(row), flush=True)


def main() -> None:
    """Print all cases."""
    files = int(sys.argv[1]) if sys.argv[1:] else FILES
    rounds = int(sys.argv[2]) if sys.argv[2:] else ROUNDS
    os.environ["GIT_CONFIG_NOSYSTEM"] = "1"
    with tempfile.TemporaryDirectory(prefix="codetether-bench-") as folder:
        bench = Bench(Path(folder), files)
        asyncio.run(bench.run(rounds))
        bench.lines()


if __name__ == "__main__":
    main()
