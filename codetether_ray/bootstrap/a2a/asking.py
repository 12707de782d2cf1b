"""A message of somebody as a session's request: its model, its limits, its tools.

Made on the truth, whose settings and keys its runs have: a replica elsewhere has none.
"""

import os
from dataclasses import dataclass, field, replace
from pathlib import Path

from codetether_ray.bootstrap.a2a.contexts import Context
from codetether_ray.bootstrap.a2a.workspaces import InboxFile
from codetether_ray.bootstrap.known_secrets import stored_values, unsaid, unsaid_message
from codetether_ray.bootstrap.models import check_budget, choose
from codetether_ray.bootstrap.session.home import SessionRequest
from codetether_ray.bootstrap.truth.identity import Home
from codetether_ray.config.settings import load_settings
from codetether_ray.config.stores import open_secret_store
from codetether_ray.core.messages import Message
from codetether_ray.core.principals import Principal
from codetether_ray.core.usage import Budget

NEW_TURN, SAME_TURN = f"{__name__}:new_turn", f"{__name__}:same_turn"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One message, for a context."""

    principal: Principal
    context: Context
    """As it is wanted, should it be new."""
    message: Message
    files: tuple[InboxFile, ...] = ()
    order: str = ""
    """Its name; asked again, its turn is found again."""
    is_taken_up: bool = False
    """Somebody else had begun it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What a server lets a turn take. None: the settings' or no limit."""

    model: str = ""
    max_steps: int | None = None
    timeout_s: float | None = None
    budget: Budget = field(default_factory=Budget)


_INSTRUCTIONS = """\
Whoever you work for is not at your keyboard: they talk to you over the network, see your answer \
and what you leave, not your screen. The directory is yours alone and is kept for their next \
message. What they sent lies in `inbox/`. Files that they shall get as files (reports, images, \
archives) you put into `outbox/`; changes of the code they get as a patch by themselves."""


async def new_turn(
    home: Home, asked: Asked, context: Context, terms: Terms, tools: tuple[str, ...], known: bool
) -> SessionRequest:
    """The request of a new turn; `known`: its session had one before.

    Raises:
        CodetetherError: there is no model that can be asked, or its price is unknown.
    """
    place = Path(context.repository or home.data_dir)
    settings = load_settings(place, os.environ)
    store = open_secret_store(os.environ, settings.paths.data)
    model = await choose(context.model or terms.model or None, settings, store, place)
    check_budget(model, terms.budget)
    secrets = await stored_values(os.environ, store, model.ref.provider)
    agent = settings.agent
    return SessionRequest(
        session_id=context.session_id,
        message=unsaid_message(asked.message, unsaid(secrets, lambda _: None)),
        directory=context.directory,
        data_dir=str(home.data_dir),
        principal=asked.principal.owner,
        model=str(model),
        base_url=model.base_url,
        context_window=model.context_window,
        max_steps=terms.max_steps or agent.max_steps,
        max_tool_calls=agent.max_tool_calls,
        max_depth=settings.swarm.max_depth,
        memory_bytes=settings.swarm.memory_bytes,
        timeout_s=terms.timeout_s,
        budget=terms.budget,
        retry_for_s=agent.retry_for_s,
        wait_quota_s=agent.wait_quota_s,
        agent=context.agent,
        resumed=known,
        tools=tools,
        instructions=_INSTRUCTIONS,
        order=asked.order,
    )


async def same_turn(
    home: Home, old: SessionRequest, context: Context, tools: tuple[str, ...]
) -> SessionRequest:
    """The recorded request, to go on with; where its model is reached may have changed.

    Raises:
        CodetetherError: the model cannot be asked any more.
    """
    place = Path(context.repository or home.data_dir)
    settings = load_settings(place, os.environ)
    store = open_secret_store(os.environ, settings.paths.data)
    model = await choose(old.model, settings, store, place)
    return replace(
        old,
        model=str(model),
        base_url=model.base_url,
        context_window=model.context_window or old.context_window,
        directory=context.directory,
        data_dir=str(home.data_dir),
        tools=tools,
        node="",
        resumed=True,
        goes_on=True,
    )
