"""Whose runs there are, and what is asked about them in somebody's name. Called on the truth.

An `owner` (see `Principal.owner`) finds the runs that were asked for in its name and no other, an
owner `TENANT/*` those of all users of a tenant; None finds everybody's. A run that is somebody
else's is answered for as one that is not there.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from codetether_ray.bootstrap.replay import all_runs, archived, find_id, record_of
from codetether_ray.bootstrap.tombstones import refuse_forgotten
from codetether_ray.bootstrap.truth import runs
from codetether_ray.bootstrap.truth.identity import Home
from codetether_ray.bootstrap.truth.runs import Standing
from codetether_ray.core.codec import JsonObject
from codetether_ray.core.errors import (
    JournalError,
    RunForgottenError,
    UnknownRunError,
    UsageError,
)
from codetether_ray.core.events import RunFinished, RunStarted
from codetether_ray.journal.listing import RunSummary, find_run
from codetether_ray.journal.lock import live_holder
from codetether_ray.journal.reader import read_lines, read_records
from codetether_ray.journal.segments import run_directory

PAGE, ONE, CHECK = f"{__name__}:page", f"{__name__}:one", f"{__name__}:check"
FIND, EVERY, ROWS = f"{__name__}:find", f"{__name__}:every", f"{__name__}:rows"
STANDING, CANCEL, READ_ON = f"{__name__}:standing", f"{__name__}:cancel", f"{__name__}:read_on"
LOOK = f"{__name__}:look"

_MOST_BYTES = 4_000_000
"""Of records in one answer."""
_owners: dict[tuple[Path, str], str] = {}
"""Who asked for a run never changes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Some runs, newest first."""

    rows: tuple[JsonObject, ...] = ()
    next: str = ""
    """What the next page begins behind; empty: there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """Records of a run from where it was read to last time."""

    records: tuple[JsonObject, ...] = ()
    offset: int = 0
    """Where to read on, in bytes of the run's stream."""
    is_alive: bool = False
    """Somebody was at the run before this was read: more may come."""


# -- whose ----------------------------------------------------------------------------------------


def is_of(owner: str | None, found: str) -> bool:
    """Whether what is `found`'s is among what `owner` finds."""
    if owner is None or owner == found:
        return True
    return owner.endswith("/*") and found.startswith(owner[:-1])


def owner_of(data_dir: Path, run_id: str) -> str:
    """Who asked for a run first; empty where nothing tells."""
    key = (data_dir, run_id)
    if key not in _owners:
        found = _first_command(data_dir, run_id)
        if found is None:
            return ""
        _owners[key] = str(found.get("principal") or "")
    return _owners[key]


def _first_command(data_dir: Path, run_id: str) -> JsonObject | None:
    try:
        return next(_commands(data_dir, run_id), None)
    except (OSError, ValueError, JournalError, UnknownRunError):
        return None


def command_of(data_dir: Path, run_id: str) -> JsonObject | None:
    """What was asked of a run, by its latest try; None: its beginning is not recorded.

    Raises:
        JournalError: it cannot be read.
    """
    latest: JsonObject | None = None
    for latest in _commands(data_dir, run_id):  # noqa: B007 - the last one is what is wanted
        pass
    return latest


def _commands(data_dir: Path, run_id: str) -> Iterator[JsonObject]:
    for record in read_records(data_dir, run_id, kinds={RunStarted.tag}, fetch=archived()):
        if isinstance(record.event, RunStarted):
            yield record.event.command


def check(home: Home, run_id: str, owner: str | None) -> None:
    """Return if the run is there for the owner.

    Raises:
        UnknownRunError: it is not.
        RunForgottenError: it was, for who finds everybody's.
    """
    if not run_directory(home.data_dir, run_id).is_dir():
        if owner is None:
            refuse_forgotten(home.data_dir, run_id)
        raise UnknownRunError(run_id)
    if owner is not None and not is_of(owner, owner_of(home.data_dir, run_id)):
        raise UnknownRunError(run_id)


def _ids(home: Home, owner: str | None) -> Iterator[str]:
    """Runs of the owner, newest first."""
    for run_id in reversed(all_runs(home.data_dir)):
        if owner is None or is_of(owner, owner_of(home.data_dir, run_id)):
            yield run_id


# -- looking --------------------------------------------------------------------------------------


def every(home: Home, owner: str | None) -> list[str]:
    """Ids of the owner's runs, oldest first."""
    return list(_ids(home, owner))[::-1]


def find(home: Home, text: str, owner: str | None) -> str:
    """The one of the owner's runs that `text` names; see `find_id`.

    Raises:
        UnknownRunError: no run of the owner is meant.
        UsageError: more than one is.
    """
    if owner is None:
        return find_id(home.data_dir, text)
    ids = every(home, owner)
    if text in ids:
        return text
    found = [one for one in ids if text and (one.startswith(text) or one.endswith(text))]
    if len(found) > 1:
        raise UsageError(f"{text!r} may be any of {', '.join(found[:5])}; write more of it")
    if not found:
        raise UnknownRunError(text)
    return found[0]


def rows(
    home: Home, limit: int | None, kind: str, directory: str | None, now: float, owner: str | None
) -> list[JsonObject]:
    """See `runs.rows`; the owner's alone."""
    if owner is None:
        return runs.rows(home, limit, kind, directory, now)
    mine = set(every(home, owner))
    found = [row for row in runs.rows(home, None, kind, directory, now) if row["id"] in mine]
    return found[:limit]


def page(
    home: Home, owner: str | None, kind: str, state: str, limit: int, behind: str, now: float
) -> Page:
    """Up to `limit` runs, newest first; of one kind and state, where those are given.

    `behind` is `next` of the page before.
    """
    from codetether_ray.bootstrap.truth.rows import row

    found: list[JsonObject] = []
    for run_id in _ids(home, owner):
        if behind and run_id.partition("_")[2] >= behind.partition("_")[2]:
            continue
        summary = _summary(home.data_dir, run_id)
        if summary is None or kind not in ("", summary.kind) or state not in ("", summary.state):
            continue
        if len(found) == limit:
            return Page(rows=tuple(found), next=str(found[-1]["id"]))
        found.append(_told(row(summary, home.data_dir, now), home.data_dir))
    return Page(rows=tuple(found))


def one(home: Home, run_id: str, owner: str | None, now: float) -> JsonObject:
    """A run, with its result where it has one.

    Raises:
        UnknownRunError: the owner has no such run.
    """
    from codetether_ray.bootstrap.truth.rows import row

    check(home, run_id, owner)
    out = _told(row(find_run(home.data_dir, run_id), home.data_dir, now), home.data_dir)
    out["result"] = _result(home.data_dir, run_id)
    return out


def _told(row: JsonObject, data_dir: Path) -> JsonObject:
    return {**row, "principal": owner_of(data_dir, str(row["id"])) or None}


def _summary(data_dir: Path, run_id: str) -> RunSummary | None:
    try:
        return find_run(data_dir, run_id)
    except (UnknownRunError, RunForgottenError):  # it went while it was looked for
        return None


def _result(data_dir: Path, run_id: str) -> JsonObject | None:
    """What the last try came to; None where it has not ended, or nothing can be read."""
    result: JsonObject | None = None
    kinds = {RunStarted.tag, RunFinished.tag}
    try:
        for record in read_records(data_dir, run_id, kinds=kinds, fetch=archived()):
            event = record.event
            result = event.summary if isinstance(event, RunFinished) else None
    except (OSError, ValueError, JournalError):
        return None
    return result


def look(home: Home, owner: str | None) -> JsonObject:
    """How everything of the owner's stands; see `top.look`."""
    from codetether_ray.bootstrap.top import look as look_at_all

    seen = look_at_all(home)
    if owner is None:
        return seen
    listed: list[Any] = [
        run
        for run in _objects(seen["runs"])
        if is_of(owner, owner_of(home.data_dir, str(run["id"])))
    ]
    live = [run for run in listed if run["state"] == "running"]
    costs = [run["cost_usd"] for run in live]
    return {
        "data_dir": "",
        "at": seen["at"],
        "runs_total": len(every(home, owner)),
        "runs_live": len(live),
        "agents_live": sum(
            run["agents_by_state"].get(state, 0)
            for run in live
            for state in ("running", "starting")
        ),
        "tokens": sum(run["tokens"] for run in live),
        "cost_usd": None if None in costs else round(sum(costs), 6),
        "runs": listed,
    }


def _objects(value: Any) -> list[Any]:
    return list(value)


# -- following ------------------------------------------------------------------------------------


def read_on(home: Home, run_id: str, owner: str | None, offset: int, after: int) -> Read:
    """The records from `offset` on whose number is above `after`, as many as fit one answer.

    Raises:
        UnknownRunError: the owner has no such run.
        JournalError: it cannot be read.
    """
    check(home, run_id, owner)
    alive = is_under_way(home, run_id)  # before: who ends now is read to the end
    fetch, size = archived(), 0
    found: list[JsonObject] = []
    for line in read_lines(home.data_dir, run_id, start=offset, fetch=fetch):
        if size > _MOST_BYTES:
            return Read(records=tuple(found), offset=offset, is_alive=True)
        offset = line.place.off + line.length
        if line.head.seq > after:
            data = record_of(home.data_dir, run_id, line, fetch=fetch).to_json()
            found.append(data)
            size += line.length
    return Read(records=tuple(found), offset=offset, is_alive=alive)


def is_under_way(home: Home, run_id: str) -> bool:
    """Whether a process writes the run, or one is about to."""
    if live_holder(run_directory(home.data_dir, run_id)) is not None:
        return True
    return runs.standing(home, run_id).is_alive


def standing(home: Home, run_id: str, owner: str | None) -> Standing:
    """See `runs.standing`; the owner's alone."""
    check(home, run_id, owner)
    found = runs.standing(home, run_id)
    return found if found.is_alive else replace(found, is_alive=is_under_way(home, run_id))


def cancel(home: Home, run_id: str, owner: str | None, principal: str) -> bool:
    """See `runs.cancel`; the owner's alone, in the name of `principal`."""
    check(home, run_id, owner)
    return runs.cancel(home, run_id, principal)
