"""Runs on this disk, to be archived."""

from collections.abc import Sequence
from pathlib import Path

from codetether_ray.core.events import Event, Record, RunFinished, RunStarted
from codetether_ray.core.ids import new_run_id
from codetether_ray.core.spec import Correlation
from codetether_ray.journal.reader import read_records
from codetether_ray.local.journal import LocalJournal

BEGIN = 1_700_000_000.0


def new_run() -> str:
    return new_run_id("session")


def note(text: str) -> Event:
    """Something that may be recorded any number of times."""
    return RunStarted(kind="session", title=text, directory="/nowhere", resumed=True)


def small(count: int = 30, big: int = 0) -> list[Event]:
    """A finished run of some segments; `big` notes are kept as blobs."""
    notes = [note(f"note {n} " + "x" * 100) for n in range(count)]
    large = [note("y" * 100_000 + str(n)) for n in range(big)]
    begun = RunStarted(kind="session", title="a run", directory="/nowhere")
    return [begun, *notes, *large, RunFinished(outcome="completed")]


async def write(
    data: Path, run_id: str, events: Sequence[Event], *, segment_bytes: int = 2_000
) -> list[Record]:
    """Append events, each in a batch of its own; what the journal acknowledged."""
    where = Correlation(run_id=run_id, session_id=run_id)
    journal = await LocalJournal.open(data, run_id, where, segment_bytes=segment_bytes)
    out: list[Record] = []
    try:
        for number, event in enumerate(events):
            record = Record(correlation=where, agent="main", event=event, time=BEGIN + number)
            out += await journal.append([record])
    finally:
        await journal.close()
    return out


def told(data: Path, run_id: str) -> list[str]:
    """What a run's journal holds, as text."""
    return [record.to_text() for record in read_records(data, run_id)]
