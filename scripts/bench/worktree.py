"""Milliseconds and disk per sub-agent's tree, on a repository of 10,000 files.

    python scripts/bench/worktree.py [FILES] [ROUNDS]

Ours is `start` of a run's workspace: on the run's own node, and on another one whose clone has the
base (as from the second sub-agent of a node on). Beside them, in turn within each round, stand
`git worktree add` and `git clone --local` of the same checkout. Disk is what a tree adds to the
file system in blocks, files that are linked counted once. The first tree on a node brings the
repository there: it has a case of its own, against `git clone --no-local`. Medians; the ratio of
times is the median of the rounds' ratios.
"""

import asyncio
import importlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
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
    git(place, "add", "-A")
    git(place, "-c", "user.name=b", "-c", "user.email=b@x", "commit", "-qm", "all")


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


async def measured(work: Callable[[], Awaitable[object]], *rooms: Path) -> tuple[float, int]:
    """Milliseconds of some work, and what it adds to the directories."""
    os.sync()  # what others wrote is not ours to wait for
    before, began = used(*rooms), time.perf_counter()
    await work()
    return (time.perf_counter() - began) * 1000, used(*rooms) - before


class Bench:
    """Trees of one repository, one after another."""

    def __init__(self, folder: Path, files: int) -> None:
        self.folder = folder
        self.project = folder / "project"
        make_repository(self.project, files)
        self.ours: dict[str, list[tuple[float, int]]] = {}
        self.others: dict[str, list[tuple[float, int]]] = {}

    async def run(self, rounds: int) -> None:
        """All cases, in turn within each round; the first round warms up."""
        data, run_id = self.folder / "data", new_run_id("swarm")
        inner = await open_workspace(self.project, run_id, data_dir=data)
        far = Neighbour(self.folder / "far")
        terms = Elsewhere(
            run_id=run_id, home="home", reach=lambda _: far, recorded=nothing, room="project"
        )
        run = ClusterWorkspace(inner, terms)
        rooms = (self.project / ".git", data)

        async def bare() -> None:
            await asyncio.to_thread(
                git, self.folder, "clone", "-q", "--no-local", str(self.project), "whole"
            )

        self.others["first"] = [await measured(bare, self.folder)]
        first = await measured(lambda: run.start("first", node="far"), far.data_dir)
        self.ours["first"] = [first]
        for number in range(rounds + 1):
            found = await self._round(run, far, rooms, f"t{number}")
            if number:
                for name, value in found.items():
                    (self.ours if name in ("home", "node") else self.others).setdefault(
                        name, []
                    ).append(value)

    async def _round(
        self, run: ClusterWorkspace, far: Neighbour, rooms: tuple[Path, ...], id: str
    ) -> dict[str, tuple[float, int]]:
        async def by_git(*words: str) -> None:
            await asyncio.to_thread(git, self.project, *words)

        tree, clone = self.folder / f"w-{id}", self.folder / f"c-{id}"
        found = {
            "home": await measured(lambda: run.start(id), *rooms),
            "git worktree add": await measured(
                lambda: by_git("worktree", "add", "-q", "-b", id, str(tree)),
                *(self.project / ".git", tree),
            ),
            "node": await measured(lambda: run.start(f"n{id}", node="far"), far.data_dir),
            "git clone --local": await measured(
                lambda: by_git("clone", "-q", "--local", str(self.project), str(clone)), clone
            ),
        }
        shutil.rmtree(tree)
        shutil.rmtree(clone)
        git(self.project, "worktree", "prune")
        return found

    def lines(self) -> None:
        """Print the cases."""
        for case in ("home", "node"):
            for name in ("git worktree add", "git clone --local"):
                self._line(case, name, self.ours[case], self.others[name])
        self._line(
            "first on a node", "git clone --no-local", self.ours["first"], self.others["first"]
        )

    def _line(
        self, case: str, name: str, ours: list[tuple[float, int]], others: list[tuple[float, int]]
    ) -> None:
        for place, unit, scale in ((0, "ms", 1), (1, "MB", _MB)):
            mine, theirs = [o[place] / scale for o in ours], [o[place] / scale for o in others]
            ratios = [a / b for a, b in zip(mine, theirs, strict=True) if b]
            row = {
                "bench": "worktree",
                "case": case,
                "unit": unit,
                "ours": round(statistics.median(mine), 2),
                "against": {name: round(statistics.median(theirs), 2)},
                "ratio": round(statistics.median(ratios), 3) if ratios else None,
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
