"""Tasks in SQLite: the contract, a process killed while it saves, damage, another process."""

import asyncio
import os
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings

from codetether_ray.core.errors import TaskStoreError
from codetether_ray.local.tasks import LocalTasks, open_local_tasks
from codetether_ray.stores.task_rules import to_row
from codetether_ray.stores.tasks import FORMAT, SqliteTasks
from codetether_ray.testing.clock import FakeClock
from tests.contracts.task_model import STEPS, agree
from tests.contracts.tasks import NOW, TaskStoreContract, a_push, a_task, held


class TestSqliteTasks(TaskStoreContract):
    @pytest.fixture
    async def store(self, tmp_path: Path) -> AsyncIterator[LocalTasks]:
        store = await open_local_tasks(tmp_path / "deep", clock=FakeClock(0.0))
        yield store
        await store.close()


@settings(max_examples=40, deadline=None)
@given(STEPS)
def test_it_does_what_the_port_says_in_any_order(steps: list[tuple[Any, ...]]) -> None:
    async def scene(path: Path) -> None:
        store = await open_local_tasks(path, clock=FakeClock(0.0))
        try:
            await agree(store, steps)
        finally:
            await store.close()

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(scene(Path(folder)))


_WRITER = """
import asyncio, sys
from pathlib import Path
from codetether_ray.local.tasks import open_local_tasks
from codetether_ray.ports.tasks import TaskRecord

async def write(store, name):
    version = 0
    while True:
        version += 1
        record = TaskRecord(id=name, context_id="c", owner="ada", state="working",
                            version=version, updated_at=float(version), payload=b"x" * 3000)
        assert await store.save([record]) == ()
        print(name, version, flush=True)

async def main():
    store = await open_local_tasks(Path(sys.argv[1]))
    await asyncio.gather(*(write(store, f"t{n}") for n in range(20)))

asyncio.run(main())
"""


def killed_after(data_dir: Path, lines: int) -> dict[str, int]:
    """The last version of each task that a process said it had saved, before SIGKILL."""
    process = subprocess.Popen(
        [sys.executable, "-c", _WRITER, str(data_dir)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    said = [process.stdout.readline() for _ in range(lines)]
    process.kill()
    said += process.stdout.readlines()
    process.stdout.close()
    assert process.wait() == -signal.SIGKILL
    words = [line.split() for line in said if line.endswith("\n")]
    return {name: int(version) for name, version in words}


async def test_what_a_killed_process_had_acknowledged_is_there(tmp_path: Path) -> None:
    for lines in (1, 137, 1000):
        shutil.rmtree(tmp_path / "data", ignore_errors=True)
        acknowledged = killed_after(tmp_path / "data", lines)
        assert acknowledged
        store = await open_local_tasks(tmp_path / "data")
        for name, version in acknowledged.items():
            kept = await store.get(name, "ada")
            assert kept is not None
            assert kept.version >= version
            assert kept.payload == b"x" * 3000
        await store.close()


async def test_what_was_saved_is_there_when_the_store_is_opened_again(tmp_path: Path) -> None:
    store = await open_local_tasks(tmp_path, clock=FakeClock(0.0))
    saving = [asyncio.create_task(store.save([a_task(f"t{n}")])) for n in range(50)]
    await asyncio.sleep(0)
    await store.save_push(a_push())
    await store.close()
    assert [await one for one in saving] == [()] * 50
    with pytest.raises(TaskStoreError, match="closed"):
        await store.save([a_task("late")])
    again = await open_local_tasks(tmp_path, clock=FakeClock(0.0))
    assert await again.get("t49", None) == a_task("t49")
    assert await again.pushes("t1", None) == (a_push(),)
    await again.close()


def test_a_log_that_was_torn_keeps_what_was_whole(tmp_path: Path) -> None:
    store = SqliteTasks(tmp_path / "tasks.db")
    for n in range(1, 30):
        store.commit([[row_of(n)]])
    copy = tmp_path / "copy"
    copy.mkdir()
    log = tmp_path / "tasks.db-wal"
    shutil.copy(tmp_path / "tasks.db", copy / "tasks.db")
    shutil.copy(log, copy / "tasks.db-wal")
    store.close()
    size = (copy / "tasks.db-wal").stat().st_size
    last = 30
    for cut in range(size, 0, -size // 7):
        os.truncate(copy / "tasks.db-wal", cut)
        scene = tmp_path / f"cut{cut}"
        shutil.copytree(copy, scene)
        torn = SqliteTasks(scene / "tasks.db")
        found = torn.get("t", None)
        version = found.version if found is not None else 0
        assert version <= last
        last = version
        assert torn.commit([[row_of(99)]]) == [()]
        torn.close()
    assert last < 29


def row_of(version: int) -> Any:
    return to_row(a_task("t", version, payload=b"x" * 5000))


def test_the_file_is_for_this_user_alone(tmp_path: Path) -> None:
    store = SqliteTasks(tmp_path / "tasks.db")
    store.commit([[row_of(1)]])
    for path in tmp_path.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    store.close()


def test_a_second_process_is_told_who_has_the_file(tmp_path: Path) -> None:
    store = SqliteTasks(tmp_path / "tasks.db")
    with pytest.raises(TaskStoreError, match=f"in use by process {os.getpid()}; end it, or"):
        SqliteTasks(tmp_path / "tasks.db", patience_s=0.0)
    store.close()
    SqliteTasks(tmp_path / "tasks.db", patience_s=0.0).close()


@pytest.mark.parametrize("place", [0, 1])
def test_a_damaged_file_is_told_of_and_left_as_it_is(tmp_path: Path, place: int) -> None:
    path = tmp_path / "tasks.db"
    store = SqliteTasks(path)
    store.commit([[row_of(n)] for n in range(1, 9)])
    store.close()
    whole = path.read_bytes()
    damaged = b"no database at all" * 300 if place == 0 else whole[:4096] + b"\xaa" * 30_000
    path.write_bytes(damaged)
    with pytest.raises(TaskStoreError, match=r"tasks\.db cannot be used: .*move it away"):
        use(path)
    assert path.read_bytes()[:20_000] == damaged[:20_000]


def use(path: Path) -> None:
    store = SqliteTasks(path)
    try:
        store.get("t", None)
        for outcome in store.commit([[row_of(100)]]):
            if isinstance(outcome, Exception):
                raise outcome
    finally:
        store.close()


def test_a_file_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    SqliteTasks(tmp_path / "tasks.db").close()
    db = sqlite3.connect(tmp_path / "tasks.db")
    db.execute(f"PRAGMA user_version = {FORMAT + 1}")
    db.close()
    with pytest.raises(TaskStoreError, match="newer version of codetether"):
        SqliteTasks(tmp_path / "tasks.db")


async def test_a_record_that_cannot_be_stored_fails_alone(tmp_path: Path) -> None:
    store = await open_local_tasks(tmp_path, clock=FakeClock(0.0))
    saves = [a_task("a"), a_task("b", context_id="\ud800"), a_task("c", version=2**70), a_task("d")]
    got = await asyncio.gather(*(store.save([one]) for one in saves), return_exceptions=True)
    assert [type(one) for one in got] == [tuple, TaskStoreError, TaskStoreError, tuple]
    assert await store.get("d", None) == a_task("d")
    await store.close()


async def test_a_full_disk_is_told_of_and_when_there_is_room_saves_go_on(tmp_path: Path) -> None:
    sqlite = SqliteTasks(tmp_path / "tasks.db")
    store = LocalTasks(sqlite, clock=FakeClock(0.0))
    (room,) = sqlite._db.execute("PRAGMA max_page_count").fetchone()
    sqlite._db.execute("PRAGMA max_page_count = 20")
    big = a_task(payload=b"x" * 1_000_000)
    with pytest.raises(TaskStoreError, match="cannot be used: database or disk is full"):
        await store.save([big, a_task("t2")])
    assert await store.get("t2", None) is None
    assert await store.save([a_task("small")]) == ()
    sqlite._db.execute(f"PRAGMA max_page_count = {room}")
    assert await store.save([big, a_task("t2")]) == ()
    assert await store.get("t1", None) == big
    await store.close()


async def test_saves_that_wait_together_are_one_transaction(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches: list[int] = []
    commit = SqliteTasks.commit

    def counted(self: SqliteTasks, saves: Any) -> Any:
        batches.append(len(saves))
        return commit(self, saves)

    monkeypatch.setattr(SqliteTasks, "commit", counted)
    store = await open_local_tasks(tmp_path, clock=FakeClock(0.0))
    await asyncio.gather(*(store.save([a_task(f"t{n}")]) for n in range(1000)))
    await store.close()
    assert sum(batches) == 1000
    assert len(batches) < 300


async def test_tasks_go_thirty_days_after_their_end(tmp_path: Path) -> None:
    clock = FakeClock(NOW)
    store = await open_local_tasks(tmp_path, clock=clock)
    await store.save([a_task(f"t{n}", state="completed", updated_at=NOW) for n in range(450)])
    await store.save([held("works", updated_at=NOW)])
    while not clock.sleepers:
        await asyncio.sleep(0.01)
    await clock.advance(30 * 86_400 - 10)
    assert await store.get("t1", None) is not None
    while await store.get("t449", None) is not None or await store.get("t1", None) is not None:
        await clock.advance(3600)
        await asyncio.sleep(0.01)
    assert await store.get("works", None) is not None
    await store.close()
