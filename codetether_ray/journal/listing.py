"""Which runs there are, by their first and last lines."""

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from codetether_ray.core.codec import decode
from codetether_ray.core.errors import JournalCorruptError, JournalError, UnknownRunError
from codetether_ray.core.events import (
    ChildRunFinished,
    ModelFailed,
    ModelResponded,
    Record,
    RunFinished,
    RunStarted,
)
from codetether_ray.core.ids import is_run_id, run_kind
from codetether_ray.core.usage import Usage
from codetether_ray.journal import lines
from codetether_ray.journal.away import HEAD_LINES, read_note
from codetether_ray.journal.encode import load_payload, restore
from codetether_ray.journal.files import Fetch, RunFiles
from codetether_ray.journal.lease import lease_age_s, stale_after_s
from codetether_ray.journal.lines import CONTROL, LineError
from codetether_ray.journal.lock import Holder, live_holder
from codetether_ray.journal.scan import RunScan
from codetether_ray.journal.segments import Segment, events_root, list_segments, run_directory

RunState = Literal["running", "finished", "interrupted", "damaged"]

_TAIL_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSummary:
    """One run. Times in seconds since the epoch.

    `running`: a process writes it. `finished`: its last record is `run.finished`, with that
    `outcome`. `interrupted`: neither; `detail` says why, where its writer could. `damaged`: it
    cannot be read; `detail` says why, and what its beginning still tells is told.
    """

    id: str
    kind: str = ""
    title: str = ""
    directory: str = ""
    model: str = ""
    state: RunState = "interrupted"
    outcome: str = ""
    detail: str = ""
    started_at: float = 0.0
    updated_at: float = 0.0
    records: int = 0
    holder: Holder | None = None
    is_silent: bool = False
    """The process that writes it has stopped or hangs: whoever resumes the run takes it over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spending:
    """What a run's model calls came to; the cost is None where a price is unknown."""

    usage: Usage = field(default_factory=Usage)
    cost_usd: float | None = 0.0
    calls: int = 0


def list_runs(data_dir: Path, *, newest: int | None = None) -> tuple[RunSummary, ...]:
    """All runs that hold a record, newest change first; `newest`: only those begun last."""
    root = events_root(data_dir)
    names = [p.name for p in root.iterdir() if is_run_id(p.name)] if root.is_dir() else []
    if newest is not None:
        names = sorted(names, key=lambda name: name[4:], reverse=True)[:newest]
    found = [summary for name in names if (summary := _summary(name, root / name))]
    return tuple(sorted(found, key=lambda s: (s.updated_at, s.id), reverse=True))


def find_run(data_dir: Path, run_id: str) -> RunSummary:
    """One run.

    Raises:
        UnknownRunError: there is none of that id.
    """
    directory = run_directory(data_dir, run_id)
    summary = _summary(run_id, directory) if directory.is_dir() else None
    if summary is None:
        raise UnknownRunError(run_id)
    return summary


def sessions_of(data_dir: Path, directory: Path) -> tuple[RunSummary, ...]:
    """The sessions that worked in `directory`, newest change first."""
    here = str(directory.resolve())
    return tuple(
        s for s in list_runs(data_dir) if s.kind == "session" and _resolved(s.directory) == here
    )


def spending(
    data_dir: Path, run_id: str, *, after: int = -1, fetch: Fetch | None = None
) -> Spending:
    """Sum up a run's model calls behind record `after`, and what runs that it started have spent.

    Reads all, but parses those lines alone. `calls` are the run's own. Of what only the archive
    holds nothing is summed up without `fetch`, and no cost is told.
    """
    files = RunFiles(run_directory(data_dir, run_id), fetch)
    everything = files.segments()
    here = [s for s in everything if s.form != "away" or fetch is not None]
    own: list[_Paid] = []
    children: dict[str, _Paid] = {}
    kinds = (ModelResponded.tag, ModelFailed.tag, ChildRunFinished.tag)
    for data in _lines_of_kinds(files, here, *kinds):
        if data["seq"] <= after:
            continue
        payload = _payload(data, files)
        if data["kind"] == ChildRunFinished.tag:
            children[payload["run_id"]] = _paid(payload, 0.0)  # what it says last is the whole
        elif data["kind"] == ModelFailed.tag:
            own.append(_paid(payload, 0.0))
        else:
            own.append(_paid(payload.get("response", {}), None, calls=1))
    paid = [*own, *children.values()]
    is_priced = len(here) == len(everything) and all(p.cost_usd is not None for p in paid)
    return Spending(
        usage=sum((p.usage for p in paid), Usage()),
        cost_usd=sum(p.cost_usd or 0.0 for p in paid) if is_priced else None,
        calls=sum(p.calls for p in paid),
    )


@dataclass(frozen=True, slots=True)
class _Paid:
    """What one record says was spent."""

    usage: Usage
    cost_usd: float | None
    calls: int = 0


def _paid(payload: dict[str, Any], free: float | None, calls: int = 0) -> _Paid:
    """`free`: the cost where none is told."""
    cost = payload.get("cost_usd", free)
    return _Paid(decode(Usage, payload.get("usage", {})), cost, calls)


def _summary(run_id: str, directory: Path) -> RunSummary | None:
    """The run in `directory`; None if it holds no record."""
    known = RunSummary(id=run_id, kind=run_kind(run_id) or "", updated_at=_touched(directory))
    try:
        first, started = _head(run_id, directory)
        if started is not None:
            known = _begun(known, started)
        last, reason = _last(directory)
        if first is None or last is None:
            return None
        known = replace(known, kind=known.kind if started else "", started_at=first.time)
        summary = _summed(known, last, directory)
        return replace(summary, detail=reason) if summary.state == "interrupted" else summary
    except JournalCorruptError as error:
        return replace(known, state="damaged", detail=str(error))
    except (OSError, JournalError, ValueError) as error:
        return replace(known, state="damaged", detail=f"run {run_id} cannot be read: {error}")


def _begun(known: RunSummary, started: RunStarted) -> RunSummary:
    return replace(
        known,
        kind=started.kind,
        title=started.title,
        directory=started.directory,
        model=started.model,
    )


def _summed(known: RunSummary, last: Record, directory: Path) -> RunSummary:
    finished = last.event if isinstance(last.event, RunFinished) else None
    holder = live_holder(directory)
    age_s = lease_age_s(directory) if holder else None
    state: RunState = "running" if holder else "finished" if finished else "interrupted"
    return replace(
        known,
        state=state,
        outcome=finished.outcome if finished and not holder else "",
        updated_at=last.time,
        records=last.seq + 1,
        holder=holder,
        is_silent=age_s is not None and age_s > stale_after_s(),
    )


def _head(run_id: str, directory: Path) -> tuple[Record | None, RunStarted | None]:
    """The first record, and how the run started."""
    first: Record | None = None
    for data in _first_lines(run_id, directory):
        if data["kind"] in CONTROL:
            continue
        record = restore(data, directory)
        first = first or record
        if isinstance(record.event, RunStarted):
            return first, record.event
    return first, None


def _first_lines(run_id: str, directory: Path) -> Iterator[dict[str, Any]]:
    segments = list_segments(directory)
    if segments and segments[0].form == "away":
        yield from (lines.parse(raw) for raw in read_note(segments[0]))
        return
    for line in islice(RunScan(run_id, directory), HEAD_LINES):
        yield line.data


def _last(directory: Path) -> tuple[Record | None, str]:
    """The last record that is whole, and why its writer had to stop if that is said behind it."""
    reason = ""
    for segment in reversed(list_segments(directory)):
        for raw in reversed(_tail(segment)):
            try:
                data = lines.parse(raw)
            except LineError:
                continue  # a torn last line, or the middle of one where the tail was cut out
            if data["kind"] not in CONTROL:
                return restore(data, directory), reason
            if data["kind"] == lines.STOPPED:
                reason = str(data["payload"].get("reason", ""))
    return None, reason


def _tail(segment: Segment) -> list[bytes]:
    if segment.form == "away":
        return read_note(segment)
    if segment.form == "gzip":
        end = segment.end or 0
        start = max(segment.start, end - _TAIL_BYTES)
        _, file = RunFiles(segment.path.parent).open(segment, start)
        with file:
            return file.read().split(b"\n")[:-1]
    with segment.path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - _TAIL_BYTES))
        return file.read().split(b"\n")[:-1]


def _lines_of_kinds(
    files: RunFiles, segments: Iterable[Segment], *kinds: str
) -> Iterator[dict[str, Any]]:
    wanted = re.compile("|".join(re.escape(f'"kind":"{kind}"') for kind in kinds).encode())
    for segment in segments:
        _, file = files.open(segment)
        with file:
            for raw in file:
                if wanted.search(raw):
                    data = _loads(raw)
                    if data.get("kind") in kinds:
                        yield data


def _loads(raw: bytes) -> dict[str, Any]:
    try:
        data: dict[str, Any] = json.loads(raw)
    except ValueError:  # torn, or damaged: reading the run names it
        return {}
    return data


def _payload(data: dict[str, Any], files: RunFiles) -> dict[str, Any]:
    blob = data.get("blob")
    return dict(data["payload"] if blob is None else load_payload(blob["sha256"], files))


def _touched(directory: Path) -> float:
    try:
        return directory.stat().st_mtime
    except OSError:
        return 0.0


def _resolved(directory: str) -> str:
    return str(Path(directory).resolve()) if directory else ""
