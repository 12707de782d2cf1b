"""Where an ingress without a cluster keeps its tasks, and what it is told of a database."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from codetether_ray.bootstrap.truth.address import LOCAL, Address
from codetether_ray.bootstrap.truth.place import truth_here
from codetether_ray.bootstrap.truth.reach import Reach
from codetether_ray.config.stores import open_secret_store
from codetether_ray.core.errors import ConfigError, TaskStoreError
from codetether_ray.ingress.database import check_url, stored_password
from codetether_ray.ingress.options import IngressOptions
from codetether_ray.ingress.stores import open_tasks
from codetether_ray.ports.secrets import ProviderSecret
from tests.adapters.stores.postgres import Postgres, a_postgres, binaries
from tests.contracts.task_channel import Heard, event, some
from tests.contracts.tasks import a_task

SECRET = "hush-hush"


def reach_of(data_dir: Path) -> Reach:
    return Reach(address=Address(value=LOCAL), truth=truth_here(data_dir))


async def test_tasks_are_in_the_data_directory_and_the_channel_in_this_process(
    tmp_path: Path,
) -> None:
    store, channel = await open_tasks(IngressOptions(), reach_of(tmp_path))
    heard = Heard()
    await channel.attend(heard)
    await store.save([a_task(state="working")])
    async with channel.listen("t1") as events:
        await channel.publish(event(1))
        assert await some(events, 1) == [event(1)]
    await channel.signal("t1", "cancel")
    assert await heard.next() == ("t1", "cancel")
    await channel.close()
    await store.close()
    assert (tmp_path / "tasks.db").exists()
    store, channel = await open_tasks(IngressOptions(), reach_of(tmp_path))
    assert await store.get("t1", "ada") == a_task(state="working")
    await channel.close()
    await store.close()


async def test_a_second_ingress_on_the_same_directory_is_told_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("codetether_ray.stores.tasks._PATIENCE_S", 0.0)
    store, channel = await open_tasks(IngressOptions(), reach_of(tmp_path))
    with pytest.raises(TaskStoreError, match="use another data directory"):
        await open_tasks(IngressOptions(), reach_of(tmp_path))
    await channel.close()
    await store.close()


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://ada:{SECRET}@db/tasks",
        f"postgres://db/tasks?user=ada&password={SECRET}",
        f"mysql://ada:{SECRET}@db/tasks",
        f"ada:{SECRET}@db",
        "postgresql://[::1/x",
    ],
)
def test_an_address_with_a_password_or_of_something_else_is_refused_unseen(url: str) -> None:
    with pytest.raises(ConfigError, match="the tasks' database") as found:
        IngressOptions(tasks_url=url)
    assert SECRET not in str(found.value)


async def test_tasks_in_memory_are_for_one_replica_and_leave_nothing(tmp_path: Path) -> None:
    store, channel = await open_tasks(IngressOptions(tasks_url="memory"), reach_of(tmp_path))
    await store.save([a_task()])
    assert await store.get("t1", "ada") == a_task()
    await channel.close()
    await store.close()
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ConfigError, match="for one replica"):
        IngressOptions(tasks_url="memory", replicas=2)


def test_an_address_without_a_password_is_taken() -> None:
    for url in ("postgresql://ada@db:5433/tasks?sslmode=require", "postgres:///tasks?host=/run"):
        assert check_url(url) == url


async def test_a_password_is_the_environments_or_else_the_secret_stores(tmp_path: Path) -> None:
    assert await stored_password({}, tmp_path) == ""
    await open_secret_store({}, tmp_path).put("postgres", ProviderSecret(api_key=SECRET))
    assert await stored_password({}, tmp_path) == SECRET
    assert await stored_password({"PGPASSWORD": "other"}, tmp_path) == ""
    assert await stored_password({"PGPASSFILE": "/some/file"}, tmp_path) == ""


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    if binaries() is None:
        pytest.skip("PostgreSQL is not installed")
    pytest.importorskip("asyncpg")
    with a_postgres() as server:
        yield server


async def test_tasks_are_in_the_database_that_is_named_with_the_password_of_the_secret_store(
    tmp_path: Path, server: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PGPASSWORD", raising=False)
    monkeypatch.setenv("CODETETHER_DATA_DIR", str(tmp_path))
    from codetether_ray.config.paths import data_dir

    await open_secret_store({}, data_dir()).put("postgres", ProviderSecret(api_key=server.password))
    options = IngressOptions(tasks_url=server.url)
    store, channel = await open_tasks(options, reach_of(tmp_path))
    await store.save([a_task()])
    await store.close()
    await channel.close()
    store, channel = await open_tasks(options, reach_of(tmp_path))
    assert await store.get("t1", "ada") == a_task()
    assert not (tmp_path / "tasks.db").exists()
    await store.close()
    await channel.close()
