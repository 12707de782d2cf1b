"""The platform's tasks in one SQLite file: what waits at once shares a transaction and a flush.

One thread owns the connection. Each piece of work is a savepoint of the batch's transaction, so
that one which fails undoes itself alone; whoever waits is told once the batch is on disk.
"""

import asyncio
import os
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, NamedTuple, TypeVar

from codetether_ray.core.errors import WorkStoreError
from codetether_ray.ports.work import WorkTables
from codetether_ray.stores.work_tables import FORMAT, TABLES, SqliteWorkTables

T = TypeVar("T")
_PATIENCE_S = 30.0
"""How long a transaction waits for another process's."""
_MOST = 500
"""Pieces of work that share a transaction."""


class _Piece(NamedTuple):
    work: Callable[[WorkTables], Any]
    told: "asyncio.Future[Any]"
    loop: asyncio.AbstractEventLoop


class SqliteWork:
    """The store in the file `path`, which is made on first use. See `ports.work.WorkStore`."""

    def __init__(self, path: Path) -> None:
        """Open the file.

        Raises:
            WorkStoreError: it cannot be opened, or a newer version wrote it.
        """
        self._path = path
        self._queue: SimpleQueue[_Piece | None] = SimpleQueue()
        self._is_closed = False
        try:
            self._db = _opened(path)
        except (sqlite3.Error, OSError) as error:
            raise self._told(error) from error
        self._thread = threading.Thread(target=self._run, name="work-store", daemon=True)
        self._thread.start()

    async def do(self, work: Callable[[WorkTables], T]) -> T:
        """See `WorkStore.do`."""
        if self._is_closed:
            raise WorkStoreError(f"{self._path} has been closed")
        loop = asyncio.get_running_loop()
        told: asyncio.Future[T] = loop.create_future()
        self._queue.put(_Piece(work, told, loop))
        return await told

    async def close(self) -> None:
        """See `WorkStore.close`."""
        if not self._is_closed:
            self._is_closed = True
            self._queue.put(None)
            await asyncio.to_thread(self._thread.join)

    # -- in the thread ----------------------------------------------------------------------------

    def _run(self) -> None:
        tables = SqliteWorkTables(self._db)
        is_open = True
        while is_open:
            batch = [self._queue.get()]
            try:
                while len(batch) < _MOST:
                    batch.append(self._queue.get_nowait())
            except Empty:
                pass
            is_open = None not in batch
            self._commit([piece for piece in batch if piece is not None], tables)
        self._db.close()

    def _commit(self, batch: list[_Piece], tables: SqliteWorkTables) -> None:
        answers: list[tuple[Any, Exception | None]] = []
        try:
            self._db.execute("BEGIN IMMEDIATE")
            answers = [self._done(piece, tables) for piece in batch]
            self._db.execute("COMMIT")
        except sqlite3.Error as error:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            answers = [(None, self._told(error)) for _ in batch]
        for piece, (value, failure) in zip(batch, answers, strict=True):
            _tell(piece, value, failure)

    def _done(self, piece: _Piece, tables: SqliteWorkTables) -> tuple[Any, Exception | None]:
        self._db.execute("SAVEPOINT piece")
        try:
            value = piece.work(tables)
        except sqlite3.Error as error:
            failure: Exception = self._told(error)
        except Exception as error:  # noqa: BLE001 - told to its caller; the thread serves others
            failure = error
        else:
            self._db.execute("RELEASE piece")
            return value, None
        self._db.execute("ROLLBACK TO piece")
        self._db.execute("RELEASE piece")
        return None, failure

    def _told(self, error: Exception) -> WorkStoreError:
        return WorkStoreError(f"{self._path} cannot be used: {error}")


def _tell(piece: _Piece, value: Any, failure: Exception | None) -> None:
    def tell() -> None:
        if piece.told.done():
            return
        if failure is not None:
            piece.told.set_exception(failure)
        else:
            piece.told.set_result(value)

    try:
        piece.loop.call_soon_threadsafe(tell)
    except RuntimeError:  # its loop has ended: nobody waits any more
        return


def _opened(path: Path) -> sqlite3.Connection:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    db = sqlite3.connect(path, timeout=_PATIENCE_S, isolation_level=None, check_same_thread=False)
    try:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        _make_tables(db, path)
    except BaseException:
        db.close()
        raise
    return db


def _make_tables(db: sqlite3.Connection, path: Path) -> None:
    db.execute("BEGIN IMMEDIATE")
    (found,) = db.execute("PRAGMA user_version").fetchone()
    if found == 0:
        for statement in filter(str.strip, TABLES.split(";")):
            db.execute(statement)
        db.execute(f"PRAGMA user_version = {FORMAT}")
    db.execute("COMMIT")
    if found > FORMAT:
        raise WorkStoreError(
            f"{path} was written by a newer version of codetether; use that one, or move it away"
        )
