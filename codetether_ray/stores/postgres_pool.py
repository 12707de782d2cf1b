"""Connections to PostgreSQL; a server that is away, or is started anew, is asked again."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

import asyncpg

from codetether_ray.core.errors import TaskStoreError
from codetether_ray.stores.postgres_schema import FORMAT, TABLES

T = TypeVar("T")

_CONNECTIONS = 10
_TIMEOUT_S = 30.0
_PATIENCE_S = 30.0
"""For a server that is away."""
_PAUSE_S = 0.2
_ESCAPE = "\x1a"
"""A control character that nobody types: Unicode's word for "substitute"."""
_LOCK = 7_306_231_841
"""The advisory lock under which tables are made: an arbitrary number of ours."""
_AGAIN = (
    OSError,
    TimeoutError,
    asyncpg.InternalClientError,  # the connection broke in the middle of something
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.TooManyConnectionsError,
    asyncpg.DeadlockDetectedError,
    asyncpg.SerializationError,
)
"""The same may work when it is asked again."""


class PostgresPool:
    """Connections of one process and event loop, opened as they are needed."""

    def __init__(self, pool: Any) -> None:
        """Use an open pool of asyncpg's."""
        self._pool = pool
        self._is_closed = False

    @classmethod
    async def open(cls, url: str, password: str) -> "PostgresPool":
        """Connect, and make the tables where there are none.

        Raises:
            TaskStoreError: the server cannot be reached, says no, or has tables of a newer version.
        """
        try:
            pool = await asyncpg.create_pool(
                url,
                password=password or None,
                min_size=0,
                max_size=_CONNECTIONS,
                command_timeout=_TIMEOUT_S,
                timeout=_TIMEOUT_S,
                server_settings={"application_name": "codetether"},
                init=_begin,
                reset=_keep,
            )
        except (OSError, ValueError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            raise _worded(error) from error
        try:
            await _make_tables(pool)
        except BaseException:
            pool.terminate()
            raise
        return cls(pool)

    async def ask(self, work: Callable[[Any], Awaitable[T]]) -> T:
        """What `work` gives for a connection; done again where the server was away.

        Raises:
            TaskStoreError: the server is away for too long, or says no; or this is closed.
        """
        if self._is_closed:
            raise TaskStoreError("the store of tasks is closed")
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _PATIENCE_S
        while True:
            try:
                async with self._pool.acquire(timeout=_TIMEOUT_S) as db:
                    return await _done(work, db)
            except (*_AGAIN, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                if not self._may_help(error) or loop.time() > deadline:
                    raise _worded(error) from error
            await asyncio.sleep(_PAUSE_S)

    async def close(self) -> None:
        """Let go, once what is under way is done."""
        self._is_closed = True
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                await self._pool.close()
        except (*_AGAIN, asyncpg.PostgresError, asyncpg.InterfaceError):
            self._pool.terminate()

    def _may_help(self, error: Exception) -> bool:
        """Whether asking again may; also where a connection was closed, or taken back, under us."""
        if isinstance(error, _AGAIN):
            return True
        if not isinstance(error, asyncpg.InterfaceError) or isinstance(error, asyncpg.DataError):
            return False
        is_gone = any(word in str(error) for word in ("closed", "released back to the pool"))
        return is_gone and not self._is_closed


def escaped(text: str) -> str:
    """A text without a NUL that stands for `text`: for itself, as a rule."""
    return text.replace(_ESCAPE, f"{_ESCAPE}1").replace("\0", f"{_ESCAPE}0")


def escaped_all(texts: Sequence[str]) -> list[str]:
    """For an array, whose texts asyncpg does not escape as it does a single one."""
    return [escaped(text) for text in texts]


def unescaped(text: str) -> str:
    """The other way round."""
    return text.replace(f"{_ESCAPE}0", "\0").replace(f"{_ESCAPE}1", _ESCAPE)


async def _done(work: Callable[[Any], Awaitable[T]], db: Any) -> T:
    """What `work` gives; a connection that broke under it is used no more."""
    try:
        return await work(db)
    except (OSError, TimeoutError, asyncpg.InternalClientError, asyncpg.PostgresConnectionError):
        with contextlib.suppress(asyncpg.InterfaceError):  # the pool saw it first, and took it back
            db.terminate()
        raise


async def _keep(_: Any) -> None:
    """A connection that was used is as it was: a round trip less for each use."""


async def _begin(db: Any) -> None:
    """A commit that returned is on disk, whatever this database has as its default; and ids that
    clients made up may hold a NUL, which no text of PostgreSQL's may."""
    await db.set_type_codec(
        "text", schema="pg_catalog", encoder=escaped, decoder=unescaped, format="text"
    )
    if await db.fetchval("SHOW synchronous_commit") == "off":
        await db.execute("SET synchronous_commit = on")


async def _make_tables(pool: Any) -> None:
    try:
        async with pool.acquire(timeout=_TIMEOUT_S) as db, db.transaction():
            await db.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)  # replicas begin together
            await db.execute("CREATE TABLE IF NOT EXISTS codetether_format (format int NOT NULL)")
            found = await db.fetchval("SELECT format FROM codetether_format")
            if found is None:
                await db.execute(TABLES)
                await db.execute("INSERT INTO codetether_format VALUES ($1)", FORMAT)
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise _worded(error) from error
    if found is not None and found > FORMAT:
        raise TaskStoreError(
            "the tables in PostgreSQL were made by a newer version of codetether; use that one"
        )


def _worded(error: BaseException) -> TaskStoreError:
    """In one line, which holds no password: neither asyncpg nor the server repeats it."""
    line = (str(error).strip() or type(error).__name__).splitlines()[0]
    return TaskStoreError(f"the tasks in PostgreSQL cannot be used: {line}")
