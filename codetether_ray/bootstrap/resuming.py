"""Which run a `--resume` goes on with, and the commands that go on with one."""

import contextlib
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from codetether_ray.bootstrap.tombstones import refuse_forgotten
from codetether_ray.core.errors import (
    JournalCorruptError,
    JournalError,
    RunBusyError,
    UnknownRunError,
    UsageError,
)
from codetether_ray.core.events import (
    GateRun,
    ModelRequested,
    RunStarted,
    SubtaskChanged,
    ToolFinished,
    TurnFinished,
)
from codetether_ray.core.ids import is_run_id
from codetether_ray.journal.listing import RunSummary, find_run, list_runs
from codetether_ray.journal.reader import read_records

NEWEST = ""
"""Instead of a run's id: the newest of the directory that did not finish."""

_VERBS: Mapping[str, str] = MappingProxyType(
    {"session": "run", "swarm": "swarm", "ralph": "ralph run", "relay": "run"}
)
_OVER: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "session": frozenset({"completed", "needs_decision"}),
        "swarm": frozenset({"success"}),
        "ralph": frozenset({"completed"}),
        "relay": frozenset(
            {"completed", "all_met", "converged", "max_rounds", "denied", "cancelled"}
        ),
    }
)
"""Outcomes that are a run's last word; after any other, the same work can be taken up again."""

_PULSE = frozenset(
    kind.tag
    for kind in (RunStarted, ModelRequested, ToolFinished, TurnFinished, SubtaskChanged, GateRun)
)
"""Records that tell when a run was at work, and are read quickly."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """The run to go on with. `passed_over` is a newer one of the same kind that has finished."""

    run: RunSummary
    passed_over: RunSummary | None = None

    def sentences(self) -> Iterator[str]:
        """What a person should know of the choice."""
        newer, verb = self.passed_over, _VERBS[self.run.kind]
        if newer is not None:
            yield (
                f"{newer.id}, the newest {newer.kind} here, has finished ({newer.outcome}); the "
                f"newest that did not is taken up"
            )
        title = " ".join(self.run.title.split())[:60]
        yield f'{verb}: {self.run.id} goes on ("{title}")'


def resume_command(kind: str, run_id: str, *more: str) -> str:
    """The exact command that takes a run's unfinished work up again."""
    words = ("codetether", *_VERBS.get(kind, kind).split(), "--resume", run_id, *more)
    return " ".join(shlex.quote(word) for word in words)


def continue_command(session_id: str, text: str = "go on") -> str:
    """The command that says something more in a session."""
    return f'codetether run --session {shlex.quote(session_id)} "{text}"'


def must_have_its_directory(run: RunSummary) -> None:
    """Refuse to go on with a run whose directory is gone.

    Raises:
        UsageError: it is.
    """
    if run.directory and not Path(run.directory).is_dir():
        raise UsageError(
            f"{run.id} works in {run.directory}, which is not there any more; bring it back under "
            f"that path, or see what was done with `codetether replay {run.id}`"
        )


def is_over(kind: str, outcome: str) -> bool:
    """Whether a run that ended so has nothing left to take up."""
    return outcome in _OVER.get(kind, frozenset())


def is_resumable(run: RunSummary) -> bool:
    """Whether `--resume` would go on with a run."""
    if run.kind not in _VERBS:
        return False
    if run.state == "finished":
        return not is_over(run.kind, run.outcome)
    return run.state == "interrupted" or (run.state == "running" and run.is_silent)


def reason_to_keep_trees(run: RunSummary) -> str | None:
    """Why the trees that a run kept of its steps are still needed; None if they are not."""
    if run.state == "running":
        return f"its run {run.id} is running"
    if run.state == "damaged":
        return f"its run {run.id} is damaged: {run.detail}"
    if is_resumable(run):
        return f"`{resume_command(run.kind, run.id)}` goes on from it"
    return None


def worked_s(data_dir: Path, run_id: str) -> float:
    """How many seconds a run was worked on: each try from its first record to its last.

    What only the archive holds is not counted.
    """
    total, began, last = 0.0, 0.0, 0.0
    with contextlib.suppress(JournalError):
        for record in read_records(data_dir, run_id, kinds=_PULSE):
            if isinstance(record.event, RunStarted):
                total += last - began
                began = record.time
            last = record.time
    return total + last - began


def records_of(data_dir: Path, run_id: str) -> int:
    """How many records a run holds."""
    try:
        return find_run(data_dir, run_id).records
    except UnknownRunError:
        return 0


def has_begun(data_dir: Path, run_id: str, known: int = 0) -> bool:
    """Whether the journal holds what was asked, so that it can be resumed.

    `known` is how many records a session held before it was asked.
    """
    try:
        run = find_run(data_dir, run_id)
    except UnknownRunError:
        return False
    return bool(run.kind) and run.state != "damaged" and run.records > known


@contextlib.contextmanager
def telling_how(
    kind: str, run_id: str, begun: Callable[[str], bool], notice: Callable[[str], None]
) -> Iterator[None]:
    """Where a run that has `begun` ends by an error, say how to go on with it."""
    try:
        yield
    except (RunBusyError, JournalCorruptError, BrokenPipeError):
        raise  # they say themselves what would help, or nobody listens any more
    except Exception:
        if begun(run_id):
            notice(f"what was finished is kept; go on with: {resume_command(kind, run_id)}")
        raise


def find_resumable(data_dir: Path, directory: Path, kind: str, named: str) -> Choice:
    """The run that is named, which may have finished; for `NEWEST` the one to take up.

    Raises:
        UsageError: there is nothing to resume, or `named` is a run of another kind.
        UnknownRunError: there is no such run.
        RunForgottenError: it was removed for good.
        JournalError: it cannot be read.
    """
    if named == NEWEST:
        return choose(list_runs(data_dir), directory, kind)
    if not is_run_id(named):
        raise UnknownRunError(named)
    refuse_forgotten(data_dir, named)
    run = find_run(data_dir, named)
    if run.state == "damaged":
        raise JournalError(run.detail)
    if run.kind != kind:
        if run.kind in _VERBS:
            other = resume_command(run.kind, named)
            raise UsageError(f"{named} is a {run.kind}; go on with it by `{other}`")
        raise UnknownRunError(named)
    return Choice(run=run)


def choose(runs: Sequence[RunSummary], directory: Path, kind: str) -> Choice:
    """The newest of `runs` (newest first) of this kind and directory that did not finish.

    Raises:
        UsageError: there is none; the sentence says what there is.
    """
    here = [run for run in runs if run.kind == kind and is_of(run, directory)]
    for run in here:
        if is_resumable(run):
            newest = here[0]
            is_newer = newest is not run and newest.state == "finished"
            return Choice(run=run, passed_over=newest if is_newer else None)
    raise UsageError(_nothing(kind, here[0] if here else None))


def is_of(run: RunSummary, directory: Path) -> bool:
    """Whether a run works in `directory`."""
    return bool(run.directory) and Path(run.directory).resolve() == directory.resolve()


def newest_session(data_dir: Path, directory: Path) -> RunSummary | None:
    """The session of `directory` that changed last; None if there is none.

    Raises:
        JournalError: it is damaged; the sentence names the one before it.
    """
    here = [run for run in list_runs(data_dir) if run.kind == "session" and is_of(run, directory)]
    if not here or here[0].state != "damaged":
        return here[0] if here else None
    sound = next((run for run in here if run.state != "damaged"), None)
    before = f"; the one before it: {continue_command(sound.id)}" if sound else ""
    raise JournalError(f"the newest session here cannot be continued: {here[0].detail}{before}")


def unreadable_sessions(data_dir: Path) -> tuple[RunSummary, ...]:
    """Damaged sessions of which not even the directory is known."""
    return tuple(
        run
        for run in list_runs(data_dir)
        if run.kind == "session" and run.state == "damaged" and not run.directory
    )


def unfinished_here(runs: Sequence[RunSummary], directory: Path) -> RunSummary | None:
    """The newest run of `directory` that never came to an end, and that nobody drives to one."""
    cut = (run for run in runs if run.state != "finished" and is_resumable(run))
    return next((run for run in cut if is_of(run, directory)), None)


def _nothing(kind: str, newest: RunSummary | None) -> str:
    if newest is None:
        return f"there is nothing to resume: no {kind} has been in this directory"
    if newest.state == "damaged":
        return f"nothing can be resumed: {newest.detail}"
    if newest.state == "running":
        holder = f" ({newest.holder})" if newest.holder else ""
        return f"there is nothing to resume: {newest.id} is running{holder}"
    more = f"; say more to it with {continue_command(newest.id)}" if kind == "session" else ""
    return (
        f"there is nothing to resume: {newest.id}, the newest {kind} here, has finished "
        f"({newest.outcome}){more}"
    )
