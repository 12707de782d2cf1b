"""What is asked of the truth about sessions, when a turn of one is wanted."""

from dataclasses import dataclass, replace
from pathlib import Path

from codetether_ray.bootstrap.replay import archived
from codetether_ray.bootstrap.resuming import (
    find_resumable,
    is_over,
    newest_session,
    resume_command,
    unreadable_sessions,
)
from codetether_ray.bootstrap.session.home import SessionRequest, SessionResult
from codetether_ray.bootstrap.tombstones import refuse_forgotten
from codetether_ray.bootstrap.truth.identity import Home
from codetether_ray.core.codec import JsonObject, decode
from codetether_ray.core.errors import JournalError, UnknownRunError, UsageError
from codetether_ray.core.events import RunFinished, RunStarted, TurnFinished
from codetether_ray.core.spec import TurnResult
from codetether_ray.core.usage import Usage
from codetether_ray.journal.listing import RunSummary, find_run
from codetether_ray.journal.reader import read_records

KNOWN, TAKEN_UP = f"{__name__}:known", f"{__name__}:taken_up"


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """The session to go on with; `lost` tells of those that could not be read."""

    run: RunSummary | None
    lost: tuple[str, ...] = ()


def known(home: Home, session_id: str | None, directory: str) -> Known:
    """The session that is named, or the newest of `directory`, if there is one.

    Raises:
        UnknownRunError: the session that was named does not exist.
        RunForgottenError: it was removed for good.
        JournalError: the newest one is damaged.
    """
    if session_id is None:
        lost = tuple(found.detail for found in unreadable_sessions(home.data_dir))
        return Known(run=newest_session(home.data_dir, Path(directory)), lost=lost)
    refuse_forgotten(home.data_dir, session_id)
    run = find_run(home.data_dir, session_id)
    if run.kind != "session":
        raise UnknownRunError(session_id)
    return Known(run=run)


@dataclass(frozen=True, slots=True, kw_only=True)
class TakenUp:
    """The session whose last turn is taken up: what was asked, or its result where it is over."""

    run: RunSummary
    sentences: tuple[str, ...] = ()
    request: SessionRequest | None = None
    result: SessionResult | None = None


def taken_up(home: Home, directory: str, named: str) -> TakenUp:
    """See `find_resumable`.

    Raises:
        CodetetherError: there is nothing to take up.
    """
    choice = find_resumable(home.data_dir, Path(directory), "session", named)
    run = choice.run
    if run.state == "finished" and is_over("session", run.outcome):
        return TakenUp(run=run, result=recorded_result(home.data_dir, run.id))
    request = recorded_request(home.data_dir, run.id)
    return TakenUp(run=run, sentences=tuple(choice.sentences()), request=request)


def recorded_request(data_dir: Path, session_id: str) -> SessionRequest:
    """The request of the latest try.

    Raises:
        UsageError: an older version wrote it, which did not keep its request.
        JournalError: it cannot be read.
    """
    records = read_records(data_dir, session_id, kinds={RunStarted.tag}, fetch=archived())
    tries = [r.event.command for r in records if isinstance(r.event, RunStarted)]
    if not tries or not tries[-1]:
        raise UsageError(
            f"{session_id} was written by an older version, which did not record what was asked; "
            f'say it again with `codetether run --session {session_id} "…"`'
        )
    try:
        return SessionRequest.from_json(tries[-1])
    except ValueError as error:
        raise JournalError(f"what was asked of {session_id} cannot be read: {error}") from error


def recorded_result(data_dir: Path, session_id: str) -> SessionResult:
    """How a session's last turn ended, from its journal alone.

    Raises:
        JournalError: it has not ended, or cannot be read.
    """
    summary: JsonObject = {}
    outcome, turn = "", TurnResult(outcome="completed")
    kinds = {RunFinished.tag, TurnFinished.tag}
    for record in read_records(data_dir, session_id, kinds=kinds, fetch=archived()):
        event = record.event
        if isinstance(event, TurnFinished) and record.agent == "main":
            turn = event.result
        elif isinstance(event, RunFinished):
            outcome, summary = event.outcome, event.summary
    if outcome != turn.outcome:
        how = resume_command("session", session_id)
        raise JournalError(f"{session_id} has no recorded result; go on with it by `{how}`")
    cost = summary.get("cost_usd")
    used = decode(Usage, summary.get("usage") or {})
    turn = replace(turn, usage=used, cost_usd=None if cost is None else float(str(cost)))
    return SessionResult(session_id=session_id, turn=turn)
