"""A2A tasks in one SQLite file of one process: what was committed survives any crash.

Plain blocking methods. Changes are made by one thread (`task_writer`), reads on connections of
their own, which in WAL mode wait for nobody.
"""

import fcntl
import os
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

from codetether_ray.core.errors import TaskStoreError
from codetether_ray.ports.tasks import ENDED, PushRecord, TaskPage, TaskQuery, TaskRecord
from codetether_ray.stores.task_rules import (
    COLUMNS,
    Row,
    from_token,
    is_repeated,
    page_size,
    to_record,
    to_token,
)
from codetether_ray.stores.task_writer import Outcome, Saves

FORMAT = 1
"""Of the tables, kept as SQLite's `user_version`."""
FILE = "tasks.db"
"""Its name in the data directory."""
_PATIENCE_S = 10.0
"""How long we wait for a process that is about to end and has the file."""
_ROWS = 500
"""Of one statement: ten values each, of the 32,766 that SQLite takes."""
_LOG_BYTES = 64_000_000
"""About what may be in the write-ahead log before it is emptied, whoever waits for that."""
_ROW_LOG_BYTES = 16_000
"""What a row costs there beside its payload: pages of the table and of its indices."""
_ENDED = ", ".join(f"'{state}'" for state in sorted(ENDED))
_TABLES = f"""
CREATE TABLE tasks (
    id TEXT PRIMARY KEY, context_id TEXT NOT NULL, owner TEXT NOT NULL, state TEXT NOT NULL,
    version INTEGER NOT NULL, updated_at REAL NOT NULL, payload BLOB NOT NULL,
    holder TEXT NOT NULL, held_until REAL NOT NULL, asked BLOB NOT NULL
) STRICT;
CREATE INDEX tasks_by_change ON tasks (owner, updated_at, id);
CREATE INDEX tasks_of_context ON tasks (context_id);
CREATE INDEX tasks_left ON tasks (held_until) WHERE asked <> x'';
CREATE INDEX tasks_ended ON tasks (updated_at) WHERE state IN ({_ENDED});
CREATE TABLE pushes (
    task_id TEXT NOT NULL, id TEXT NOT NULL, owner TEXT NOT NULL, payload BLOB NOT NULL,
    PRIMARY KEY (task_id, id, owner)
) STRICT, WITHOUT ROWID;
"""
_NAMES = ", ".join(COLUMNS)
_SET = ", ".join(f"{name} = excluded.{name}" for name in COLUMNS[1:])
_AWAY = "; move it away to begin with an empty one"


class SqliteTasks:
    """The store in the file `path`, which is made on first use and is this process's alone."""

    def __init__(self, path: Path, patience_s: float | None = None) -> None:
        """Open the file. Blocks up to `patience_s` (10 s) where another process has it.

        Raises:
            TaskStoreError: it cannot be opened, is another process's, or a newer version's.
        """
        self._path = path
        self._listing = threading.Lock()
        self._logged = 0
        self._open: deque[sqlite3.Connection] = deque()
        self._lock = -1
        try:
            with self._told():
                path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                patience = _PATIENCE_S if patience_s is None else patience_s
                self._lock = _locked(path, patience)
                os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
                self._db = self._connected()
                self._make_tables()
                self._reader, self._lister = self._connected(), self._connected()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Let go of the file; nobody may be using it any more."""
        for db in reversed(self._open):
            db.close()
        self._open.clear()
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    # -- changes: by one thread -------------------------------------------------------------------

    def commit(self, saves: Sequence[Saves]) -> Sequence[Outcome]:
        """Do several callers' saves in one transaction: refused ids, or an error, for each."""
        try:
            refused = self._committed([row for rows in saves for row in rows])
        except Exception as error:  # noqa: BLE001 - each caller gets its own
            if len(saves) == 1:
                return [error]
            return [self.commit([rows])[0] for rows in saves]
        if not refused:
            return [()] * len(saves)
        return [
            tuple(dict.fromkeys(row[0] for row in rows if id(row) in refused)) for rows in saves
        ]

    def renew(self, holder: str, task_ids: Sequence[str], until: float) -> tuple[str, ...]:
        """See `TaskStore.renew`."""
        with self._changing():
            return tuple(
                id
                for id in dict.fromkeys(task_ids)
                if not self._db.execute(
                    "UPDATE tasks SET held_until = ? WHERE id = ? AND holder = ?",
                    (until, id, holder),
                ).rowcount
            )

    def adopt(self, holder: str, now: float, until: float, limit: int) -> tuple[TaskRecord, ...]:
        """See `TaskStore.adopt`."""
        with self._changing():
            found: Saves = self._db.execute(
                f"SELECT {_NAMES} FROM tasks WHERE asked <> x'' AND held_until <= ? "
                "ORDER BY held_until, id LIMIT ?",
                (now, max(limit, 0)),
            ).fetchall()
            self._db.executemany(
                "UPDATE tasks SET holder = ?, held_until = ? WHERE id = ?",
                [(holder, until, row[0]) for row in found],
            )
        return tuple(to_record((*row[:7], holder, until, row[9])) for row in found)

    def save_push(self, record: PushRecord) -> None:
        """See `TaskStore.save_push`."""
        with self._changing():
            self._db.execute(
                "INSERT OR REPLACE INTO pushes (task_id, id, owner, payload) VALUES (?, ?, ?, ?)",
                (record.task_id, record.id, record.owner, record.payload),
            )

    def delete_push(self, task_id: str, push_id: str, owner: str) -> bool:
        """See `TaskStore.delete_push`."""
        with self._changing():
            gone = self._db.execute(
                "DELETE FROM pushes WHERE task_id = ? AND id = ? AND owner = ?",
                (task_id, push_id, owner),
            ).rowcount
        return bool(gone)

    def prune(self, before: float, limit: int) -> int:
        """Remove up to `limit` tasks that ended before a time, with their pushes; how many."""
        with self._changing():
            gone = self._db.execute(
                f"SELECT id FROM tasks WHERE state IN ({_ENDED}) AND updated_at < ? LIMIT ?",
                (before, limit),
            ).fetchall()
            self._db.executemany("DELETE FROM pushes WHERE task_id = ?", gone)
            self._db.executemany("DELETE FROM tasks WHERE id = ?", gone)
        return len(gone)

    def tidy(self) -> None:
        """Bring what was written from the log into the table's file, waiting for nobody."""
        self._logged = 0
        try:
            self._db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        except sqlite3.Error:  # the log keeps it; the next change tells what is wrong
            return

    # -- reads: `get` and `pushes` by another thread, `list` by any -------------------------------

    def get(self, task_id: str, owner: str | None) -> TaskRecord | None:
        """See `TaskStore.get`."""
        with self._told():
            found = self._reader.execute(
                f"SELECT {_NAMES} FROM tasks WHERE id = ?", (task_id,)
            ).fetchall()
        if not found or (owner is not None and found[0][2] != owner):
            return None
        return to_record(found[0])

    def pushes(self, task_id: str, owner: str | None) -> tuple[PushRecord, ...]:
        """See `TaskStore.pushes`."""
        with self._told():
            found = self._reader.execute(
                "SELECT task_id, id, owner, payload FROM pushes WHERE task_id = ? ORDER BY id",
                (task_id,),
            ).fetchall()
        return tuple(
            PushRecord(task_id=row[0], id=row[1], owner=row[2], payload=row[3])
            for row in found
            if owner is None or row[2] == owner
        )

    def list(self, query: TaskQuery) -> TaskPage:
        """See `TaskStore.list`."""
        where, values = _wanted(query)
        after = from_token(query.page_token) if query.page_token else None
        size = page_size(query.page_size)
        with self._listing, self._told():
            self._lister.execute("BEGIN")
            try:
                (total,) = self._lister.execute(
                    f"SELECT count(*) FROM tasks WHERE {where}", values
                ).fetchone()
                if after is not None:
                    where += " AND (updated_at, id) < (?, ?)"
                    values += after
                found: Saves = self._lister.execute(
                    f"SELECT {_NAMES} FROM tasks WHERE {where} "
                    f"ORDER BY updated_at DESC, id DESC LIMIT {size + 1}",
                    values,
                ).fetchall()
            finally:
                self._lister.execute("ROLLBACK")
        return to_page(found, size, total)

    # -- transactions -----------------------------------------------------------------------------

    def _committed(self, rows: Saves) -> set[int]:
        """Write rows in one transaction; `id()` of those that were refused."""
        groups = [*_apart(rows)]
        with self._told():
            if len(groups) == 1:  # a statement is a transaction, and is on disk when it returns
                refused = self._written(groups[0])
            else:
                with self._changing():
                    refused = [row for group in groups for row in self._written(group)]
        self._logged += sum(len(row[6]) + len(row[9]) + _ROW_LOG_BYTES for row in rows)
        if self._logged > _LOG_BYTES:
            self.tidy()
        return {id(row) for row in refused}

    def _written(self, rows: Saves) -> Saves:
        """Write rows of different tasks with one statement; those that were refused."""
        flat = [value for row in rows for value in row]
        if self._db.execute(_upsert(len(rows)), flat).rowcount == len(rows):
            return []
        return [row for row in rows if not self._has(row)]

    def _has(self, row: Row) -> bool:
        found = self._db.execute(f"SELECT {_NAMES} FROM tasks WHERE id = ?", (row[0],)).fetchall()
        return bool(found) and is_repeated(found[0], row)

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """Between the begin of a transaction and the commit, or the way back."""
        with self._told():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    @contextmanager
    def _told(self) -> Iterator[None]:
        """SQLite's complaints as ours."""
        try:
            yield
        except (sqlite3.Error, OSError, OverflowError, UnicodeError) as error:
            how = _AWAY if type(error) is sqlite3.DatabaseError else ""
            raise TaskStoreError(f"{self._path} cannot be used: {error}{how}") from error

    def _connected(self) -> sqlite3.Connection:
        db = sqlite3.connect(
            self._path, isolation_level=None, check_same_thread=False, cached_statements=256
        )
        self._open.append(db)
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        db.execute("PRAGMA wal_autocheckpoint = 0")  # `tidy` does it
        db.execute(f"PRAGMA journal_size_limit = {_LOG_BYTES}")
        return db

    def _make_tables(self) -> None:
        (found,) = self._db.execute("PRAGMA user_version").fetchone()
        if found > FORMAT:
            raise TaskStoreError(
                f"{self._path} was written by a newer version of codetether; use that one"
            )
        if found == 0:
            with self._changing():
                for statement in filter(str.strip, _TABLES.split(";")):
                    self._db.execute(statement)
                self._db.execute(f"PRAGMA user_version = {FORMAT}")


def to_page(found: "Sequence[Row]", size: int, total: int) -> TaskPage:
    """A page of `size` out of one row more than that, where there are as many."""
    shown = found[:size]
    more = to_token(shown[-1][5], shown[-1][0]) if len(found) > size else ""
    return TaskPage(tasks=tuple(map(to_record, shown)), next_page_token=more, total=total)


def _wanted(query: TaskQuery) -> tuple[str, tuple[object, ...]]:
    """The condition of a query and its values."""
    asked: tuple[tuple[str, object], ...] = (
        ("owner = ?", query.owner),
        ("context_id = ?", query.context_id or None),
        ("state = ?", query.state or None),
        ("updated_at >= ?", query.updated_after),
    )
    used = [(text, value) for text, value in asked if value is not None]
    return " AND ".join(text for text, _ in used), tuple(value for _, value in used)


@lru_cache(maxsize=_ROWS)
def _upsert(rows: int) -> str:
    """Insert so many tasks, or replace them as `task_rules.takes` says."""
    values = ", ".join(["(?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"] * rows)
    return (
        f"INSERT INTO tasks ({_NAMES}) VALUES {values} ON CONFLICT (id) DO UPDATE SET {_SET} "
        "WHERE tasks.owner = excluded.owner AND tasks.version < excluded.version "
        "AND (tasks.holder = excluded.holder OR tasks.held_until <= excluded.updated_at)"
    )


def _apart(rows: Saves) -> Iterator[Saves]:
    """Groups of rows, in order, no task twice in one."""
    group: dict[str, Row] = {}
    for row in rows:
        if row[0] in group or len(group) == _ROWS:
            yield list(group.values())
            group = {}
        group[row[0]] = row
    yield list(group.values())


def _locked(path: Path, patience_s: float) -> int:
    """A descriptor that holds the file for this process, until it is closed or the process dies."""
    lock = os.open(path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    deadline = time.monotonic() + patience_s
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() < deadline:
                time.sleep(0.05)
                continue
            holder = os.pread(lock, 20, 0).decode(errors="replace") or "another one"
            os.close(lock)
            raise TaskStoreError(
                f"{path} is in use by process {holder}; end it, or use another data directory"
            ) from None
        os.ftruncate(lock, 0)
        os.pwrite(lock, str(os.getpid()).encode(), 0)
        return lock
