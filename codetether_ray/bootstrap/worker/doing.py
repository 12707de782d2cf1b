"""Does a worker's tasks: as a session's turn or as a swarm, within what `--auto-approve` allows."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from codetether_ray.bootstrap.session.home import SessionResult
from codetether_ray.bootstrap.session.run import run_session
from codetether_ray.bootstrap.session.wish import SessionWish
from codetether_ray.bootstrap.swarm.run import SwarmWish, run_swarm
from codetether_ray.bootstrap.truth.reach import reached, run_lasts
from codetether_ray.bootstrap.truth.sessions import KNOWN, Known
from codetether_ray.bootstrap.worker.copies import copied
from codetether_ray.bootstrap.worker.telling import told_of_session, told_of_swarm
from codetether_ray.config.paths import find_paths
from codetether_ray.core.codec import JsonObject
from codetether_ray.core.errors import UsageError
from codetether_ray.core.events import Record, RunStarted
from codetether_ray.core.messages import Message, Text
from codetether_ray.core.work import SWARM_KINDS, Ended, Worker
from codetether_ray.tools.catalog import tools_for
from codetether_ray.worker.approval import Level, leave_of
from codetether_ray.worker.offers import Offer
from codetether_ray.worker.routing import codebase_of, unfit
from codetether_ray.worker.swarms import swarm_terms

Say = Callable[[str], None]
_ALL = tuple(name for name in tools_for("main") if name != "ask_user")
"""Nobody is there to be asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Doing:
    """Does tasks for one worker. A task is done in a codebase that it registered, or not at all."""

    me: Worker
    level: Level
    notice: Say
    model: str = ""
    """Where a task names none; empty: the settings'."""
    address: str | None = None
    """Of the cluster, as commands take it."""

    async def __call__(self, offer: Offer, say: Say) -> Ended:
        """Do a task to its end; cancelled, what it began ends, and how is said.

        Raises:
            CodetetherError: nothing could be begun.
        """
        reason = unfit(self.me, offer.wish)
        if reason:
            raise UsageError(f"task {offer.id} {reason}")
        named = codebase_of(self.me.codebases, offer.wish.codebase)
        if named is None:
            raise UsageError("this worker has no codebase; start it with --codebases")
        if offer.wish.agent_type in SWARM_KINDS:
            return await self._swarm(offer, Path(named), say)
        return await self._session(offer, Path(named), say)

    async def _session(self, offer: Offer, codebase: Path, say: Say) -> Ended:
        leave = leave_of(self.level)
        if not leave.needs_copy:
            return await self._turn(offer, codebase, leave.tools, say)
        async with copied(codebase, offer.id, find_paths(os.environ).data) as copy:
            tools = leave.tools if copy.is_copy else leave.tools_without_copy
            ended = await self._turn(offer, copy.directory, tools, say)
            branch = await copy.keep(f"{offer.wish.title}\n\nTask {offer.id} of a worker.")
        if not branch:
            return ended
        say(f"[branch] {branch}")
        note = f"What was changed is on the branch {branch}."
        return _with_note(ended, note)

    async def _turn(
        self, offer: Offer, directory: Path, tools: tuple[str, ...] | None, say: Say
    ) -> Ended:
        wish = SessionWish(
            message=Message(role="user", parts=(Text(text=offer.prompt),)),
            directory=directory,
            model=offer.wish.model or self.model or None,
            session_id=await self._known(offer.wish.session_id, directory),
            tools=_ALL if tools is None else tools,
            address=self.address,
        )

        def show(record: Record) -> None:
            for text in told_of_session(record):
                say(text)

        return _of_session(await run_session(wish, show, self.notice))

    async def _known(self, session_id: str, directory: Path) -> str | None:
        """The session to go on with, if it is one of this very directory.

        Raises:
            CodetetherError: there is none of that id here, or it works elsewhere.
        """
        if not session_id:
            return None
        data = find_paths(os.environ).data
        async with reached(self.address, data, self.notice) as reach:
            found: Known = await reach.truth.ask(KNOWN, session_id, str(directory))
        if found.run is None or Path(found.run.directory) != directory.resolve():
            raise UsageError(f"session {session_id} is not one of this codebase")
        return session_id

    async def _swarm(self, offer: Offer, codebase: Path, say: Say) -> Ended:
        if not leave_of(self.level).may_swarm:
            raise UsageError(f"a swarm runs commands, which --auto-approve {self.level} forbids")
        terms = swarm_terms(offer.wish.metadata)
        wish = SwarmWish(
            task=offer.prompt,
            directory=codebase,
            model=offer.wish.model or self.model or None,
            strategy=terms.strategy,
            max_subagents=terms.max_subagents,
            max_steps=terms.max_steps,
            timeout_s=terms.timeout_s,
            parallel=1 if terms.is_serial else None,
            ask_above=None,
            address=self.address,
            is_local=not run_lasts(self.address, find_paths(os.environ).data),
        )
        run_id = ""

        def show(record: Record) -> None:
            nonlocal run_id
            if isinstance(record.event, RunStarted):
                run_id = record.correlation.run_id
            for text in told_of_swarm(record):
                say(text)

        async def agreed(*_: Any) -> bool:
            return True

        result = await run_swarm(wish, show, agreed, self.notice)
        return _of_swarm(result, run_id)


def _of_session(result: SessionResult) -> Ended:
    turn = result.turn
    if turn.is_success:
        return Ended(status="completed", result=turn.text, session_id=result.session_id)
    return Ended(
        status="cancelled" if turn.outcome == "cancelled" else "failed",
        result=turn.text,
        error=_said(turn.outcome, turn.error),
        session_id=result.session_id,
    )


def _of_swarm(result: JsonObject, run_id: str) -> Ended:
    outcome, text = str(result.get("outcome")), str(result.get("result") or "")
    branch = result.get("branch")
    note = f"What was changed is on the branch {branch}." if branch else ""
    if outcome == "success":
        return _with_note(Ended(status="completed", result=text, session_id=run_id), note)
    error = result.get("error")
    ended = Ended(
        status="cancelled" if outcome == "cancelled" else "failed",
        result=text,
        error=_said(outcome, error),
        session_id=run_id,
    )
    return _with_note(ended, note)


def _said(outcome: str, error: object) -> str:
    """How a task ended, and why where that says more."""
    return outcome if not error or error == outcome else f"{outcome}: {error}"


def _with_note(ended: Ended, note: str) -> Ended:
    text = "\n\n".join(part for part in (ended.result, note) if part)
    return Ended(status=ended.status, result=text, error=ended.error, session_id=ended.session_id)
