"""OKRs and their runs in one SQLite file: every change is a transaction, on disk when it returns.

Processes and threads may share the file: a change begins by taking the write lock, so that of two
that decide the same thing the second sees what the first decided.
"""

import json
import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from codetether_ray.core import failpoints
from codetether_ray.core.codec import decode, encode_object
from codetether_ray.core.errors import OkrStoreError, UnknownOkrError
from codetether_ray.core.measures import KrReading
from codetether_ray.core.okrs import Okr, OkrRun
from codetether_ray.ports.okrs import Change

FORMAT = 1
"""Of the tables, kept as SQLite's `user_version`."""
_PATIENCE_S = 30.0
"""How long a change waits for another process's."""
_TABLES = """
CREATE TABLE okrs (
    n INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, version INTEGER NOT NULL, body TEXT NOT NULL
) STRICT;
CREATE TABLE runs (
    n INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, version INTEGER NOT NULL, body TEXT NOT NULL,
    okr_id TEXT NOT NULL REFERENCES okrs (id)
) STRICT;
CREATE TABLE readings (
    n INTEGER PRIMARY KEY, run_id TEXT NOT NULL REFERENCES runs (id), kr_id TEXT NOT NULL,
    turn INTEGER NOT NULL, body TEXT NOT NULL, UNIQUE (run_id, kr_id, turn)
) STRICT;
"""
_AWAY = "; move it away to begin with an empty one (what runs measured is in their journals too)"
T = TypeVar("T")


class SqliteOkrs:
    """The store in the file `path`, which is made on first use."""

    def __init__(self, path: Path) -> None:
        """Open the file.

        Raises:
            OkrStoreError: it cannot be opened, or a newer version wrote it.
        """
        self._path = path
        self._lock = threading.RLock()
        with self._told():
            self._db = _opened(path)
        try:
            self._make_tables()
        except BaseException:
            self._db.close()
            raise

    def add(self, okr: Okr, run: OkrRun | None = None) -> None:
        """See `OkrStore.add`."""
        with self._changing():
            self._db.execute(
                "INSERT INTO okrs (id, version, body) VALUES (?, ?, ?)",
                (okr.id, okr.version, _text(okr)),
            )
            if run is not None:
                self._insert_run(run)

    def add_run(self, run: OkrRun) -> None:
        """See `OkrStore.add_run`."""
        with self._changing():
            self._okr(run.okr_id)
            self._insert_run(run)

    def okr(self, okr_id: str) -> Okr:
        """See `OkrStore.okr`."""
        with self._reading():
            return self._okr(okr_id)

    def okrs(self) -> tuple[Okr, ...]:
        """See `OkrStore.okrs`."""
        return self._all("SELECT body FROM okrs ORDER BY n", (), Okr)

    def run(self, run_id: str) -> OkrRun:
        """See `OkrStore.run`."""
        with self._reading():
            return self._run(run_id)

    def runs(self) -> tuple[OkrRun, ...]:
        """See `OkrStore.runs`."""
        return self._all("SELECT body FROM runs ORDER BY n", (), OkrRun)

    def change(
        self, run_id: str, change: Change, readings: tuple[KrReading, ...] = ()
    ) -> tuple[Okr, OkrRun]:
        """See `OkrStore.change`."""
        with self._changing():
            run = self._run(run_id)
            okr = self._okr(run.okr_id)
            self._keep(run_id, readings)
            new_okr, new_run = change(okr, run, self._readings(run_id))
            stored = self._put("okrs", okr, new_okr), self._put("runs", run, new_run)
            failpoints.hit("okr.changing")
        failpoints.hit("okr.changed")
        return stored

    def change_okr(self, okr_id: str, change: Callable[[Okr], Okr]) -> Okr:
        """See `OkrStore.change_okr`."""
        with self._changing():
            okr = self._okr(okr_id)
            return self._put("okrs", okr, change(okr))

    def readings(self, run_id: str) -> tuple[KrReading, ...]:
        """See `OkrStore.readings`."""
        return self._readings(run_id)

    def close(self) -> None:
        """See `OkrStore.close`."""
        with self._lock:
            self._db.close()

    # -- rows -------------------------------------------------------------------------------------

    def _okr(self, okr_id: str) -> Okr:
        return self._one("SELECT body FROM okrs WHERE id = ?", okr_id, Okr, "OKR")

    def _run(self, run_id: str) -> OkrRun:
        return self._one("SELECT body FROM runs WHERE id = ?", run_id, OkrRun, "run of an OKR")

    def _readings(self, run_id: str) -> tuple[KrReading, ...]:
        query = "SELECT body FROM readings WHERE run_id = ? ORDER BY turn, n"
        return self._all(query, (run_id,), KrReading)

    def _one(self, query: str, id: str, cls: type[T], what: str) -> T:
        found = self._db.execute(query, (id,)).fetchone()
        if found is None:
            raise UnknownOkrError(id, what)
        return self._read(cls, found[0])

    def _all(self, query: str, arguments: tuple[str, ...], cls: type[T]) -> tuple[T, ...]:
        with self._reading():
            rows = self._db.execute(query, arguments).fetchall()
        return tuple(self._read(cls, body) for (body,) in rows)

    def _read(self, cls: type[T], body: str) -> T:
        try:
            return decode(cls, json.loads(body))
        except ValueError as error:
            raise OkrStoreError(f"{self._path} holds something damaged: {error}{_AWAY}") from error

    def _insert_run(self, run: OkrRun) -> None:
        self._db.execute(
            "INSERT INTO runs (id, okr_id, version, body) VALUES (?, ?, ?, ?)",
            (run.id, run.okr_id, run.version, _text(run)),
        )

    def _keep(self, run_id: str, readings: tuple[KrReading, ...]) -> None:
        self._db.executemany(
            "INSERT OR IGNORE INTO readings (run_id, kr_id, turn, body) VALUES (?, ?, ?, ?)",
            [(run_id, one.kr_id, one.turn, _text(one)) for one in readings],
        )

    def _put(self, table: str, old: "_Kept", new: "_Kept") -> "_Kept":
        if new == old:
            return old
        stored = replace(new, version=old.version + 1)
        self._db.execute(
            f"UPDATE {table} SET version = ?, body = ? WHERE id = ?",
            (stored.version, _text(stored), old.id),
        )
        return stored

    # -- transactions -----------------------------------------------------------------------------

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """Between taking the write lock and the commit, or the way back."""
        with self._lock, self._told():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    @contextmanager
    def _reading(self) -> Iterator[None]:
        with self._lock, self._told():
            yield

    @contextmanager
    def _told(self) -> Iterator[None]:
        """SQLite's complaints as ours."""
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            how = _AWAY if type(error) is sqlite3.DatabaseError else ""
            raise OkrStoreError(f"{self._path} cannot be used: {error}{how}") from error

    def _make_tables(self) -> None:
        if self._format() == FORMAT:
            return
        with self._changing():
            found = self._format()
            if found > FORMAT:
                raise OkrStoreError(
                    f"{self._path} was written by a newer version of codetether; use that one"
                )
            if found == 0:
                for statement in filter(str.strip, _TABLES.split(";")):
                    self._db.execute(statement)
                self._db.execute(f"PRAGMA user_version = {FORMAT}")

    def _format(self) -> int:
        with self._reading():
            return int(self._db.execute("PRAGMA user_version").fetchone()[0])


_Kept = TypeVar("_Kept", Okr, OkrRun)


@contextmanager
def opened_okrs(path: Path) -> Iterator[SqliteOkrs]:
    """The store, closed at the end."""
    with closing(SqliteOkrs(path)) as store:
        yield store


def _opened(path: Path) -> sqlite3.Connection:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    db = sqlite3.connect(path, timeout=_PATIENCE_S, isolation_level=None, check_same_thread=False)
    try:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        db.execute("PRAGMA foreign_keys = ON")
    except BaseException:
        db.close()
        raise
    return db


def _text(value: Okr | OkrRun | KrReading) -> str:
    """A value as JSON; a lone surrogate, which UTF-8 has not, is replaced."""
    text = json.dumps(encode_object(value), ensure_ascii=False, allow_nan=False)
    return text.encode("utf-8", "replace").decode("utf-8")
