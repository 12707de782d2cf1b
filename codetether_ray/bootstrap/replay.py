"""Reads runs for people: which run is meant, its records, a session's messages."""

import os
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from codetether_ray.bootstrap.tombstones import refuse_forgotten
from codetether_ray.core.errors import JournalError, UnknownRunError, UsageError
from codetether_ray.core.events import DURABLE, Record, RunFinished
from codetether_ray.core.ids import is_run_id
from codetether_ray.journal.encode import restore
from codetether_ray.journal.files import Fetch, RunFiles
from codetether_ray.journal.reader import read_lines, read_records
from codetether_ray.journal.scan import Line
from codetether_ray.journal.segments import events_root, run_directory

if TYPE_CHECKING:
    from codetether_ray.agent.conversation import Conversation

_LOOK_AGAIN_S = 0.5
_SESSION_AGENT = "main"


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which records of a run; offsets are bytes of its stream, the first included."""

    start: int = 0
    until: int | None = None
    kinds: frozenset[str] = frozenset()
    agent: str = ""
    """An agent's path; its children belong to it."""

    def has(self, line: Line) -> bool:
        """Whether a line is asked for; by its head, so that no other line is parsed."""
        agent = line.head.agent
        if self.agent and agent != self.agent and not agent.startswith(f"{self.agent}/"):
            return False
        return not self.kinds or _is_kind(line.head.kind, self.kinds)


def check_kinds(kinds: Collection[str]) -> frozenset[str]:
    """The kinds, of which each names at least one; `model` stands for all `model.…`.

    Raises:
        UsageError: nothing of such a kind is ever recorded.
    """
    for kind in kinds:
        if not any(_is_kind(known, {kind}) for known in DURABLE):
            there_are = ", ".join(sorted(DURABLE))
            raise UsageError(f"nothing of kind {kind!r} is ever recorded; there are {there_are}")
    return frozenset(kinds)


def _is_kind(kind: str, wanted: Collection[str]) -> bool:
    return kind in wanted or kind.partition(".")[0] in wanted


def find_id(data_dir: Path, text: str) -> str:
    """The run that `text` names: its id, or enough of its beginning or end.

    Raises:
        UnknownRunError: no run, or more than one, is meant.
        RunForgottenError: it was removed for good.
    """
    if is_run_id(text) and run_directory(data_dir, text).is_dir():
        return text
    root = events_root(data_dir)
    names = [p.name for p in root.iterdir() if is_run_id(p.name)] if root.is_dir() else []
    found = [name for name in names if name.startswith(text) or name.endswith(text)]
    if len(found) > 1:
        raise UsageError(f"{text!r} may be any of {', '.join(sorted(found)[:5])}; write more of it")
    if not found or not text:
        refuse_forgotten(data_dir, text)
        raise UnknownRunError(text)
    return found[0]


def all_runs(data_dir: Path) -> tuple[str, ...]:
    """Ids of all runs, oldest first."""
    root = events_root(data_dir)
    names = [p.name for p in root.iterdir() if is_run_id(p.name)] if root.is_dir() else []
    return tuple(sorted(names, key=lambda name: name.partition("_")[2]))


def archived() -> Fetch:
    """What reads segments and blobs that only the archive still holds; opened when first needed."""

    @cache
    def store() -> Fetch | None:
        from codetether_ray.bootstrap.archiving.opening import fetcher
        from codetether_ray.config.settings import load_settings

        return fetcher(load_settings(Path.cwd(), os.environ))

    def fetch(run_id: str, name: str, target: Path) -> bool:
        found = store()
        return found is not None and found(run_id, name, target)

    return fetch


def lines_of(
    data_dir: Path, run_id: str, selection: Selection, *, fetch: Fetch | None = None
) -> Iterator[Line]:
    """The lines of a run that are asked for, as they are stored.

    Raises:
        JournalError: the run cannot be read (any further).
    """
    start, until = selection.start, selection.until
    found = read_lines(data_dir, run_id, start=start, until=until, fetch=fetch)
    return (line for line in found if selection.has(line))


def nothing_found(
    data_dir: Path, run_id: str, selection: Selection, *, fetch: Fetch | None = None
) -> str:
    """Why a selection is empty, in a sentence.

    Raises:
        JournalError: the run cannot be read.
    """
    end, agents = 0, set()
    for line in read_lines(data_dir, run_id, fetch=fetch):
        end = line.place.off + line.length
        agents.add(line.head.agent)
    if selection.start >= end:
        return f"run {run_id} ends at byte {end}, so nothing begins at {selection.start} or later"
    path = selection.agent
    if path and not any(a == path or a.startswith(f"{path}/") for a in agents):
        return f"run {run_id} has no agent {path!r}; there are {', '.join(sorted(agents))}"
    return f"no record of run {run_id} is like that"


def followed(
    data_dir: Path,
    run_id: str,
    selection: Selection,
    *,
    fetch: Fetch | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[Line]:
    """`lines_of`, and those that are still to come, until the run ends.

    Raises:
        JournalError: the run cannot be read (any further).
    """
    start, is_over = selection.start, False
    while True:
        for line in read_lines(data_dir, run_id, start=start, until=selection.until, fetch=fetch):
            start = line.place.off + line.length
            is_over = line.head.kind == RunFinished.tag
            if selection.has(line):
                yield line
        if is_over or (selection.until is not None and start >= selection.until):
            return
        sleep(_LOOK_AGAIN_S)


def record_of(data_dir: Path, run_id: str, line: Line, *, fetch: Fetch | None = None) -> Record:
    """The record that a line holds.

    Raises:
        JournalError: this program cannot read it.
    """
    try:
        return restore(line.data, RunFiles(run_directory(data_dir, run_id), fetch))
    except ValueError as error:
        words = f"record {line.data['seq']} of run {run_id} cannot be read: {error}"
        raise JournalError(words) from error


def session_of(
    data_dir: Path, run_id: str, agent: str = "", *, fetch: Fetch | None = None
) -> "Conversation":
    """What an agent of a run (the main one, if none is named) knew at the end.

    Raises:
        JournalError: the run cannot be read.
        UsageError: the run has no such agent.
    """
    from codetether_ray.agent.conversation import Conversation
    from codetether_ray.agent.fold import apply

    path, found = agent or _SESSION_AGENT, Conversation()
    for record in read_records(data_dir, run_id, agent=path, fetch=fetch):
        found = apply(found, record.event)
    if not found.is_started:
        starts = read_records(data_dir, run_id, kinds=("agent.started",), fetch=fetch)
        agents = {record.agent for record in starts}
        there_are = ", ".join(sorted(agents)) or "none"
        raise UsageError(f"run {run_id} has no agent {path!r}; --agent may be one of {there_are}")
    return found
