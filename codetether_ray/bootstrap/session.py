"""The driver's side of a session: which session, which model, in this process or on Ray."""

import asyncio
import os
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from codetether_ray.bootstrap.agents import close_process
from codetether_ray.bootstrap.auditing.runs import audited_session, ended
from codetether_ray.bootstrap.driver import driving
from codetether_ray.bootstrap.follow import Follower, Show
from codetether_ray.bootstrap.home import open_local_home
from codetether_ray.bootstrap.replay import archived
from codetether_ray.bootstrap.resuming import has_begun, records_of, resume_command, telling_how
from codetether_ray.bootstrap.session_home import (
    SessionRequest,
    SessionResult,
    session_in_home,
    session_terms,
)
from codetether_ray.bootstrap.session_wish import SessionWish, request_of
from codetether_ray.config.settings import load_settings
from codetether_ray.core.errors import (
    ClusterError,
    CodetetherError,
    JournalCorruptError,
    JournalError,
    RunBusyError,
)
from codetether_ray.core.spec import TurnResult


async def run_session(
    wish: SessionWish, show: Show, notice: Callable[[str], None]
) -> SessionResult:
    """Give the session's agent one turn; cancelled, it ends with outcome `cancelled`.

    `notice` is given sentences that a person should read.

    Raises:
        CodetetherError: nothing was started (no model, no such session, …).
    """
    settings = load_settings(wish.directory, os.environ)
    data_dir = settings.paths.data
    request = await request_of(wish, settings, notice)
    if isinstance(request, SessionResult):
        return request
    _tell(wish, request, notice)
    session = request.session_id
    is_new_turn = request.resumed and not request.goes_on
    known = await asyncio.to_thread(records_of, data_dir, session) if is_new_turn else 0
    with driving(data_dir, session), telling_how("session", session, data_dir, notice, known):
        result = await _done(wish, request, show, notice, known)
    if wish.record is not None:
        await asyncio.to_thread(save_tape, data_dir, request.session_id, wish.record)
    return result


async def _done(
    wish: SessionWish,
    request: SessionRequest,
    show: Show,
    notice: Callable[[str], None],
    known: int,
) -> SessionResult:
    """The turn's result; of a turn that began and could not be recorded to its end as well."""
    data_dir = Path(request.data_dir)
    try:
        if wish.on_ray or _is_cluster_there(data_dir):
            return await _on_ray(request, show, notice)
        return await _local(request, show)
    except (RunBusyError, JournalCorruptError):
        raise
    except (JournalError, ClusterError) as error:
        if not has_begun(data_dir, request.session_id, known):
            raise
        words, kind = str(error), type(error).__name__
        turn = TurnResult(outcome="failed", error=words, error_kind=kind)
        return SessionResult(session_id=request.session_id, turn=turn)


def _tell(wish: SessionWish, request: SessionRequest, notice: Callable[[str], None]) -> None:
    """Say what the user may not expect of the session that was found."""
    if wish.continue_newest and not request.resumed:
        notice("there is no session in this directory yet; a new one begins")
    if Path(request.directory) != wish.directory.resolve():
        notice(f"the session works in {request.directory}")


def save_tape(data_dir: Path, run_id: str, path: Path) -> None:
    """Write a run's tape: an export of its journal.

    Raises:
        CodetetherError: the file cannot be written.
    """
    from codetether_ray.journal.reader import read_records
    from codetether_ray.providers.tape_export import tape_from_records

    tape = tape_from_records(read_records(data_dir, run_id, fetch=archived()))
    try:
        tape.save(path)
    except OSError as error:
        raise CodetetherError(f"the tape of {run_id} cannot be written: {error}") from error


async def _local(request: SessionRequest, show: Show) -> SessionResult:
    """In this process."""
    async with AsyncExitStack() as closing:  # from the last to the first, whatever fails
        done = await closing.enter_async_context(audited_session(request))
        closing.push_async_callback(close_process)
        home = await open_local_home(session_terms(request))
        follower = Follower(home.bus, request.session_id, show)
        closing.push_async_callback(follower.finish)
        closing.push_async_callback(home.close)
        await follower.start()
        result = await session_in_home(home, request)
        ended(done, result.turn.outcome)
        return result
    raise AssertionError("nothing above swallows errors")


async def _on_ray(
    request: SessionRequest, show: Show, notice: Callable[[str], None]
) -> SessionResult:
    """In a supervisor on a cluster."""
    from codetether_ray.bootstrap.on_ray import SESSION, drive

    async def ask(_: Any) -> bool:
        return False

    answer: SessionResult = await drive(
        request.session_id,
        SESSION,
        request,
        data_dir=Path(request.data_dir),
        show=show,
        ask=ask,
        notice=notice,
        go_on=resume_command("session", request.session_id),
        joins=request.goes_on,
    )
    return answer


def _is_cluster_there(data_dir: Path) -> bool:
    """Whether there is a cluster to join: one that the user names, or a head of this user."""
    address = os.environ.get("RAY_ADDRESS", "")
    if address:
        return address != "local"
    if not (data_dir / "ray" / "head.json").exists():  # the common case, without an import
        return False
    from codetether_ray.actors.head import find_head

    return find_head(data_dir) is not None
