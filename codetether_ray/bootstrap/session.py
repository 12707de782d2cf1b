"""One agent's session: a turn of it, new or continued."""

import asyncio
import os
import platform
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

from codetether_ray import __version__
from codetether_ray.bootstrap.driver import driving
from codetether_ray.bootstrap.follow import Follower, Show
from codetether_ray.bootstrap.home import RunHome, open_local_home
from codetether_ray.bootstrap.models import ChosenModel, check_budget, choose
from codetether_ray.config.settings import Settings, load_settings
from codetether_ray.config.stores import open_secret_store
from codetether_ray.core.codec import JsonObject
from codetether_ray.core.errors import CodetetherError, UnknownRunError
from codetether_ray.core.events import AgentStarted, RunFinished, RunStarted, TurnFinished
from codetether_ray.core.ids import new_run_id
from codetether_ray.core.messages import Message
from codetether_ray.core.spec import AgentSpec, Correlation, TurnResult
from codetether_ray.core.usage import Budget, Usage
from codetether_ray.journal.listing import find_run, newest_session
from codetether_ray.tools.catalog import tools_for

MAIN = "main"
"""The path of a session's agent."""
_TITLE = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionOptions:
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


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionResult:
    """How the turn ended, and the session that can be continued."""

    session_id: str
    turn: TurnResult

    def to_json(self) -> JsonObject:
        """The object of `--format json`; `error` is there only if there was one."""
        out: JsonObject = {
            "text": self.turn.text,
            "session_id": self.session_id,
            "outcome": self.turn.outcome,
            "usage": usage_json(self.turn.usage),
            "cost_usd": self.turn.cost_usd,
        }
        if self.turn.error:
            out["error"] = self.turn.error
        return out


def usage_json(usage: Usage) -> JsonObject:
    """Tokens, every count spelled out."""
    counts: JsonObject = {name: getattr(usage, name) for name in Usage.__dataclass_fields__}
    return {**counts, "total_tokens": usage.total_tokens}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Session:
    """Which session, where, on which model."""

    id: str
    directory: Path
    model: ChosenModel
    is_new: bool


async def run_session(options: SessionOptions, show: Show) -> SessionResult:
    """Give the session's agent one turn; cancelled, it ends with outcome `cancelled`.

    Raises:
        CodetetherError: nothing was started (no model, no such session, …).
    """
    settings = load_settings(options.directory, os.environ)
    data_dir = settings.paths.data
    session = await _find(options, settings, data_dir)
    check_budget(session.model, options.budget)
    correlation = Correlation(run_id=session.id, session_id=session.id)
    home = await open_local_home(correlation, data_dir=data_dir, budget=options.budget)
    follower = Follower(home.bus, session.id, show)
    try:
        with driving(data_dir, session.id):
            await follower.start()
            turn = await _turn(home, options, settings, session)
            if options.record is not None:
                await save_tape(home, options.record)
    finally:
        await home.close()
        await follower.finish()
        await _close_process()
    return SessionResult(session_id=session.id, turn=turn)


async def save_tape(home: RunHome, path: Path) -> None:
    """Write the run's tape: an export of its journal."""
    from codetether_ray.providers.tape_export import tape_from_records

    tape = tape_from_records(await home.journal.read())
    await asyncio.to_thread(tape.save, path)


async def _find(options: SessionOptions, settings: Settings, data_dir: Path) -> _Session:
    """The session to go on with, or a new one."""
    known = None
    if options.session_id is not None:
        known = find_run(data_dir, options.session_id)
        if known.kind != "session":
            raise UnknownRunError(options.session_id)
    elif options.continue_newest:
        known = newest_session(data_dir, options.directory)
    store = open_secret_store(os.environ, data_dir)
    named = options.model or (known.model if known else None)
    return _Session(
        id=known.id if known else new_run_id("session"),
        directory=Path(known.directory) if known else options.directory,
        model=await choose(named, settings, store, options.directory),
        is_new=known is None,
    )


async def _turn(
    home: RunHome, options: SessionOptions, settings: Settings, session: _Session
) -> TurnResult:
    """The turn, between the run's start and its end in the journal."""
    voice = home.voices.of_run()
    await voice.record(
        RunStarted(
            kind="session",
            title=" ".join(options.message.text.split())[:_TITLE],
            directory=str(session.directory),
            model=str(session.model),
            resumed=not session.is_new,
            version=__version__,
        )
    )
    spec = await _spec(home, options, settings, session)
    work = asyncio.create_task(_answered(home, spec, options.message))
    try:
        turn = await asyncio.shield(work)
    except asyncio.CancelledError:
        if not await home.runtime.cancel(MAIN):
            work.cancel()
        turn = await work
    await voice.record(
        RunFinished(
            outcome=turn.outcome,
            summary=SessionResult(session_id=session.id, turn=turn).to_json(),
        )
    )
    return turn


async def _answered(home: RunHome, spec: AgentSpec, message: Message) -> TurnResult:
    """The turn's result; what stops it before or beside the agent is a result, too."""
    try:
        return await home.runtime.run(spec, message)
    except asyncio.CancelledError:
        return TurnResult(outcome="cancelled")
    except CodetetherError as error:
        return TurnResult(outcome="failed", error=str(error), error_kind=type(error).__name__)


async def _spec(
    home: RunHome, options: SessionOptions, settings: Settings, session: _Session
) -> AgentSpec:
    """The agent; of a continued session the one that its journal holds, on today's terms."""
    history = await home.journal.read(MAIN)
    agent = settings.agent
    spec = AgentSpec(
        path=MAIN,
        kind="main",
        name=MAIN,
        model=str(session.model),
        root=str(session.directory),
        correlation=home.correlation,
        tools=tools_for("main"),
    )
    first = next((r.event for r in history if isinstance(r.event, AgentStarted)), None)
    return replace(
        first.spec if first is not None else spec,
        model=str(session.model),
        base_url=session.model.base_url,
        situation=_situation(session.directory),
        max_steps=options.max_steps or agent.max_steps,
        max_tool_calls=agent.max_tool_calls,
        max_depth=settings.swarm.max_depth,
        memory_bytes=settings.swarm.memory_bytes,
        timeout_s=options.timeout_s,
        output_schema=options.output_schema,
        retry_for_s=_given(options.retry_for_s, agent.retry_for_s),
        wait_quota_s=_given(options.wait_quota_s, agent.wait_quota_s),
        finished_turns=sum(isinstance(r.event, TurnFinished) for r in history),
        data_dir=str(settings.paths.data),
    )


def _given(option: float | None, setting: float) -> float:
    return setting if option is None else option


def _situation(directory: Path) -> str:
    """What varies from turn to turn, and is sent last."""
    lines = [
        f"Date: {time.strftime('%Y-%m-%d')}",
        f"Platform: {platform.system()} {platform.machine()}",
        f"Working directory: {directory}",
    ]
    branch = _branch(directory)
    if branch:
        lines.append(f"Git branch: {branch}")
    return "\n".join(lines)


def _branch(directory: Path) -> str:
    """The branch that is checked out, read without git; empty where that does not tell."""
    for folder in (directory, *directory.parents):
        try:
            head = (folder / ".git" / "HEAD").read_text(encoding="utf-8").strip()
        except OSError:
            continue
        return head.removeprefix("ref: refs/heads/") if head.startswith("ref: ") else head[:12]
    return ""


async def _close_process() -> None:
    from codetether_ray.bootstrap.agents import close_process

    await close_process()
