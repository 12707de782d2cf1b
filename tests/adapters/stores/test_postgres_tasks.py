"""Tasks in PostgreSQL: the contract, two replicas, a server that is killed, a wrong password."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codetether_ray.core.errors import TaskStoreError
from codetether_ray.testing.clock import FakeClock
from tests.adapters.stores.postgres import Postgres, a_postgres, binaries
from tests.contracts.task_model import STEPS, agree
from tests.contracts.tasks import NOW, TaskStoreContract, a_task, held

asyncpg = pytest.importorskip("asyncpg")
pytestmark = pytest.mark.skipif(binaries() is None, reason="PostgreSQL is not installed")


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    with a_postgres() as server:
        yield server


async def opened(server: Postgres) -> Any:
    from codetether_ray.stores.postgres_tasks import open_postgres_tasks

    return await open_postgres_tasks(server.url, server.password, FakeClock(0.0))


async def emptied(server: Postgres) -> Any:
    store = await opened(server)
    await store._pool.ask(lambda db: db.execute("TRUNCATE codetether_tasks, codetether_pushes"))
    return store


class TestPostgresTasks(TaskStoreContract):
    @pytest.fixture
    async def store(self, server: Postgres) -> AsyncIterator[Any]:
        store = await emptied(server)
        yield store
        await store.close()

    async def test_two_replicas_share_it_and_one_wins_each_task(
        self, store: Any, server: Postgres
    ) -> None:
        other = await opened(server)
        await store.save([held(f"t{n}", held_until=NOW - 1) for n in range(40)])
        adopting = [(store, other)[n % 2].adopt(f"r{n % 2}", NOW, NOW + 9, 5) for n in range(10)]
        got = [task.id for tasks in await asyncio.gather(*adopting) for task in tasks]
        while more := await other.adopt("r1", NOW, NOW + 9, 5):
            got += [task.id for task in more]
        assert sorted(got) == sorted(f"t{n}" for n in range(40))
        await other.close()

    async def test_replicas_that_write_the_same_tasks_at_once_get_along(
        self, store: Any, server: Postgres
    ) -> None:
        other = await opened(server)
        ids = [f"t{n}" for n in range(30)]
        for version in range(1, 6):
            forth, back = (
                [a_task(id, version, payload=word) for id in order]
                for order, word in ((ids, b"forth"), (ids[::-1], b"back"))
            )
            refused = await asyncio.gather(store.save(forth), other.save(back))
            assert sorted(id for some in refused for id in some) == sorted(ids)
        await other.close()

    async def test_a_record_that_cannot_be_stored_fails_alone(self, store: Any) -> None:
        odd = (a_task("b", context_id="\ud800"), a_task("c", version=2**70))
        saves = [a_task("a"), *odd, a_task("d")]
        got = await asyncio.gather(*(store.save([one]) for one in saves), return_exceptions=True)
        assert [type(one) for one in got] == [tuple, TaskStoreError, TaskStoreError, tuple]


@given(st.text(st.sampled_from("\0\x1a01a"), max_size=9))
def test_a_text_that_postgres_has_not_is_written_as_another_one(text: str) -> None:
    from codetether_ray.stores.postgres_pool import escaped, unescaped

    assert unescaped(escaped(text)) == text
    assert "\0" not in escaped(text)


def test_it_does_what_the_port_says_in_any_order(server: Postgres) -> None:
    loop = asyncio.new_event_loop()
    store = loop.run_until_complete(emptied(server))

    @settings(max_examples=40, deadline=None)
    @given(STEPS)
    def scene(steps: list[tuple[Any, ...]]) -> None:
        loop.run_until_complete(
            store._pool.ask(lambda db: db.execute("TRUNCATE codetether_tasks, codetether_pushes"))
        )
        loop.run_until_complete(agree(store, steps))

    try:
        scene()
    finally:
        loop.run_until_complete(store.close())
        loop.close()


async def test_saves_that_returned_are_there_after_the_server_was_killed_and_others_go_on(
    server: Postgres,
) -> None:
    store = await emptied(server)
    acknowledged: dict[str, int] = {}

    async def write(name: str) -> None:
        for version in range(1, 26):
            assert await store.save([a_task(name, version)]) == ()
            acknowledged[name] = version

    writers = [asyncio.create_task(write(f"t{n}")) for n in range(20)]
    while sum(acknowledged.values()) < 100:
        await asyncio.sleep(0.001)
    await asyncio.to_thread(server.kill)
    before = dict(acknowledged)
    await asyncio.to_thread(server.start)
    for name, version in before.items():
        kept = await store.get(name, "ada")
        assert kept is not None
        assert kept.version >= version
    await asyncio.gather(*writers)
    assert await store.get("t19", None) == a_task("t19", 25)
    await store.close()


class TornPool:
    """Its connection breaks, and is the pool's again before anyone can end it."""

    def __init__(self, broken: Exception) -> None:
        self.broken, self.asked = broken, 0

    @asynccontextmanager
    async def acquire(self, *, timeout: float) -> AsyncIterator["TornPool"]:
        yield self

    def terminate(self) -> None:
        said = "cannot call Connection.terminate(): connection has been released back to the pool"
        raise asyncpg.InterfaceError(said)

    async def work(self, _: Any) -> str:
        self.asked += 1
        if self.asked == 1:
            raise self.broken
        return "done"


@pytest.mark.parametrize(
    "broken",
    [
        asyncpg.ConnectionDoesNotExistError("connection was closed in the middle of operation"),
        asyncpg.InterfaceError(
            "cannot call Connection.fetch(): connection has been released back to the pool"
        ),
    ],
)
async def test_a_connection_that_the_pool_took_back_as_it_broke_is_asked_again(
    broken: Exception,
) -> None:
    from codetether_ray.stores.postgres_pool import PostgresPool

    torn = TornPool(broken)
    assert await PostgresPool(torn).ask(torn.work) == "done"
    assert torn.asked == 2


async def test_a_password_comes_from_the_environment_and_is_in_no_error(
    server: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    from codetether_ray.stores.postgres_tasks import open_postgres_tasks

    monkeypatch.setenv("PGPASSWORD", server.password)
    store = await open_postgres_tasks(server.url, "", FakeClock(0.0))
    await store.close()
    with pytest.raises(TaskStoreError, match="cannot be used: password") as found:
        await open_postgres_tasks(server.url, "not-this-one", FakeClock(0.0))
    assert "not-this-one" not in str(found.value)
    with pytest.raises(TaskStoreError, match="closed"):
        await store.save([a_task()])


async def test_a_server_that_is_nowhere_is_told_of() -> None:
    from codetether_ray.stores.postgres_tasks import open_postgres_tasks

    with pytest.raises(TaskStoreError, match="in PostgreSQL cannot be used"):
        await open_postgres_tasks("postgresql://x@/db?host=/nowhere", "", FakeClock(0.0))


async def test_tables_of_a_newer_version_are_left_alone(server: Postgres) -> None:
    store = await emptied(server)
    await store._pool.ask(lambda db: db.execute("UPDATE codetether_format SET format = 99"))
    with pytest.raises(TaskStoreError, match="newer version"):
        await opened(server)
    await store._pool.ask(lambda db: db.execute("UPDATE codetether_format SET format = 1"))
    await store.close()
