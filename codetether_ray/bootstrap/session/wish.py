"""What `codetether run` was asked for, and the request that this comes to."""

import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from codetether_ray.bootstrap.a2a.peer_desk import HAS_PEERS, session_tools
from codetether_ray.bootstrap.known_secrets import stored_values, unsaid, unsaid_message
from codetether_ray.bootstrap.models import check_budget, choose
from codetether_ray.bootstrap.principal import this_principal
from codetether_ray.bootstrap.resuming import must_have_its_directory
from codetether_ray.bootstrap.session.home import SessionRequest, SessionResult
from codetether_ray.bootstrap.truth.place import Truth
from codetether_ray.bootstrap.truth.sessions import KNOWN, TAKEN_UP, Known, TakenUp
from codetether_ray.config.settings import Settings, load_settings
from codetether_ray.config.stores import open_secret_store
from codetether_ray.core.ids import new_run_id
from codetether_ray.core.messages import Message
from codetether_ray.core.spec import AgentKind
from codetether_ray.core.usage import Budget
from codetether_ray.journal.listing import RunSummary

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
    address: str | None = None
    """What `--address` says."""
    agent: AgentKind = "main"
    """Who answers in a new session: a `planner` looks at files and changes none."""
    tools: tuple[str, ...] = ()
    """What the agent may use in this turn; empty: all of its kind's."""


async def request_of(
    wish: SessionWish, settings: Settings, truth: Truth, notice: Callable[[str], None]
) -> SessionRequest | SessionResult:
    """The wish with everything decided that it left open.

    A result, where the run to be resumed has one that is its last word.

    Raises:
        CodetetherError: there is no model, no such session, nothing to resume.
    """
    if wish.message is not None:
        known = await _known(wish, truth, notice)
        return await _new_turn(wish, wish.message, known, settings, truth, notice)
    directory = str(wish.directory.resolve())
    found: TakenUp = await truth.ask(TAKEN_UP, directory, wish.resume or "")
    run = found.run
    if found.request is None:
        assert found.result is not None
        notice(f"{run.id} had finished ({run.outcome}); this is its result")
        return found.result
    must_have_its_directory(run)
    for sentence in found.sentences:
        notice(sentence)
    return await _same_turn(wish, found.request, settings.paths.data, truth)


async def _new_turn(
    wish: SessionWish,
    message: Message,
    known: RunSummary | None,
    settings: Settings,
    truth: Truth,
    notice: Callable[[str], None],
) -> SessionRequest:
    agent = settings.agent
    store = open_secret_store(os.environ, settings.paths.data)
    named = wish.model or (known.model if known else None)
    model = await choose(named, settings, store, wish.directory)
    check_budget(model, wish.budget)
    secrets = await stored_values(os.environ, store, model.ref.provider)
    return SessionRequest(
        session_id=known.id if known else new_run_id("session"),
        message=unsaid_message(message, unsaid(secrets, notice)),
        directory=known.directory if known else str(wish.directory.resolve()),
        data_dir=str(truth.data_dir),
        principal=this_principal(),
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
        agent=wish.agent,
        tools=await _tools(wish, known, truth),
        resumed=known is not None,
    )


async def _tools(wish: SessionWish, known: RunSummary | None, truth: Truth) -> tuple[str, ...]:
    """What the agent may use; a session that was there goes on with what it had."""
    if wish.tools or known is not None or not await truth.ask(HAS_PEERS):
        return wish.tools
    return await session_tools(wish.agent, truth)


async def _same_turn(
    wish: SessionWish, old: SessionRequest, data_dir: Path, truth: Truth
) -> SessionRequest:
    """The recorded request, with what is given now; where the model is reached may have changed."""
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
        data_dir=str(truth.data_dir),
        principal=this_principal(),
        node="",
        resumed=True,
        goes_on=True,
    )


async def _known(
    wish: SessionWish, truth: Truth, notice: Callable[[str], None]
) -> RunSummary | None:
    """The session to go on with; None for a new one.

    Raises:
        CodetetherError: there is none of that id, or the newest one is damaged.
    """
    if wish.session_id is None and not wish.continue_newest:
        return None
    directory = str(wish.directory.resolve())
    found: Known = await truth.ask(KNOWN, wish.session_id, directory)
    for detail in found.lost:
        notice(f"a session that cannot be read may have been of this directory: {detail}")
    if wish.session_id is not None and found.run is not None:
        must_have_its_directory(found.run)
    return found.run
