"""The driver's side of a session: which session, which model, in this process or on Ray."""

import asyncio
import os
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from codetether_ray.bootstrap.agents import close_process
from codetether_ray.bootstrap.auditing.runs import audited_session, ended
from codetether_ray.bootstrap.follow import Audience, Follower, Show
from codetether_ray.bootstrap.home import open_local_home
from codetether_ray.bootstrap.resuming import resume_command, telling_how
from codetether_ray.bootstrap.session.home import (
    SessionRequest,
    SessionResult,
    session_in_home,
    session_terms,
)
from codetether_ray.bootstrap.session.wish import SessionWish, request_of
from codetether_ray.bootstrap.truth import runs
from codetether_ray.bootstrap.truth.driving import driving_here, has_begun, keys_of, save_tape
from codetether_ray.bootstrap.truth.reach import Reach, has_own_head, reached
from codetether_ray.config.paths import find_paths
from codetether_ray.config.settings import Settings, load_settings
from codetether_ray.core.errors import (
    ClusterError,
    JournalCorruptError,
    JournalError,
    RunBusyError,
    UsageError,
)
from codetether_ray.core.spec import TurnResult


def _never() -> bool:
    return False


async def run_session(
    wish: SessionWish, show: Show, notice: Callable[[str], None]
) -> SessionResult:
    """Give the session's agent one turn; cancelled, it ends with outcome `cancelled`.

    `notice` is given sentences that a person should read.

    Raises:
        CodetetherError: nothing was started (no model, no such session, …).
    """
    settings = load_settings(wish.directory, os.environ)
    async with reached(wish.address, settings.paths.data, notice) as reach:
        return await _session(wish, settings, reach, show, notice)


async def _session(
    wish: SessionWish, settings: Settings, reach: Reach, show: Show, notice: Callable[[str], None]
) -> SessionResult:
    truth = reach.truth
    request = await request_of(wish, settings, truth, notice)
    if isinstance(request, SessionResult):
        return request
    _tell(wish, request, notice)
    request = await _where_it_is(request, reach)
    session = request.session_id
    is_new_turn = request.resumed and not request.goes_on
    known = await truth.ask(runs.RECORDS, session) if is_new_turn else 0
    begun = has_begun(truth, known)
    with driving_here(truth, session), telling_how("session", session, begun, notice):
        result = await _done(wish, request, reach, show, notice, begun)
    if wish.record is not None:
        await save_tape(truth, settings.paths.cache, session, wish.record)
    return result


async def _where_it_is(request: SessionRequest, reach: Reach) -> SessionRequest:
    """The request with the node that has its directory: this one, where the head's has not.

    Raises:
        UsageError: this process is on no node of the cluster.
    """
    directory = Path(request.directory)
    if reach.truth.is_here or await reach.truth.sees(directory):
        return request
    from codetether_ray.actors.nodes import this_node

    node = await asyncio.to_thread(this_node)
    if not node:
        raise UsageError(
            f"a session works in {directory} itself, which no node of the cluster at "
            f"{reach.address.value} has; use `--address local`, or a swarm"
        )
    return replace(request, node=node)


async def _done(
    wish: SessionWish,
    request: SessionRequest,
    reach: Reach,
    show: Show,
    notice: Callable[[str], None],
    begun: Callable[[str], bool],
) -> SessionResult:
    """The turn's result; of a turn that began and could not be recorded to its end as well."""
    try:
        if wish.on_ray or _is_cluster_there(reach):
            return await on_ray(request, reach, show, notice)
        return await in_this_process(request, show)
    except (RunBusyError, JournalCorruptError):
        raise
    except (JournalError, ClusterError) as error:
        if not begun(request.session_id):
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


async def in_this_process(request: SessionRequest, show: Show) -> SessionResult:
    """Do the turn in the one-process world.

    Raises:
        CodetetherError: nothing was started, or it cannot be recorded to its end.
    """
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


async def on_ray(
    request: SessionRequest,
    reach: Reach,
    show: Show,
    notice: Callable[[str], None],
    leaves: Callable[[], bool] = _never,
    *,
    with_keys: bool = True,
) -> SessionResult:
    """Do the turn in a supervisor on a cluster; one that goes on and is under way is followed.

    Cancelled while `leaves` says so, it is left to its supervisor. `with_keys`: where the head is
    elsewhere, this user's keys are used; else the head's own.

    Raises:
        CodetetherError: nothing was started, or it cannot be recorded to its end.
    """
    from codetether_ray.bootstrap.drive import drive
    from codetether_ray.bootstrap.on_ray import SESSION

    async def ask(_: Any) -> bool:
        return False

    data_dir = find_paths(os.environ).data
    answer: SessionResult = await drive(
        request.session_id,
        SESSION,
        request,
        reach=reach,
        data_dir=data_dir,
        audience=Audience(show=show, ask=ask, notice=notice),
        keys=keys_of(request.model, data_dir) if with_keys else None,
        go_on=resume_command("session", request.session_id),
        joins=request.goes_on,
        leaves=leaves,
    )
    return answer


def _is_cluster_there(reach: Reach) -> bool:
    """Whether there is a cluster to join: one that the user names, or a head of this user."""
    if reach.address.value:
        return not reach.address.is_local
    return has_own_head(reach.truth.data_dir)
