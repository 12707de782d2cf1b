"""Who sends, releases or forgets is stopped at every boundary; the next one finishes it.

Every boundary is tried by an exception that nothing catches; some again by a real SIGKILL.
"""

import concurrent.futures
import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from codetether_ray.archive.s3 import S3Place, S3Store
from codetether_ray.bootstrap.archiving.opening import push_run
from codetether_ray.bootstrap.archiving.pull import pull_run
from codetether_ray.bootstrap.archiving.retention import apply_retention
from codetether_ray.bootstrap.archiving.standing import standing
from codetether_ray.bootstrap.forget import forget_run
from codetether_ray.bootstrap.tombstones import read_tombstone
from codetether_ray.config.paths import Paths
from codetether_ray.core import failpoints
from codetether_ray.journal.segments import run_directory
from tests.adapters.archive.runs import new_run, small, told, write

_PROCESS = """
import json, os, sys
from pathlib import Path
from codetether_ray.archive.s3 import S3Place, S3Store
from codetether_ray.core import failpoints
from tests.adapters.archive.test_crashes import WORKS
what, data, run, place = sys.argv[1], Path(sys.argv[2]), sys.argv[3], json.loads(sys.argv[4])
failpoints.arm(os.environ)
WORKS[what](S3Store(S3Place(**place)), data, run)
"""


class StoppedError(BaseException):
    """Nobody catches it."""


def push(store: S3Store, data: Path, run: str) -> None:
    push_run(store, data, run)


def release(store: S3Store, data: Path, run: str) -> None:
    for _ in range(3):
        push_run(store, data, run)
        apply_retention(store, data, 0.0)


def forget(store: S3Store, data: Path, run: str) -> None:
    paths = Paths(data=data, config=data / "config.toml", cache=data / "cache")
    with concurrent.futures.ThreadPoolExecutor(1) as pool:  # it has an event loop of its own
        pool.submit(forget_run, paths, run, store=store, by="me@here").result()


WORKS: dict[str, Callable[[S3Store, Path, str], None]] = {
    "push": push,
    "release": release,
    "forget": forget,
}


def stopped(
    monkeypatch: pytest.MonkeyPatch, where: tuple[str, int], work: Callable[[], None]
) -> Counter[str]:
    """Do the work up to the n-th time of a boundary; the boundaries it came by."""
    seen: Counter[str] = Counter()

    def hit(name: str) -> None:
        seen[name] += 1
        if (name, seen[name]) == where:
            raise StoppedError(name)

    with monkeypatch.context() as patch:
        patch.setattr(failpoints, "hit", hit)
        if where[1]:
            with pytest.raises(StoppedError):
                work()
        else:
            work()
    return seen


async def each_boundary(
    monkeypatch: pytest.MonkeyPatch, what: str, store: S3Store, data: Path
) -> list[tuple[Path, str, list[str]]]:
    """A run for each boundary, the work on it stopped there; what the run held before."""
    work = WORKS[what]

    async def fresh(name: str) -> tuple[Path, str, list[str]]:
        here, run = data / name, new_run()
        await write(here, run, small(count=8, big=1))
        if what == "forget":
            push_run(store, here, run)
        return here, run, told(here, run)

    here, run, _ = await fresh("recording")
    found = stopped(monkeypatch, ("", 0), lambda: work(store, here, run))
    out = []
    for name, count in found.items():
        for number in sorted({1, (count + 1) // 2, count}):
            here, run, whole = await fresh(f"{name}-{number}")
            stopped(monkeypatch, (name, number), lambda h=here, r=run: work(store, h, r))
            out.append((here, run, whole))
    assert len(out) >= 5
    return out


async def test_a_push_that_is_stopped_anywhere_is_finished_by_the_next(
    store: S3Store, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for here, run, whole in await each_boundary(monkeypatch, "push", store, data):
        push_run(store, here, run)
        assert standing(here, run, store.place).lag_bytes == 0
        pull_run(store, tmp_path / f"back-{here.name}", run)
        assert told(tmp_path / f"back-{here.name}", run) == whole


@pytest.mark.damages_runs  # only the archive has some, and whoever verifies does not look there
async def test_files_go_only_once_the_archive_has_them_wherever_it_is_stopped(
    store: S3Store, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for here, run, whole in await each_boundary(monkeypatch, "release", store, data):
        if standing(here, run, store.place).away:
            pull_run(store, here, run)
        assert told(here, run) == whole
        release(store, here, run)
        assert standing(here, run, store.place).away > 0
        pull_run(store, here, run)
        assert told(here, run) == whole


async def test_forgetting_that_is_stopped_anywhere_is_finished_by_the_next(
    store: S3Store, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for here, run, _ in await each_boundary(monkeypatch, "forget", store, data):
        stone = read_tombstone(here, run)
        assert stone is not None
        forget(store, here, run)
        stone = read_tombstone(here, run)
        assert stone is not None
        assert stone.state == "forgotten"
        assert not run_directory(here, run).exists()
        assert not list(store.stored(f"{run}/"))


@pytest.mark.matrix
@pytest.mark.damages_runs  # one ends with its files in the archive alone
@pytest.mark.parametrize(
    ("what", "where"),
    [
        ("push", "archive.uploaded:2"),
        ("push", "archive.verified:3"),
        ("release", "archive.deleted_locally:1"),
        ("forget", "forget.begun:1"),
        ("forget", "forget.archive:1"),
        ("forget", "forget.files:1"),
        ("forget", "forget.events:1"),
    ],
)
async def test_a_killed_process_leaves_what_the_next_one_finishes(
    what: str, where: str, store: S3Store, place: S3Place, data: Path, tmp_path: Path
) -> None:
    run = new_run()
    await write(data, run, small(count=8, big=1))
    whole = told(data, run)
    if what == "forget":
        push_run(store, data, run)
    named = {n: getattr(place, n) for n in S3Place.__dataclass_fields__}
    done = subprocess.run(
        [sys.executable, "-c", _PROCESS, what, str(data), run, json.dumps(named)],
        env={**os.environ, "CODETETHER_FAILPOINT": where, "PYTHONPATH": str(Path.cwd())},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    WORKS[what](store, data, run)
    if what == "forget":
        assert not run_directory(data, run).exists()
        return
    pull_run(store, tmp_path / "back", run)
    assert told(tmp_path / "back", run) == whole
