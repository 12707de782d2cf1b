"""A2A tasks in PostgreSQL, which every replica writes itself: what returned is committed there.

Saves that wait while one is under way share the next statement.
"""

import asyncio
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any

from codetether_ray.core.errors import TaskStoreError
from codetether_ray.ports.clock import Clock
from codetether_ray.ports.tasks import (
    ENDED,
    KEEP_DAYS,
    PushRecord,
    TaskPage,
    TaskQuery,
    TaskRecord,
)
from codetether_ray.stores.postgres_pool import PostgresPool, escaped_all
from codetether_ray.stores.postgres_schema import NAMES, SET, TYPES
from codetether_ray.stores.task_pruning import Pruning
from codetether_ray.stores.task_rules import (
    Row,
    from_token,
    is_repeated,
    page_size,
    to_record,
    to_row,
    to_token,
)

Saves = Sequence[Row]

_ROWS = 1_000
"""Of one statement."""
_UPSERT = f"""
INSERT INTO codetether_tasks AS t ({NAMES}) SELECT * FROM unnest({TYPES})
ON CONFLICT (id) DO UPDATE SET {SET}
WHERE t.owner = excluded.owner AND t.version < excluded.version
    AND (t.holder = excluded.holder OR t.held_until <= excluded.updated_at)
RETURNING id
"""
_ADOPT = f"""
WITH forsaken AS (
    SELECT id, held_until FROM codetether_tasks WHERE asked <> '' AND held_until <= $2
    ORDER BY held_until, id LIMIT $4 FOR UPDATE SKIP LOCKED
)
UPDATE codetether_tasks AS t SET holder = $1, held_until = $3 FROM forsaken
WHERE t.id = forsaken.id
RETURNING {", ".join(f"t.{name}" for name in NAMES.split(", "))}, forsaken.held_until AS since
"""
_RENEW = """
UPDATE codetether_tasks SET held_until = $3 WHERE id IN (
    SELECT id FROM codetether_tasks WHERE id = ANY($2) AND holder = $1 ORDER BY id FOR UPDATE
) RETURNING id
"""
_PRUNE = """
WITH gone AS (
    DELETE FROM codetether_tasks WHERE id IN (
        SELECT id FROM codetether_tasks WHERE state = ANY($1) AND updated_at < $2
        LIMIT $3 FOR UPDATE SKIP LOCKED
    ) RETURNING id
), pushes AS (DELETE FROM codetether_pushes WHERE task_id IN (SELECT id FROM gone))
SELECT count(*) FROM gone
"""
_PUSH = """
INSERT INTO codetether_pushes (task_id, id, owner, payload) VALUES ($1, $2, $3, $4)
ON CONFLICT (task_id, id, owner) DO UPDATE SET payload = excluded.payload
"""


class PostgresTasks:
    """The store port on a pool of connections. One per process and event loop."""

    def __init__(self, pool: PostgresPool, clock: Clock, keep_days: float) -> None:
        """Use an open pool, which is closed with this store; tasks that end are kept so long."""
        self._pool = pool
        self._waiting: deque[tuple[Saves, asyncio.Future[tuple[str, ...]]]] = deque()
        self._writing: asyncio.Task[None] | None = None
        self._is_closed = False
        self._pruning = Pruning(self.prune, keep_days, clock)

    async def save(self, records: Sequence[TaskRecord]) -> tuple[str, ...]:
        """See `TaskStore.save`."""
        if not records:
            return ()
        if self._is_closed:
            raise TaskStoreError("the store of tasks is closed")
        answer: asyncio.Future[tuple[str, ...]] = asyncio.get_running_loop().create_future()
        self._waiting.append(([to_row(record) for record in records], answer))
        if self._writing is None:
            self._writing = asyncio.create_task(self._write_all(), name="saving tasks")
        return await answer

    async def get(self, task_id: str, owner: str | None) -> TaskRecord | None:
        """See `TaskStore.get`."""
        row = await self._pool.ask(
            lambda db: db.fetchrow(f"SELECT {NAMES} FROM codetether_tasks WHERE id = $1", task_id)
        )
        if row is None or (owner is not None and row["owner"] != owner):
            return None
        return to_record(tuple(row))

    async def list(self, query: TaskQuery) -> TaskPage:
        """See `TaskStore.list`."""
        after = from_token(query.page_token) if query.page_token else None
        where, values = _wanted(query)
        size = page_size(query.page_size)

        async def both(db: Any) -> tuple[int, Sequence[Any]]:
            async with db.transaction(isolation="repeatable_read", readonly=True):
                total = await db.fetchval(
                    f"SELECT count(*) FROM codetether_tasks WHERE {where}", *values
                )
                n = len(values)
                text = f" AND (updated_at, id) < (${n + 1}, ${n + 2})" if after else ""
                rows = await db.fetch(
                    f"SELECT {NAMES} FROM codetether_tasks WHERE {where}{text} "
                    f"ORDER BY updated_at DESC, id DESC LIMIT {size + 1}",
                    *values,
                    *(after or ()),
                )
                return total, rows

        total, found = await self._pool.ask(both)
        rows = [tuple(row) for row in found]
        more = to_token(rows[size - 1][5], rows[size - 1][0]) if len(rows) > size else ""
        return TaskPage(tasks=tuple(map(to_record, rows[:size])), next_page_token=more, total=total)

    async def renew(self, holder: str, task_ids: Sequence[str], until: float) -> tuple[str, ...]:
        """See `TaskStore.renew`."""
        if not task_ids:
            return ()
        found = await self._pool.ask(
            lambda db: db.fetch(_RENEW, holder, escaped_all(task_ids), until)
        )
        kept = {row["id"] for row in found}
        return tuple(id for id in dict.fromkeys(task_ids) if id not in kept)

    async def adopt(
        self, holder: str, now: float, until: float, limit: int
    ) -> tuple[TaskRecord, ...]:
        """See `TaskStore.adopt`."""
        found = await self._pool.ask(lambda db: db.fetch(_ADOPT, holder, now, until, max(limit, 0)))
        rows = sorted(found, key=lambda row: (row["since"], row["id"]))
        return tuple(to_record(tuple(row)[:-1]) for row in rows)

    async def save_push(self, record: PushRecord) -> None:
        """See `TaskStore.save_push`."""
        values = (record.task_id, record.id, record.owner, record.payload)
        await self._pool.ask(lambda db: db.execute(_PUSH, *values))

    async def pushes(self, task_id: str, owner: str | None) -> tuple[PushRecord, ...]:
        """See `TaskStore.pushes`."""
        found = await self._pool.ask(
            lambda db: db.fetch(
                "SELECT task_id, id, owner, payload FROM codetether_pushes "
                "WHERE task_id = $1 ORDER BY id, owner",
                task_id,
            )
        )
        return tuple(PushRecord(**row) for row in found if owner in (None, row["owner"]))

    async def delete_push(self, task_id: str, push_id: str, owner: str) -> bool:
        """See `TaskStore.delete_push`."""
        done = await self._pool.ask(
            lambda db: db.execute(
                "DELETE FROM codetether_pushes WHERE task_id = $1 AND id = $2 AND owner = $3",
                task_id,
                push_id,
                owner,
            )
        )
        return bool(done != "DELETE 0")

    async def prune(self, before: float, limit: int) -> int:
        """Remove up to `limit` tasks that ended before a time, with their pushes; how many."""
        ended = sorted(ENDED)
        return int(await self._pool.ask(lambda db: db.fetchval(_PRUNE, ended, before, limit)))

    async def close(self) -> None:
        """See `TaskStore.close`: what was asked for before is done."""
        if self._is_closed:
            return
        self._is_closed = True
        await self._pruning.close()
        if self._writing is not None:
            await asyncio.wait({self._writing})
        await self._pool.close()

    # -- saves ------------------------------------------------------------------------------------

    async def _write_all(self) -> None:
        try:
            while self._waiting:
                batch, size = [self._waiting.popleft()], 0
                while self._waiting and (size := size + len(batch[-1][0])) < _ROWS:
                    batch.append(self._waiting.popleft())
                await self._write_batch(batch)
        finally:
            self._writing = None

    async def _write_batch(
        self, batch: "Sequence[tuple[Saves, asyncio.Future[tuple[str, ...]]]]"
    ) -> None:
        try:
            refused = await self._written([row for rows, _ in batch for row in rows])
        except Exception as error:  # noqa: BLE001 - each caller gets its own
            if len(batch) == 1:
                _settle(batch[0][1], error)
                return
            for one in batch:
                await self._write_batch([one])
            return
        for rows, answer in batch:
            _settle(answer, tuple(dict.fromkeys(r[0] for r in rows if id(r) in refused)))

    async def _written(self, rows: Saves) -> set[int]:
        """Write rows in one transaction; `id()` of those that were refused."""
        groups = [*_apart(rows)]

        async def write(db: Any) -> set[int]:
            if len(groups) == 1:
                return await _write(db, groups[0])
            async with db.transaction():
                return {one for group in groups for one in await _write(db, group)}

        return await self._pool.ask(write)


async def open_postgres_tasks(
    url: str, password: str, clock: Clock, keep_days: float = KEEP_DAYS
) -> PostgresTasks:
    """The store in the database that `url` names, whose tables are made where there are none.

    Args:
        url: `postgresql://user@host:port/database`, without a password.
        password: empty: what PGPASSWORD, or the file that PGPASSFILE names, says.
        clock: tells how old tasks are.
        keep_days: how long tasks are kept that have ended.

    Raises:
        TaskStoreError: the server cannot be reached, says no, or a newer version made the tables.
    """
    return PostgresTasks(await PostgresPool.open(url, password), clock, keep_days)


async def _write(db: Any, rows: Saves) -> set[int]:
    """Write rows of different tasks with one statement; `id()` of those that were refused."""
    in_order = sorted(rows)  # of two replicas that save the same tasks none waits for the other
    columns = [
        escaped_all(column) if isinstance(column[0], str) else column
        for column in zip(*in_order, strict=True)
    ]
    done = {row["id"] for row in await db.fetch(_UPSERT, *columns)}
    if len(done) == len(rows):
        return set()
    missed = [row for row in rows if row[0] not in done]
    found = await db.fetch(
        f"SELECT {NAMES} FROM codetether_tasks WHERE id = ANY($1)",
        escaped_all([row[0] for row in missed]),
    )
    stored = {row["id"]: tuple(row) for row in found}
    return {id(row) for row in missed if not is_repeated(stored.get(row[0]), row)}


def _apart(rows: Saves) -> Iterator[Saves]:
    """Groups of rows, in order, no task twice in one."""
    group: dict[str, Row] = {}
    for row in rows:
        if row[0] in group:
            yield [*group.values()]
            group = {}
        group[row[0]] = row
    yield [*group.values()]


def _wanted(query: TaskQuery) -> tuple[str, Sequence[object]]:
    """The condition of a query and its values."""
    asked: tuple[tuple[str, object], ...] = (
        ("owner =", query.owner),
        ("context_id =", query.context_id or None),
        ("state =", query.state or None),
        ("updated_at >=", query.updated_after),
    )
    used = [(text, value) for text, value in asked if value is not None]
    words = " AND ".join(f"{text} ${n}" for n, (text, _) in enumerate(used, 1))
    return words, [value for _, value in used]


def _settle(answer: "asyncio.Future[tuple[str, ...]]", given: tuple[str, ...] | Exception) -> None:
    if answer.done():
        return
    if isinstance(given, Exception):
        answer.set_exception(given)
    else:
        answer.set_result(given)
