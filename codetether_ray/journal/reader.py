"""Reads a run without taking it: any process may, also while it is written."""

from collections.abc import Collection, Iterator
from pathlib import Path

from codetether_ray.core.errors import JournalError, UnknownRunError
from codetether_ray.core.events import Record
from codetether_ray.journal.encode import restore
from codetether_ray.journal.files import Fetch, RunFiles
from codetether_ray.journal.scan import Line, RunScan
from codetether_ray.journal.segments import run_directory


def read_lines(
    data_dir: Path,
    run_id: str,
    *,
    start: int = 0,
    until: int | None = None,
    fetch: Fetch | None = None,
) -> Iterator[Line]:
    """The lines of a run as plain JSON, control lines left out.

    `start` and `until` are byte offsets of the run's stream: lines that begin in that range, an
    offset within a line standing for the next one. Only the bytes of the range are read, and
    checked among themselves. `fetch` gets what only the archive still holds.

    Raises:
        UnknownRunError: there is no such run.
        JournalCorruptError: bytes are damaged or missing.
        JournalError: a segment is in the archive and cannot be fetched.
    """
    directory = run_directory(data_dir, run_id)
    if not directory.is_dir():
        raise UnknownRunError(run_id)
    scan = RunScan(run_id, directory, start=start, until=until, fetch=fetch)
    return (line for line in scan if not line.is_control)


def read_records(
    data_dir: Path,
    run_id: str,
    *,
    agent: str | None = None,
    kinds: Collection[str] | None = None,
    after: int = -1,
    start: int = 0,
    until: int | None = None,
    fetch: Fetch | None = None,
) -> Iterator[Record]:
    """The records of a run whose `seq` is greater than `after`, in order; a range as `read_lines`.

    `agent` and `kinds` leave others out without building them.

    Raises:
        UnknownRunError: there is no such run.
        JournalCorruptError: bytes are damaged or missing.
        JournalError: this program cannot read a line's event, or its segment cannot be fetched.
    """
    files = RunFiles(run_directory(data_dir, run_id), fetch)
    for line in read_lines(data_dir, run_id, start=start, until=until, fetch=fetch):
        head = line.head
        if head.seq <= after or (agent is not None and head.agent != agent):
            continue
        if kinds is not None and head.kind not in kinds:
            continue
        try:
            yield restore(line.data, files)
        except ValueError as error:
            words = f"record {head.seq} of run {run_id} cannot be read: {error}"
            raise JournalError(words) from error
