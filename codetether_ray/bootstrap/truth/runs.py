"""What is asked of the truth about runs: each a plain function on a data directory.

They are called by their names (`Truth.ask`), in this process or on the head.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from codetether_ray.bootstrap import driver
from codetether_ray.bootstrap.replay import all_runs, archived, find_id
from codetether_ray.bootstrap.resuming import Choice, find_resumable, records_of
from codetether_ray.bootstrap.resuming import has_begun as begun
from codetether_ray.bootstrap.run_times import run_times
from codetether_ray.bootstrap.truth.identity import Home
from codetether_ray.core.codec import JsonObject
from codetether_ray.core.errors import RunBusyError, UnknownRunError
from codetether_ray.core.events import RunFinished, RunStarted
from codetether_ray.journal.lease import is_silent, stale_after_s
from codetether_ray.journal.listing import RunSummary, list_runs, sessions_of
from codetether_ray.journal.lock import live_holder
from codetether_ray.journal.reader import read_records
from codetether_ray.journal.segments import run_directory

RECORDS, BEGAN, REREAD = f"{__name__}:records", f"{__name__}:began", f"{__name__}:reread"
REFUSE_BUSY, HAS_BEGUN = f"{__name__}:refuse_busy", f"{__name__}:has_begun"
CHOICE, ROWS, FIND = f"{__name__}:choice", f"{__name__}:rows", f"{__name__}:find"
ALL, RUN_TIMES = f"{__name__}:every", f"{__name__}:times"
SUMS = f"{__name__}:sums"
STANDING, CANCEL = f"{__name__}:standing", f"{__name__}:cancel"

_MOST_BYTES = 8_000_000
"""Of records in one answer: it travels in one piece."""


# -- for drivers ----------------------------------------------------------------------------------


def records(home: Home, run_id: str) -> int:
    """How many records a run has."""
    return records_of(home.data_dir, run_id)


def began(home: Home, run_id: str) -> int:
    """The number of the record with which the try that is under way began."""
    kinds = {RunStarted.tag}
    try:
        found = [r.seq for r in read_records(home.data_dir, run_id, kinds=kinds, fetch=archived())]
    except UnknownRunError:
        return 0
    return found[-1] if found else 0


def reread(home: Home, run_id: str, after: int) -> list[JsonObject]:
    """Records behind `after` as JSON, the first of them that fit one answer; none: no more."""
    found: list[JsonObject] = []
    size = 0
    for record in read_records(home.data_dir, run_id, after=after, fetch=archived()):
        data = record.to_json()
        found.append(data)
        size += len(str(data))
        if size > _MOST_BYTES:
            break
    return found


def refuse_busy(home: Home, run_id: str) -> None:
    """Leave a run alone that is under way elsewhere: its supervisor's files are in use.

    Raises:
        RunBusyError: it is.
    """
    directory = run_directory(home.data_dir, run_id)
    holder = live_holder(directory)
    if holder is not None and not is_silent(directory, stale_after_s()):
        raise RunBusyError(run_id, str(holder), stale_after_s())


def has_begun(home: Home, run_id: str, known: int = 0) -> bool:
    """See `resuming.has_begun`."""
    return begun(home.data_dir, run_id, known)


@dataclass(frozen=True, slots=True, kw_only=True)
class Resumable:
    """The run that a `--resume` goes on with."""

    choice: Choice
    command: JsonObject | None
    """What was asked, by its latest try."""
    result: JsonObject | None
    """What its last record holds, where it has come to an end."""


def choice(home: Home, directory: str, kind: str, named: str) -> Resumable:
    """See `find_resumable`.

    Raises:
        CodetetherError: there is nothing to resume.
    """
    found = find_resumable(home.data_dir, Path(directory), kind, named)
    kinds = {RunStarted.tag, RunFinished.tag}
    command: JsonObject | None = None
    result: JsonObject | None = None
    for record in read_records(home.data_dir, found.run.id, kinds=kinds, fetch=archived()):
        if isinstance(record.event, RunStarted):
            command, result = record.event.command, None
        elif isinstance(record.event, RunFinished):
            result = record.event.summary
    return Resumable(choice=found, command=command, result=result)


# -- for who looks --------------------------------------------------------------------------------


def rows(
    home: Home, limit: int | None, kind: str, directory: str | None, now: float
) -> list[JsonObject]:
    """The newest runs as `row` tells them; of one kind and directory, where those are given."""
    from codetether_ray.bootstrap.truth.rows import row

    if directory is not None:
        found: tuple[RunSummary, ...] = sessions_of(home.data_dir, Path(directory))
    else:
        found = tuple(s for s in list_runs(home.data_dir) if kind in ("", s.kind))
    return [row(summary, home.data_dir, now) for summary in found[:limit]]


def every(home: Home) -> list[str]:
    """Ids of all runs, oldest first."""
    return list(all_runs(home.data_dir))


def find(home: Home, text: str) -> str:
    """See `find_id`."""
    return find_id(home.data_dir, text)


def sums(
    home: Home,
    run_id: str | None,
    since: float,
    with_files: bool,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[JsonObject, tuple[str, ...]]:
    """See `sum_up`; the sums as JSON."""
    from codetether_ray.bootstrap.stats import sum_up

    totals, notes = sum_up(
        home.data_dir, run_id, since, with_files=with_files, fetch=archived(), progress=progress
    )
    return totals.to_json(), notes


# -- for who ends one -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Whether a run is under way, and who is at it."""

    is_alive: bool
    pid: int | None = None
    """None while Ray starts its process again."""


def standing(home: Home, run_id: str) -> Standing:
    """Whether a run is under way.

    Raises:
        UnknownRunError: there is none of that id.
        RunForgottenError: it was removed for good.
    """
    from codetether_ray.bootstrap.tombstones import refuse_forgotten

    found = driver.find(home.data_dir, run_id) or driver.find_unattended(home.data_dir, run_id)
    if found is not None and found.is_alive:
        return Standing(is_alive=True, pid=found.pid)
    if not run_directory(home.data_dir, run_id).exists():
        refuse_forgotten(home.data_dir, run_id)
        raise UnknownRunError(run_id)
    return Standing(is_alive=False)


def cancel(home: Home, run_id: str, principal: str) -> bool:
    """Tell a run to end as Ctrl-C would; False where it was not under way.

    Raises:
        CodetetherError: it is another's, or there is none of that id.
    """
    from codetether_ray.bootstrap.auditing.opening import acting
    from codetether_ray.core.spec import Correlation
    from codetether_ray.ports.audit import Action

    if not standing(home, run_id).is_alive:
        return False
    found = driver.find(home.data_dir, run_id) or driver.find_unattended(home.data_dir, run_id)
    action = Action(
        category="session",
        action="run.cancel",
        resource=run_id,
        principal=principal,
        correlation=Correlation(run_id=run_id),
    )
    with acting(home.data_dir, action, notice=_quiet):
        if found is not None:
            if isinstance(found, driver.Driver):
                driver.ask_to_stop(home.data_dir, run_id)
            driver.stop(found)
    return True


def _quiet(sentence: str) -> None:
    """Into the log of this process: who cancels must not be kept from it by a full disk."""
    os.write(2, f"{sentence}\n".encode())


def times(home: Home) -> list[float]:
    """See `run_times`."""
    return run_times(home.data_dir)
