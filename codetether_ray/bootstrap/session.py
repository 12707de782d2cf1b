"""The driver's side of a session: which session, which model, in this process or on Ray."""

import asyncio
import os
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from codetether_ray.bootstrap.agents import close_process
from codetether_ray.bootstrap.driver import driving
from codetether_ray.bootstrap.follow import Follower, Show
from codetether_ray.bootstrap.home import open_local_home
from codetether_ray.bootstrap.models import check_budget, choose
from codetether_ray.bootstrap.session_home import SessionRequest, SessionResult, session_in_home
from codetether_ray.config.settings import Settings, load_settings
from codetether_ray.config.stores import open_secret_store
from codetether_ray.core.errors import CodetetherError, UnknownRunError
from codetether_ray.core.ids import new_run_id
from codetether_ray.core.messages import Message
from codetether_ray.core.usage import Budget
from codetether_ray.journal.listing import RunSummary, find_run, newest_session


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionWish:
    """What `codetether run` was asked for. None leaves a choice to the settings."""

    message: Message
    directory: Path
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
    request = await _request(wish, settings)
    _tell(wish, request, notice)
    with driving(data_dir, request.session_id):
        if wish.on_ray or _is_cluster_there(data_dir):
            result = await _on_ray(request, show, notice)
        else:
            result = await _local(request, show)
    if wish.record is not None:
        await asyncio.to_thread(save_tape, data_dir, request.session_id, wish.record)
    return result


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

    tape = tape_from_records(read_records(data_dir, run_id))
    try:
        tape.save(path)
    except OSError as error:
        raise CodetetherError(f"the tape of {run_id} cannot be written: {error}") from error


async def _local(request: SessionRequest, show: Show) -> SessionResult:
    """In this process."""
    async with AsyncExitStack() as closing:  # from the last to the first, whatever fails
        closing.push_async_callback(close_process)
        home = await open_local_home(request.terms)
        follower = Follower(home.bus, request.session_id, show)
        closing.push_async_callback(follower.finish)
        closing.push_async_callback(home.close)
        await follower.start()
        return await session_in_home(home, request)
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
        go_on=f'codetether run --session {request.session_id} "go on"',
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


async def _request(wish: SessionWish, settings: Settings) -> SessionRequest:
    """The wish with everything decided that it left open."""
    data_dir, agent = settings.paths.data, settings.agent
    known = _known(wish, data_dir)
    store = open_secret_store(os.environ, data_dir)
    named = wish.model or (known.model if known else None)
    model = await choose(named, settings, store, wish.directory)
    check_budget(model, wish.budget)
    return SessionRequest(
        session_id=known.id if known else new_run_id("session"),
        message=wish.message,
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


def _known(wish: SessionWish, data_dir: Path) -> RunSummary | None:
    """The session to go on with; None for a new one.

    Raises:
        UnknownRunError: the session that was named does not exist.
    """
    if wish.session_id is None:
        return newest_session(data_dir, wish.directory) if wish.continue_newest else None
    known = find_run(data_dir, wish.session_id)
    if known.kind != "session":
        raise UnknownRunError(wish.session_id)
    return known
