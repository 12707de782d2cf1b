"""Reads a run without taking it: any process may, also while it is written."""

from collections.abc import Collection, Iterator
from pathlib import Path

from codetether_ray.core.errors import JournalError, UnknownRunError
from codetether_ray.core.events import Record
from codetether_ray.journal.encode import restore
from codetether_ray.journal.scan import Line, RunScan
from codetether_ray.journal.segments import run_directory


def read_lines(data_dir: Path, run_id: str) -> Iterator[Line]:
    """The lines of a run as plain JSON, control lines left out.

    Raises:
        UnknownRunError: there is no such run.
        JournalCorruptError: bytes are damaged or missing.
    """
    directory = run_directory(data_dir, run_id)
    if not directory.is_dir():
        raise UnknownRunError(run_id)
    return (line for line in RunScan(run_id, directory) if not line.is_control)


def read_records(
    data_dir: Path,
    run_id: str,
    *,
    agent: str | None = None,
    kinds: Collection[str] | None = None,
    after: int = -1,
) -> Iterator[Record]:
    """The records of a run whose `seq` is greater than `after`, in order.

    `agent` and `kinds` leave others out without building them.

    Raises:
        UnknownRunError: there is no such run.
        JournalCorruptError: bytes are damaged or missing.
        JournalError: this program cannot read a line's event.
    """
    directory = run_directory(data_dir, run_id)
    for line in read_lines(data_dir, run_id):
        data = line.data
        if data["seq"] <= after or (agent is not None and data["agent"] != agent):
            continue
        if kinds is not None and data["kind"] not in kinds:
            continue
        try:
            yield restore(data, directory)
        except ValueError as error:
            words = f"record {data['seq']} of run {run_id} cannot be read: {error}"
            raise JournalError(words) from error
