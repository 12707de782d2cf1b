"""What is under way in a data directory: runs, their agents, what they use; cheap to ask again.

Asked for the first time, the journals of runs under way are read; after that, only what has been
added to them. Of runs that nobody writes no more than their first and last lines are read.
"""

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, cast

from codetether_ray.core.codec import JsonObject, JsonValue
from codetether_ray.core.errors import CodetetherError
from codetether_ray.core.events import RunStarted
from codetether_ray.core.ids import is_run_id, run_kind
from codetether_ray.journal.encode import restore
from codetether_ray.journal.files import RunFiles
from codetether_ray.journal.lease import LEASE, lease_age_s, stale_after_s
from codetether_ray.journal.listing import RunSummary, find_run, spending
from codetether_ray.journal.lock import LOCK, live_holder
from codetether_ray.journal.reader import read_lines
from codetether_ray.journal.segments import events_root, run_directory
from codetether_ray.telemetry.standing import KINDS, Standing

LOOK = f"{__name__}:look"
_STATE = "top"
_ENDED = 3
"""How many runs that are over are listed, the last to change."""
_AGENTS = 200
"""How many agents of one run are listed; the sums count all."""


class Home(Protocol):
    """What a function finds where the truth is."""

    @property
    def data_dir(self) -> Path:
        """The data directory there."""
        ...


def look(home: Home, ended: int = _ENDED, agents: int = _AGENTS) -> JsonObject:
    """How everything stands in the home's data directory."""
    state = getattr(home, "state", None)
    if state is None:
        return RunWatcher(home.data_dir).look(ended=ended, agents=agents)
    watcher = state.setdefault(_STATE, RunWatcher(home.data_dir))
    return cast("RunWatcher", watcher).look(ended=ended, agents=agents)


@dataclass(slots=True)
class _Followed:
    """A run that is under way, as far as it was read."""

    offset: int = 0
    standing: Standing = field(default_factory=Standing)
    kind: str = ""
    title: str = ""
    directory: str = ""
    started_at: float = 0.0
    problem: str = ""


class RunWatcher:
    """Looks at the runs of one data directory, again and again."""

    def __init__(self, data_dir: Path, clock: Callable[[], float] = time.time) -> None:
        self._data_dir = data_dir
        self._clock = clock
        self._followed: dict[str, _Followed] = {}
        self._quiet: dict[str, int] = {}
        """Runs that nobody wrote, by when their lock had been taken last."""
        self._over: dict[str, tuple[float, JsonObject]] = {}

    def look(self, *, ended: int = _ENDED, agents: int = _AGENTS) -> JsonObject:
        """How everything stands now."""
        now, ids = self._clock(), self._ids()
        live = [run_id for run_id in ids if self._is_live(run_id)]
        for gone in self._followed.keys() - set(live):
            del self._followed[gone]
        runs: list[JsonObject] = [self._under_way(run_id, now, agents) for run_id in live]
        over = [
            found
            for run_id in self._last_changed(ids, live, ended)
            if (found := self._ended(run_id, now))
        ]
        listed: JsonValue = [*runs, *over]
        return {
            "data_dir": str(self._data_dir),
            "at": round(now, 3),
            "runs_total": len(ids),
            "runs_live": len(live),
            "agents_live": sum(_live_agents(run) for run in runs),
            "tokens": sum(int(str(run["tokens"])) for run in runs),
            "cost_usd": _total(runs),
            "runs": listed,
        }

    def _ids(self) -> list[str]:
        """All runs, newest first."""
        root = events_root(self._data_dir)
        names = [path.name for path in root.iterdir()] if root.is_dir() else []
        return sorted((n for n in names if is_run_id(n)), key=lambda n: n[4:], reverse=True)

    def _is_live(self, run_id: str) -> bool:
        """Whether somebody writes a run; a quiet one is asked again when its lock was taken."""
        directory = run_directory(self._data_dir, run_id)
        try:
            taken = (directory / LOCK).stat().st_mtime_ns
        except OSError:
            return False
        if self._quiet.get(run_id) == taken:
            return False
        try:
            if live_holder(directory) is not None:
                self._quiet.pop(run_id, None)
                return True
        except OSError:  # it was removed just now
            return False
        self._quiet[run_id] = taken
        return False

    def _under_way(self, run_id: str, now: float, agents: int) -> JsonObject:
        followed = self._followed.setdefault(run_id, _Followed())
        self._read_on(run_id, followed)
        age_s = lease_age_s(run_directory(self._data_dir, run_id))
        return {
            **_head(run_id, followed.kind, followed.title, followed.directory),
            "state": "running",
            "outcome": None,
            "silent": age_s is not None and age_s > stale_after_s(),
            "started_at": followed.started_at,
            "age_s": round(max(now - (followed.started_at or now), 0.0), 1),
            "problem": followed.problem,
            **followed.standing.to_json(now, agents),
        }

    def _read_on(self, run_id: str, followed: _Followed) -> None:
        """Take in what was recorded since the last look."""
        files = RunFiles(run_directory(self._data_dir, run_id))
        try:
            for line in read_lines(self._data_dir, run_id, start=followed.offset):
                followed.offset = line.place.off + line.length
                if line.head.kind not in KINDS:
                    continue
                record = restore(line.data, files)
                if isinstance(record.event, RunStarted):
                    followed.kind, followed.title = record.event.kind, record.event.title
                    followed.directory = record.event.directory
                    followed.started_at = followed.started_at or record.time
                followed.standing.take(record)
        except (CodetetherError, OSError, ValueError) as error:
            followed.problem = str(error)
        else:
            followed.problem = ""

    def _last_changed(self, ids: list[str], live: list[str], count: int) -> list[str]:
        """Runs that are over, the last to end first; the lease tells when that was."""
        rest = [run_id for run_id in ids if run_id not in set(live)]
        by_time = sorted(rest, key=self._changed_at, reverse=True)
        return by_time[:count]

    def _changed_at(self, run_id: str) -> float:
        directory = run_directory(self._data_dir, run_id)
        for path in (directory / LEASE, directory):
            with suppress(OSError):
                return path.stat().st_mtime
        return 0.0

    def _ended(self, run_id: str, now: float) -> JsonObject | None:
        changed = self._changed_at(run_id)
        known = self._over.get(run_id)
        if known is None or known[0] != changed:
            try:
                found = _over(find_run(self._data_dir, run_id), self._data_dir)
            except (CodetetherError, OSError, ValueError):
                return None
            known = self._over[run_id] = (changed, found)
        updated = float(str(known[1]["updated_at"]))
        return {**known[1], "age_s": round(max(now - updated, 0.0), 1)}


def _head(run_id: str, kind: str, title: str, directory: str) -> JsonObject:
    kind = kind or run_kind(run_id) or ""
    return {"id": run_id, "kind": kind, "title": title, "directory": directory}


def _over(summary: RunSummary, data_dir: Path) -> JsonObject:
    spent = None
    if summary.state != "damaged":
        spent = spending(data_dir, summary.id)
    return {
        **_head(summary.id, summary.kind, summary.title, summary.directory),
        "state": summary.state,
        "outcome": summary.outcome or None,
        "silent": summary.is_silent,
        "problem": summary.detail,
        "started_at": summary.started_at,
        "updated_at": summary.updated_at,
        "tokens": spent.usage.total_tokens if spent else 0,
        "cost_usd": spent.cost_usd if spent else None,
        "agents": [],
    }


def _live_agents(run: JsonObject) -> int:
    states = cast("dict[str, int]", run["agents_by_state"])
    return states.get("running", 0) + states.get("starting", 0)


def _total(runs: list[JsonObject]) -> float | None:
    costs = [cast("float | None", run["cost_usd"]) for run in runs]
    return None if None in costs else round(sum(cost or 0.0 for cost in costs), 6)
