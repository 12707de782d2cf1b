"""The platform's tasks as rows: what is asked and changed within one transaction."""

import json
import sqlite3
from collections.abc import Iterator, Sequence

from codetether_ray.core.codec import decode, encode_object
from codetether_ray.core.errors import UnknownWorkerError, UnknownWorkError, WorkTakenError
from codetether_ray.core.work import Change, Changes, Output, Worker, WorkStatus, WorkTask

FORMAT = 1
"""Of the tables, kept as SQLite's `user_version`."""
TABLES = """
CREATE TABLE tasks (
    n INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, owner TEXT NOT NULL,
    tenant TEXT NOT NULL, status TEXT NOT NULL, priority INTEGER NOT NULL,
    worker_id TEXT NOT NULL, lease_until REAL NOT NULL, body TEXT NOT NULL,
    printed INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX tasks_offered ON tasks (tenant, priority DESC, n) WHERE status = 'pending';
CREATE INDEX tasks_held ON tasks (worker_id, lease_until) WHERE status = 'running';
CREATE INDEX tasks_owned ON tasks (owner, n);
CREATE TABLE events (
    source TEXT NOT NULL, event TEXT NOT NULL, task_id TEXT NOT NULL, PRIMARY KEY (source, event)
) STRICT, WITHOUT ROWID;
CREATE INDEX events_of ON events (task_id);
CREATE TABLE workers (
    id TEXT PRIMARY KEY, tenant TEXT NOT NULL, seen_at REAL NOT NULL, body TEXT NOT NULL
) STRICT;
CREATE TABLE outputs (
    n INTEGER PRIMARY KEY AUTOINCREMENT, task_id TEXT NOT NULL, lease INTEGER NOT NULL,
    text TEXT NOT NULL
) STRICT;
CREATE INDEX outputs_of ON outputs (task_id, n);
CREATE TABLE expected (
    task_id TEXT NOT NULL, lease INTEGER NOT NULL, seq INTEGER NOT NULL,
    PRIMARY KEY (task_id, lease)
) STRICT, WITHOUT ROWID;
CREATE TABLE changes (
    n INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, task_id TEXT NOT NULL
) STRICT;
CREATE INDEX changes_of ON changes (task_id);
"""
MAX_OUTPUT_BYTES = 4_000_000
"""Kept of one task; what comes after is counted and dropped."""
MAX_CHANGES = 10_000
"""Kept for workers that come back."""
DROPPED = "[output: no more is kept of this task]"


class SqliteWorkTables:
    """See `ports.work.WorkTables`; used by one thread, within a transaction of its owner's."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    # -- tasks ------------------------------------------------------------------------------------

    def add(self, task: WorkTask) -> None:
        """See `WorkTables.add`."""
        try:
            self._db.execute(
                "INSERT INTO tasks (id, owner, tenant, status, priority, worker_id, lease_until,"
                " body) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (task.id, task.owner, task.tenant, task.status, task.wish.priority,
                 task.worker_id, task.lease_until, _text(task)),
            )  # fmt: skip
        except sqlite3.IntegrityError:
            raise WorkTakenError(task.id, "is there already; choose another id") from None

    def task(self, task_id: str) -> WorkTask:
        """See `WorkTables.task`."""
        found = self._db.execute("SELECT body FROM tasks WHERE id = ?", (task_id,)).fetchone()
        if found is None:
            raise UnknownWorkError(task_id)
        return _task(found[0])

    def put(self, task: WorkTask) -> None:
        """See `WorkTables.put`."""
        self._db.execute(
            "UPDATE tasks SET status = ?, worker_id = ?, lease_until = ?, body = ? WHERE id = ?",
            (task.status, task.worker_id, task.lease_until, _text(task), task.id),
        )

    def offered(self, tenant: str) -> Iterator[WorkTask]:
        """See `WorkTables.offered`."""
        rows = self._db.execute(
            "SELECT body FROM tasks WHERE status = 'pending' AND tenant = ?"
            " ORDER BY priority DESC, n",
            (tenant,),
        )
        for (body,) in rows:
            yield _task(body)

    def held(self, worker_id: str) -> tuple[WorkTask, ...]:
        """See `WorkTables.held`."""
        return self._tasks(
            "SELECT body FROM tasks WHERE status = 'running' AND worker_id = ? ORDER BY n",
            worker_id,
        )

    def overdue(self, now: float) -> tuple[WorkTask, ...]:
        """See `WorkTables.overdue`."""
        return self._tasks(
            "SELECT body FROM tasks WHERE status = 'running' AND lease_until < ? ORDER BY n", now
        )

    def listed(
        self,
        owner: str | None,
        status: WorkStatus | None,
        limit: int,
        before: str | None,
        tenant: str | None = None,
    ) -> tuple[WorkTask, ...]:
        """See `WorkTables.listed`."""
        wheres: list[str] = []
        values: list[object] = []
        if owner is not None:
            wheres.append("owner = ?")
            values.append(owner)
        if tenant is not None:
            wheres.append("tenant = ?")
            values.append(tenant)
        if status is not None:
            wheres.append("status = ?")
            values.append(status)
        if before is not None:
            wheres.append("n < (SELECT n FROM tasks WHERE id = ?)")
            values.append(before)
        where = f" WHERE {' AND '.join(wheres)}" if wheres else ""
        return self._tasks(f"SELECT body FROM tasks{where} ORDER BY n DESC LIMIT ?", *values, limit)

    def asked_by(self, source: str, event: str) -> str | None:
        """See `WorkTables.asked_by`."""
        found = self._db.execute(
            "SELECT task_id FROM events WHERE source = ? AND event = ?", (source, event)
        ).fetchone()
        return None if found is None else str(found[0])

    def note_event(self, source: str, event: str, task_id: str) -> None:
        """See `WorkTables.note_event`."""
        self._db.execute("INSERT OR IGNORE INTO events VALUES (?, ?, ?)", (source, event, task_id))

    def forget(self, before: float, limit: int) -> int:
        """See `WorkTables.forget`."""
        rows = self._db.execute(
            "SELECT id FROM tasks WHERE status IN ('completed', 'failed', 'cancelled')"
            " AND json_extract(body, '$.updated_at') < ? ORDER BY n LIMIT ?",
            (before, limit),
        ).fetchall()
        for table, column in (
            ("outputs", "task_id"), ("expected", "task_id"), ("events", "task_id"),
            ("changes", "task_id"), ("tasks", "id"),
        ):  # fmt: skip
            self._db.executemany(f"DELETE FROM {table} WHERE {column} = ?", rows)
        self._db.execute("DELETE FROM workers WHERE seen_at < ?", (before,))
        return len(rows)

    # -- workers ----------------------------------------------------------------------------------

    def worker(self, worker_id: str) -> Worker:
        """See `WorkTables.worker`."""
        found = self._db.execute("SELECT body FROM workers WHERE id = ?", (worker_id,)).fetchone()
        if found is None:
            raise UnknownWorkerError(worker_id)
        return decode(Worker, json.loads(found[0]))

    def put_worker(self, worker: Worker) -> None:
        """See `WorkTables.put_worker`."""
        self._db.execute(
            "INSERT INTO workers VALUES (?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET"
            " tenant = excluded.tenant, seen_at = excluded.seen_at, body = excluded.body",
            (worker.id, worker.tenant, worker.seen_at, _text(worker)),
        )

    def workers(self, tenant: str | None, since: float) -> tuple[Worker, ...]:
        """See `WorkTables.workers`."""
        rows = self._db.execute(
            "SELECT body FROM workers WHERE seen_at >= ? AND (? IS NULL OR tenant = ?)"
            " ORDER BY seen_at DESC, id LIMIT 1000",
            (since, tenant, tenant),
        ).fetchall()
        return tuple(decode(Worker, json.loads(body)) for (body,) in rows)

    # -- output -----------------------------------------------------------------------------------

    def append(self, task_id: str, lease: int, first: int | None, texts: Sequence[str]) -> int:
        """See `WorkTables.append`."""
        found = self._db.execute(
            "SELECT seq FROM expected WHERE task_id = ? AND lease = ?", (task_id, lease)
        ).fetchone()
        expected = int(found[0]) if found else 0
        start = expected if first is None else first
        if start > expected:
            raise WorkTakenError(
                task_id, f"misses output: number {expected} comes next, this begins at {start}"
            )
        new = texts[expected - start :]
        if not new:
            return expected
        self._keep(task_id, lease, new)
        self._db.execute(
            "INSERT INTO expected VALUES (?, ?, ?)"
            " ON CONFLICT (task_id, lease) DO UPDATE SET seq = excluded.seq",
            (task_id, lease, expected + len(new)),
        )
        return expected + len(new)

    def outputs(self, task_id: str, after: int, limit: int) -> tuple[Output, ...]:
        """See `WorkTables.outputs`."""
        rows = self._db.execute(
            "SELECT n, lease, text FROM outputs WHERE task_id = ? AND n > ? ORDER BY n LIMIT ?",
            (task_id, after, limit),
        ).fetchall()
        return tuple(Output(n=n, lease=lease, text=text) for n, lease, text in rows)

    def _keep(self, task_id: str, lease: int, texts: Sequence[str]) -> None:
        (printed,) = self._db.execute(
            "SELECT printed FROM tasks WHERE id = ?", (task_id,)
        ).fetchone()
        kept: list[tuple[str, int, str]] = []
        for text in texts:
            if printed >= MAX_OUTPUT_BYTES:
                break
            clean = text.encode("utf-8", "replace")  # a lone surrogate is not UTF-8
            printed += len(clean) + 1
            kept.append((task_id, lease, clean.decode("utf-8")))
            if printed >= MAX_OUTPUT_BYTES:
                kept.append((task_id, lease, DROPPED))
        self._db.executemany("INSERT INTO outputs (task_id, lease, text) VALUES (?, ?, ?)", kept)
        self._db.execute("UPDATE tasks SET printed = ? WHERE id = ?", (printed, task_id))

    # -- changes ----------------------------------------------------------------------------------

    def note(self, kind: str, task: WorkTask) -> None:
        """See `WorkTables.note`."""
        done = self._db.execute(
            "INSERT INTO changes (kind, task_id) VALUES (?, ?)", (kind, task.id)
        )
        self._db.execute("DELETE FROM changes WHERE n <= ?", ((done.lastrowid or 0) - MAX_CHANGES,))

    def changes(self, after: int, limit: int) -> Changes:
        """See `WorkTables.changes`."""
        rows = self._db.execute(
            "SELECT changes.n, kind, body FROM changes JOIN tasks ON tasks.id = task_id"
            " WHERE changes.n > ? ORDER BY changes.n LIMIT ?",
            (after, limit),
        ).fetchall()
        items = tuple(Change(n=n, kind=kind, task=_task(body)) for n, kind, body in rows)
        return Changes(items=items, last=items[-1].n if items else after)

    def change_range(self) -> tuple[int, int]:
        """See `WorkTables.change_range`."""
        oldest, newest = self._db.execute("SELECT min(n), max(n) FROM changes").fetchone()
        return int(oldest or 0), int(newest or 0)

    def _tasks(self, query: str, *values: object) -> tuple[WorkTask, ...]:
        return tuple(_task(body) for (body,) in self._db.execute(query, values).fetchall())


def _task(body: str) -> WorkTask:
    return decode(WorkTask, json.loads(body))


def _text(value: WorkTask | Worker) -> str:
    """A value as JSON; a lone surrogate, which UTF-8 has not, is replaced."""
    text = json.dumps(encode_object(value), ensure_ascii=False, allow_nan=False)
    return text.encode("utf-8", "replace").decode("utf-8")
