"""A forgotten run is gone everywhere, and says so."""

import json
import subprocess
from pathlib import Path

import pytest

from codetether_ray.archive.query import Question, ask
from codetether_ray.archive.rows import join_days
from codetether_ray.archive.s3 import S3Place, S3Store
from codetether_ray.audit.keys import is_signed, public_keys
from codetether_ray.bootstrap.archiving.opening import push_run
from codetether_ray.bootstrap.archiving.pull import pull_run
from codetether_ray.bootstrap.archiving.rows import parquet_root, send_rows, update_rows
from codetether_ray.bootstrap.forget import Forgotten, forget_run
from codetether_ray.bootstrap.replay import find_id
from codetether_ray.bootstrap.tombstones import read_tombstone
from codetether_ray.config.paths import Paths
from codetether_ray.core.errors import (
    ArchiveError,
    RunBusyError,
    RunForgottenError,
    UnknownRunError,
    WorkspaceError,
)
from codetether_ray.core.events import RunFinished, RunStarted
from codetether_ray.journal.segments import run_directory
from codetether_ray.local.journal import LocalJournal
from codetether_ray.workspace.open import open_workspace
from tests.adapters.archive.runs import new_run, note, small, write

SECRET = "a-name-that-nobody-should-find"


def forget(
    data: Path, run: str, store: S3Store | None = None, *, keep_work: bool = False
) -> Forgotten:
    paths = Paths(data=data, config=data / "config.toml", cache=data / "cache")
    return forget_run(paths, run, store=store, by="ann@host", keep_work=keep_work)


def bytes_with(folder: Path, text: str) -> list[Path]:
    return [p for p in folder.rglob("*") if p.is_file() and text.encode() in p.read_bytes()]


async def written(data: Path, store: S3Store | None = None) -> str:
    run = new_run()
    await write(data, run, [*small(count=5, big=1)[:-1], note(SECRET), note("z" * 70_000 + SECRET)])
    await write(data, run, [RunFinished(outcome="completed")])
    for name in (f"patches/{run}.patch", f"logs/{run}.ray.log"):
        (data / name).parent.mkdir(exist_ok=True)
        (data / name).write_text(SECRET)
    if store is not None:
        push_run(store, data, run)
        update_rows(data)
        send_rows(store, data)
    return run


async def test_nothing_of_a_forgotten_run_is_left_but_a_signed_tombstone(
    store: S3Store, place: S3Place, data: Path
) -> None:
    store._client().put_bucket_versioning(
        Bucket=place.bucket, VersioningConfiguration={"Status": "Enabled"}
    )
    run, other = await written(data, store), await written(data, store)
    push_run(store, data, run)
    done = forget_here(data, run, store)
    assert done.objects > 3
    assert not run_directory(data, run).exists()
    versions = store._client().list_object_versions(Bucket=place.bucket, Prefix=f"events/{run}/")
    assert not versions.get("Versions")
    assert not versions.get("DeleteMarkers")
    rows = ask(parquet_root(data), Question(columns=("run_id",)))
    assert {row["run_id"] for row in rows} == {other}
    there = [s.name for s in store.stored("parquet/") if run in s.name]
    assert there == []
    stone = read_tombstone(data, run)
    assert stone is not None
    assert is_signed(stone.message(), stone.signature, public_keys(data)[stone.key])
    assert stone.segments
    assert stone.blobs
    assert SECRET not in json.dumps(json.loads((data / "tombstones" / f"{run}.json").read_text()))
    assert [s.name for s in store.stored("tombstones/")] == [f"tombstones/{run}.json"]
    forget_here(data, other, store)
    assert bytes_with(data, SECRET) == []


def forget_here(data: Path, run: str, store: S3Store | None = None) -> Forgotten:
    import concurrent.futures

    with concurrent.futures.ThreadPoolExecutor(1) as pool:  # it has an event loop of its own
        return pool.submit(forget, data, run, store).result()


async def test_rows_that_were_joined_with_others_are_rewritten(data: Path) -> None:

    runs = []
    for _ in range(18):
        run = new_run()
        await write(data, run, small(count=2))
        runs.append(run)
    update_rows(data, day="2000-01-01")
    made, gone = join_days(parquet_root(data), "2999-01-01")
    assert made
    assert len(gone) >= 18
    forget_here(data, runs[3])
    rows = ask(parquet_root(data), Question(columns=("run_id",)))
    assert {row["run_id"] for row in rows} == set(runs) - {runs[3]}


async def test_a_forgotten_run_says_so_and_cannot_come_back(
    store: S3Store, data: Path, tmp_path: Path
) -> None:
    run = await written(data, store)
    forget_here(data, run, store)
    with pytest.raises(RunForgottenError, match="ann@host"):
        find_id(data, run)
    with pytest.raises(RunForgottenError):
        pull_run(store, data, run)
    with pytest.raises(RunForgottenError, match="ann@host"):
        pull_run(store, tmp_path / "elsewhere", run)
    assert push_run(store, data, run).objects == 0
    assert forget_here(data, run, store).was_done


async def test_a_running_run_is_refused(data: Path) -> None:
    run = new_run()
    journal = await LocalJournal.open(data, run)
    try:
        with pytest.raises(RunBusyError):
            forget_here(data, run)
    finally:
        await journal.close()


async def test_an_archived_run_is_not_half_forgotten_where_the_archive_is_not_set(
    store: S3Store, data: Path
) -> None:
    run = await written(data, store)
    with pytest.raises(ArchiveError, match=r"archive\.bucket"):
        forget_here(data, run)
    assert run_directory(data, run).exists()
    with pytest.raises(UnknownRunError):
        forget_here(data, new_run())


async def test_work_that_is_nowhere_else_is_refused_and_named(data: Path, tmp_path: Path) -> None:
    project = tmp_path / "project"
    project.mkdir()
    git = ["git", "-c", "user.name=u", "-c", "user.email=u@x", "-C", str(project)]
    subprocess.run([*git, "init", "-q"], check=True)
    (project / "a.txt").write_text("one\n")
    subprocess.run([*git, "add", "."], check=True)
    subprocess.run([*git, "commit", "-qm", "one"], check=True)
    run = new_run().replace("ses_", "swm_")
    workspace = await open_workspace(project, run, data_dir=data)
    tree = await workspace.start("alpha")
    (Path(tree.path) / "new.txt").write_text("work\n")
    begun = RunStarted(kind="swarm", title="t", directory=str(project))
    await write(data, run, [begun, RunFinished(outcome="failed")])
    with pytest.raises(WorkspaceError, match=r"new\.txt"):
        forget_here(data, run)
    assert (Path(tree.path) / "new.txt").exists()
    assert run_directory(data, run).exists()
    assert read_tombstone(data, run) is None
