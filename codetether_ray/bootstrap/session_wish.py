"""What `codetether run` was asked for, and the request that this comes to."""

import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from codetether_ray.bootstrap.known_secrets import stored_values, unsaid, unsaid_message
from codetether_ray.bootstrap.models import check_budget, choose
from codetether_ray.bootstrap.replay import archived
from codetether_ray.bootstrap.resuming import (
    find_resumable,
    is_over,
    must_have_its_directory,
    newest_session,
    resume_command,
    unreadable_sessions,
)
from codetether_ray.bootstrap.session_home import SessionRequest, SessionResult
from codetether_ray.bootstrap.tombstones import refuse_forgotten
from codetether_ray.config.settings import Settings, load_settings
from codetether_ray.config.stores import open_secret_store
from codetether_ray.core.codec import JsonObject, decode
from codetether_ray.core.errors import JournalError, UnknownRunError, UsageError
from codetether_ray.core.events import RunFinished, RunStarted, TurnFinished
from codetether_ray.core.ids import new_run_id
from codetether_ray.core.messages import Message
from codetether_ray.core.spec import TurnResult
from codetether_ray.core.usage import Budget, Usage
from codetether_ray.journal.listing import RunSummary, find_run
from codetether_ray.journal.reader import read_records

_MAY_CHANGE = ("max_steps", "timeout_s", "output_schema", "retry_for_s", "wait_quota_s")
"""Terms that a resumed turn may be given anew."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionWish:
    """What `codetether run` was asked for. None leaves a choice to the settings."""

    message: Message | None
    """None: nothing new is said; `resume` names what goes on."""
    directory: Path
    resume: str | None = None
    """Take the last turn of this session up again (`resuming.NEWEST`: of the one to resume)."""
    model: str | None = None
    session_id: str | None = None
    continue_newest: bool = False
    """Go on with the newest session of `directory`, if there is one."""
    max_steps: int | None = None
    timeout_s: float | None = None
    budget: Budget = field(default_factory=Budget)
    """What this turn may spend."""
    output_schema: str | None = None
    retry_for_s: float | None = None
    wait_quota_s: float | None = None
    record: Path | None = None
    on_ray: bool = False


async def request_of(
    wish: SessionWish, settings: Settings, notice: Callable[[str], None]
) -> SessionRequest | SessionResult:
    """The wish with everything decided that it left open.

    A result, where the run to be resumed has one that is its last word.

    Raises:
        CodetetherError: there is no model, no such session, nothing to resume.
    """
    if wish.message is not None:
        known = _known(wish, settings.paths.data, notice)
        return await _new_turn(wish, wish.message, known, settings, notice)
    named = wish.resume or ""
    choice = find_resumable(settings.paths.data, wish.directory, "session", named)
    run = choice.run
    if run.state == "finished" and is_over("session", run.outcome):
        notice(f"{run.id} had finished ({run.outcome}); this is its result")
        return recorded_result(settings.paths.data, run.id)
    must_have_its_directory(run)
    for sentence in choice.sentences():
        notice(sentence)
    return await _same_turn(wish, run, settings.paths.data)


async def _new_turn(
    wish: SessionWish,
    message: Message,
    known: RunSummary | None,
    settings: Settings,
    notice: Callable[[str], None],
) -> SessionRequest:
    data_dir, agent = settings.paths.data, settings.agent
    store = open_secret_store(os.environ, data_dir)
    named = wish.model or (known.model if known else None)
    model = await choose(named, settings, store, wish.directory)
    check_budget(model, wish.budget)
    secrets = await stored_values(os.environ, store, model.ref.provider)
    return SessionRequest(
        session_id=known.id if known else new_run_id("session"),
        message=unsaid_message(message, unsaid(secrets, notice)),
        directory=known.directory if known else str(wish.directory.resolve()),
        data_dir=str(data_dir),
        model=str(model),
        base_url=model.base_url,
        context_window=model.context_window,
        max_steps=wish.max_steps or agent.max_steps,
        max_tool_calls=agent.max_tool_calls,
        max_depth=settings.swarm.max_depth,
        memory_bytes=settings.swarm.memory_bytes,
        timeout_s=wish.timeout_s,
        budget=wish.budget,
        output_schema=wish.output_schema,
        retry_for_s=agent.retry_for_s if wish.retry_for_s is None else wish.retry_for_s,
        wait_quota_s=agent.wait_quota_s if wish.wait_quota_s is None else wish.wait_quota_s,
        resumed=known is not None,
    )


async def _same_turn(wish: SessionWish, run: RunSummary, data_dir: Path) -> SessionRequest:
    """The recorded request, with what is given now; where the model is reached may have changed."""
    old = _recorded(data_dir, run.id)
    settings = load_settings(Path(old.directory), os.environ)
    store = open_secret_store(os.environ, data_dir)
    model = await choose(wish.model or old.model, settings, store, Path(old.directory))
    given = {name: value for name in _MAY_CHANGE if (value := getattr(wish, name)) is not None}
    limits = {name: value for name in ("tokens", "usd") if (value := getattr(wish.budget, name))}
    budget = replace(old.budget, **limits)
    check_budget(model, budget)
    window = model.context_window
    if window is None and str(model) == old.model:
        window = old.context_window
    return replace(
        old,
        **given,
        model=str(model),
        base_url=model.base_url,
        context_window=window,
        budget=budget,
        data_dir=str(data_dir),
        resumed=True,
        goes_on=True,
    )


def _recorded(data_dir: Path, session_id: str) -> SessionRequest:
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


def _known(wish: SessionWish, data_dir: Path, notice: Callable[[str], None]) -> RunSummary | None:
    """The session to go on with; None for a new one.

    Raises:
        UnknownRunError: the session that was named does not exist.
        RunForgottenError: it was removed for good.
        JournalError: the newest one is damaged.
    """
    if wish.session_id is not None:
        refuse_forgotten(data_dir, wish.session_id)
        known = find_run(data_dir, wish.session_id)
        if known.kind != "session":
            raise UnknownRunError(wish.session_id)
        must_have_its_directory(known)
        return known
    if not wish.continue_newest:
        return None
    for lost in unreadable_sessions(data_dir):
        notice(f"a session that cannot be read may have been of this directory: {lost.detail}")
    return newest_session(data_dir, wish.directory)
