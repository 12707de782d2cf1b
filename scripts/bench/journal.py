"""Durable events a second, at 1, 10 and 100 writers: ours, the file system's limit, and SQLite.

    python scripts/bench/journal.py [WRITERS …] [--actors]

A writer appends an event and waits until it is on disk, again and again. Against it stand: the
file system's own flushes a second, measured in the same run, times the events that one of our
flushes carries; SQLite in WAL mode with `synchronous=FULL`, one commit a row, the writers taking
turns; and the same behind a batching writer as ours is (one thread, all that waits in one commit).
SQLite keeps the same promise: each event as the JSON text that our line holds, numbered in the run
and for its agent, found by its agent, and returned as a numbered record once it is durable. It has
no checksums and no chain. `--actors` adds ours with the writers in Ray actors (four processes at
most, which share them) and the journal in another.
"""

import asyncio
import json
import os
import sqlite3
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

from codetether_ray.core.events import Record, ToolFinished
from codetether_ray.core.ids import new_run_id
from codetether_ray.core.messages import ToolResult
from codetether_ray.core.spec import Correlation
from codetether_ray.disk.group import borrow_committer, give_back
from codetether_ray.journal.encode import members
from codetether_ray.local.journal import LocalJournal

SECONDS, ROUNDS = 0.8, 7
_PROCESSES = 4
_TABLE = "create table events (seq integer primary key, agent text, agent_seq integer, line text)"
_BY_AGENT = "create index by_agent on events (agent, agent_seq)"


def event(agent: str) -> Record:
    """A result of some 400 bytes, made anew as a publisher does."""
    result = ToolResult(call_id="call_0123456789", name="bash", content="x = 1\n" * 40)
    run = "ses_0000000000_00000000"
    return Record(
        correlation=Correlation(run_id=run, session_id=run),
        agent=agent,
        event=ToolFinished(step=3, result=result),
        time=time.time(),
    )


async def _rate(writers: int, write: Callable[[str], Awaitable[object]]) -> float:
    """Events a second of so many writers, each waiting for its own."""
    count, end = 0, time.perf_counter() + SECONDS

    async def one(agent: str) -> None:
        nonlocal count
        while time.perf_counter() < end:
            await write(agent)
            count += 1

    started = time.perf_counter()
    await asyncio.gather(*(one(f"sub/{n}") for n in range(writers)))
    return count / (time.perf_counter() - started)


async def ours(directory: Path, writers: int) -> tuple[float, float]:
    """Events a second, and events a flush."""
    journal = await LocalJournal.open(directory, new_run_id("session"))
    batches = 0
    sink = journal._writer._sink
    commit = sink.commit

    def counted(chunks):  # type: ignore[no-untyped-def]
        nonlocal batches
        batches += 1
        commit(chunks)

    sink.commit = counted  # type: ignore[method-assign]
    rate = await _rate(writers, lambda agent: journal.append([event(agent)]))
    events = len(journal._writer.index.places(None))
    await journal.close()
    return rate, events / batches


def flushes(directory: Path, size: int) -> float:
    """Appends of `size` bytes, each flushed, a second."""
    descriptor = os.open(directory / "flushes", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    data, count, end = bytes(size), 0, time.perf_counter() + SECONDS / 2
    started = time.perf_counter()
    while time.perf_counter() < end:
        os.write(descriptor, data)
        os.fdatasync(descriptor)
        count += 1
    os.close(descriptor)
    return count / (time.perf_counter() - started)


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    connection.execute("pragma journal_mode=wal")
    connection.execute("pragma synchronous=full")
    connection.execute(_TABLE)
    connection.execute(_BY_AGENT)
    return connection


_INSERT = "insert into events (seq, agent, agent_seq, line) values (?, ?, ?, ?)"
Row = tuple[int, str, int, str]


class _Numbers:
    """Numbers records, as our stream does."""

    def __init__(self) -> None:
        self._seq = 0
        self._agent_seqs: dict[str, int] = {}

    def take(self, record: Record) -> tuple[Row, Record]:
        """The row of a record, and what its caller gets."""
        seq, agent_seq = self._seq, self._agent_seqs.get(record.agent, 0)
        self._seq, self._agent_seqs[record.agent] = seq + 1, agent_seq + 1
        line, payload, _ = members(record, agent_seq)
        numbered = Record(
            correlation=record.correlation,
            agent=record.agent,
            event=record.event,
            time=record.time,
            seq=seq,
            agent_seq=agent_seq,
            payload=payload,
        )
        return (seq, record.agent, agent_seq, line), numbered


async def sqlite_rows(directory: Path, writers: int) -> float:
    """One commit an event, in the caller's thread: no hand-over that would slow it."""
    connection = _connect(directory / f"rows-{writers}.db")
    numbers = _Numbers()

    async def write(agent: str) -> None:
        row, _ = numbers.take(event(agent))
        connection.execute(_INSERT, row)
        await asyncio.sleep(0)

    rate = await _rate(writers, write)
    connection.close()
    return rate


class _SqliteSink:
    """All that waits, in one commit."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def commit(self, chunks) -> None:  # type: ignore[no-untyped-def]
        self._connection.execute("begin")
        self._connection.executemany(_INSERT, [row for chunk in chunks for row, _, _ in chunk])
        self._connection.execute("commit")

    def mark(self) -> None:
        """SQLite keeps its own."""


async def sqlite_batches(directory: Path, writers: int) -> float:
    """SQLite behind our committer: gathered, handed over and answered in the same way."""
    connection = _connect(directory / f"batches-{writers}.db")
    loop, sink = asyncio.get_running_loop(), _SqliteSink(connection)
    committer = borrow_committer(directory)

    numbers, gathered = _Numbers(), []

    def settle(chunks, failure) -> None:  # type: ignore[no-untyped-def]
        for chunk in chunks:
            for _, record, done in chunk:
                if not done.done():
                    done.set_result(record) if failure is None else done.set_exception(failure)

    def told(chunks, failure) -> None:  # type: ignore[no-untyped-def]
        loop.call_soon_threadsafe(settle, chunks, failure)

    def hand_over() -> None:
        nonlocal gathered
        chunk, gathered = gathered, []
        committer.submit(sink, chunk, told)

    async def write(agent: str) -> None:
        done = loop.create_future()
        if not gathered:
            loop.call_soon(hand_over)
        gathered.append((*numbers.take(event(agent)), done))
        await done

    rate = await _rate(writers, write)
    await asyncio.to_thread(give_back, committer)
    connection.close()
    return rate


def _print(case: str, ours: Sequence[float], against: str, others: Sequence[float]) -> None:
    """Medians, and the median of each round's own ratio: the machine is not the same in all."""
    ratios = [mine / other for mine, other in zip(ours, others, strict=True)]
    value, other = statistics.median(ours), statistics.median(others)
    row = {
        "bench": "journal",
        "case": case,
        "unit": "events/s",
        "ours": round(value),
        "against": {against: round(other)},
        "ratio": round(statistics.median(ratios), 2),
    }
    print(json.dumps(row), flush=True)


async def coroutines(writers: int) -> None:
    """The cases of one number of coroutines, in rounds that take turns."""
    rounds = []
    for _ in range(ROUNDS):
        with tempfile.TemporaryDirectory(dir=Path.cwd()) as name:
            directory = Path(name)
            rate, batch = await ours(directory, writers)
            limit = flushes(directory, round(600 * batch)) * batch
            rows = await sqlite_rows(directory, writers)
            batches = await sqlite_batches(directory, writers)
            rounds.append((rate, limit, rows, batches))
    assert threading.active_count() < 10, "a committer was left over"
    rate, limit, rows, batches = zip(*rounds, strict=True)
    case = f"{writers} writers, coroutines"
    _print(case, rate, "flushes/s x events a flush", limit)
    _print(case, rate, "SQLite WAL FULL, a commit a row", rows)
    _print(case, rate, "SQLite WAL FULL, the same batching writer", batches)


class JournalHost:
    """The journal in an actor."""

    async def open(self, directory: str) -> None:
        self._journal = await LocalJournal.open(Path(directory), new_run_id("session"))

    async def append(self, records: list[Record]) -> list[int]:
        """The numbers of the records, once they are on disk."""
        return [record.seq for record in await self._journal.append(records)]

    async def close(self) -> None:
        await self._journal.close()


class Writers:
    """Some of the writers, in an actor."""

    def __init__(self, journal: Any) -> None:
        self._journal = journal

    async def run(self, count: int) -> float:
        """Their events a second."""
        return await _rate(count, lambda agent: self._journal.append.remote([event(agent)]))


def actors(writers: int) -> None:
    """Ours, with the writers in other processes than the journal."""
    import ray

    with tempfile.TemporaryDirectory(dir=Path.cwd()) as name:
        journal = ray.remote(JournalHost).options(num_cpus=0, max_concurrency=1000).remote()
        ray.get(journal.open.remote(name))
        processes = min(writers, _PROCESSES)
        shares = [len(range(n, writers, processes)) for n in range(processes)]
        light = {"num_cpus": 0, "max_concurrency": 1000}
        groups = [ray.remote(Writers).options(**light).remote(journal) for _ in shares]
        ray.get([g.run.remote(1) for g in groups])  # warm
        rates = [
            sum(ray.get([g.run.remote(n) for g, n in zip(groups, shares, strict=True)]))
            for _ in range(ROUNDS)
        ]
        ray.get(journal.close.remote())
        for actor in (journal, *groups):
            ray.kill(actor)
        calls = ray.remote(_Echo).options(**light).remote()
        ray.get(calls.append.remote([]))
        plain = asyncio.run(_calls(calls, writers))
        ray.kill(calls)
    case = f"{writers} writers in {processes} actors"
    _print(case, rates, "calls of an actor that does nothing", [plain] * len(rates))


class _Echo:
    async def append(self, records: list[Record]) -> list[int]:
        return [record.seq for record in records]


async def _calls(actor: Any, writers: int) -> float:
    return await _rate(writers, lambda agent: actor.append.remote([event(agent)]))


def main() -> None:
    """Print the cases."""
    sizes = [int(a) for a in sys.argv[1:] if a.isdigit()] or [1, 10, 100]
    for writers in sizes:
        asyncio.run(coroutines(writers))
    if "--actors" in sys.argv:
        import ray

        ray.init(num_cpus=2, include_dashboard=False, logging_level="error")
        for writers in sizes:
            actors(writers)
        ray.shutdown()


if __name__ == "__main__":
    main()
