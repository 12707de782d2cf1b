"""The driver's side of a swarm: checks the terms, starts the run, follows it to its result."""

import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path

from codetether_ray.bootstrap.follow import Audience, Show
from codetether_ray.bootstrap.known_secrets import stored_values, unsaid
from codetether_ray.bootstrap.models import ChosenModel, check_budget, choose
from codetether_ray.bootstrap.run_wish import RunWish, new_terms, on_terms_of_today
from codetether_ray.bootstrap.running import (
    Doing,
    fetched,
    on_ray,
    run,
    take_up,
)
from codetether_ray.bootstrap.swarm.home import Question, swarm_in_home, unrecorded
from codetether_ray.bootstrap.swarm.planning import planned_meanwhile
from codetether_ray.bootstrap.swarm.request import ASK_ABOVE, SwarmRequest
from codetether_ray.bootstrap.truth.place import Truth
from codetether_ray.bootstrap.truth.reach import Reach, ingress_named, is_private, reached
from codetether_ray.config.paths import find_paths
from codetether_ray.config.settings import Settings, load_settings
from codetether_ray.config.stores import open_secret_store
from codetether_ray.core.codec import JsonObject
from codetether_ray.core.errors import UsageError
from codetether_ray.core.ids import new_run_id
from codetether_ray.swarm.estimate import Estimate
from codetether_ray.swarm.plan import Plan

Decide = Callable[[Plan, Estimate], Awaitable[bool]]
"""Asks somebody whether a plan shall be carried out."""

_MAY_CHANGE = (
    "max_steps",
    "timeout_s",
    "total_memory_bytes",
    "parallel",
    "pack",
    "retry_for_s",
    "wait_quota_s",
)
"""Terms that a resumed swarm may be given anew."""
_AGENTS_PER_SUBTASK = 10
"""A tree may hold this many agents for each sub-agent that the plan may have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SwarmWish(RunWish):
    """What `codetether swarm` was asked for. None leaves a choice to the settings."""

    task: str
    strategy: str | None = None
    max_subagents: int | None = None
    max_depth: int | None = None
    memory_bytes: int | None = None
    total_memory_bytes: int | None = None
    parallel: int | None = None
    pack: int | None = None
    ask_above: int | None = ASK_ABOVE


async def run_swarm(
    wish: SwarmWish, show: Show, decide: Decide, notice: Callable[[str], None]
) -> JsonObject:
    """Run a swarm to its result; cancelled, the result has outcome `cancelled`.

    `notice` is given sentences that a person should read.

    Raises:
        CodetetherError: nothing was started, or there was nothing to work on.
    """
    settings = load_settings(wish.directory, os.environ)
    local = wish.is_local
    url = "" if local else await ingress_named(wish.address)
    if url:
        from codetether_ray.bootstrap.remote.ordering import order_swarm

        return await order_swarm(wish, url, settings.workspace.copy, show, notice)
    async with reached(wish.address, settings.paths.data, notice, is_local=local) as reach:
        return await _swarm(wish, settings, reach, show, decide, notice)


async def _swarm(
    wish: SwarmWish,
    settings: Settings,
    reach: Reach,
    show: Show,
    decide: Decide,
    notice: Callable[[str], None],
) -> JsonObject:
    request = await swarm_request(wish, settings, reach.truth, notice)
    if not isinstance(request, SwarmRequest):
        return request

    async def ask(question: JsonObject) -> bool:
        asked = Question.from_json(question)
        return await decide(asked.plan, asked.cost)

    return await run(
        DOING,
        request,
        reach,
        Audience(show=show, ask=ask, notice=notice),
        is_local=wish.is_local,
        dashboard=wish.dashboard,
        tape=wish.record,
    )


async def _far(
    request: SwarmRequest, reach: Reach, audience: Audience, dashboard: bool
) -> JsonObject:
    """In a supervisor on a cluster; planned first, where a Ray has to be started for it."""
    if request.resumed or request.strategy == "none" or not is_private(reach):
        return await on_ray(DOING, request, reach, audience, dashboard=dashboard)
    data_dir = find_paths(os.environ).data
    planning = planned_meanwhile(request, reach, audience, data_dir, dashboard=dashboard)
    async with planning as planned:
        if planned.result is not None:
            return planned.result
        goes_on = replace(request, resumed=True, is_planned=True)
        return await on_ray(DOING, goes_on, planned.reach, audience, dashboard=dashboard)


DOING = Doing(
    in_home=swarm_in_home,
    supervised="codetether_ray.bootstrap.on_ray:swarm_in_supervisor",
    unrecorded=unrecorded,
    far=_far,
)


# -- the request ----------------------------------------------------------------------------------


async def swarm_request(
    wish: SwarmWish, settings: Settings, truth: Truth, notice: Callable[[str], None]
) -> SwarmRequest | JsonObject:
    """The wish with everything decided that it left open.

    A result, where the swarm to be resumed has one that is its last word.
    """
    store = open_secret_store(os.environ, settings.paths.data)
    if wish.resume is not None:
        taken = await take_up(SwarmRequest, wish.resume, wish.directory, truth, notice)
        result = taken.result
        if result is not None and (not wish.deliver or "delivered" in result):
            return await fetched(taken.request, truth, result)
        return await _resumed(taken.request, wish, settings.paths.data)
    if not wish.task.strip():
        raise UsageError("nothing was asked: the task is empty")
    model = await choose(wish.model, settings, store, wish.directory)
    check_budget(model, wish.budget)
    secrets = await stored_values(os.environ, store, model.ref.provider)
    masked = replace(wish, task=unsaid(secrets, notice)(wish.task))
    return new_swarm(masked, settings, model, truth.data_dir)


def new_swarm(
    wish: SwarmWish, settings: Settings, model: ChosenModel, data_dir: Path
) -> SwarmRequest:
    """The request of a swarm that has yet to begin; the settings fill what the wish leaves open."""
    swarm = settings.swarm
    max_subagents = wish.max_subagents or swarm.max_subagents
    return SwarmRequest(
        **new_terms(wish, settings, model, data_dir),
        swarm_id=new_run_id("swarm"),
        task=wish.task,
        directory=str(wish.directory.resolve()),
        strategy=wish.strategy or swarm.strategy,
        max_subagents=max_subagents,
        max_steps=wish.max_steps or swarm.max_steps,
        max_depth=swarm.max_depth if wish.max_depth is None else wish.max_depth,
        timeout_s=wish.timeout_s or swarm.timeout_s,
        memory_bytes=wish.memory_bytes or swarm.memory_bytes,
        total_memory_bytes=wish.total_memory_bytes or swarm.total_memory_bytes,
        parallel=wish.parallel,
        pack=wish.pack or swarm.pack,
        budget=replace(wish.budget, agents=max_subagents * _AGENTS_PER_SUBTASK),
        ask_above=wish.ask_above,
    )


async def _resumed(old: SwarmRequest, wish: SwarmWish, data_dir: Path) -> SwarmRequest:
    now = await on_terms_of_today(old, wish, _MAY_CHANGE, data_dir)
    return replace(now, ask_above=_ask_above(old.ask_above, wish.ask_above))


def _ask_above(old: int | None, wish: int | None) -> int | None:
    """The stricter policy, where nobody says `--yes`: a plan that was to be shown still is."""
    if wish is None or (old is None and wish):
        return None
    return wish if old is None else min(old, wish)
