"""The driver's side of a swarm: checks the terms, starts the run, follows it to its result."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from codetether_ray.bootstrap.agents import close_process
from codetether_ray.bootstrap.auditing.runs import audited_swarm, ended
from codetether_ray.bootstrap.follow import Audience, Follower, Show
from codetether_ray.bootstrap.home import open_local_home
from codetether_ray.bootstrap.known_secrets import stored_values, unsaid
from codetether_ray.bootstrap.models import ChosenModel, check_budget, choose
from codetether_ray.bootstrap.planning import planned_meanwhile
from codetether_ray.bootstrap.principal import this_principal
from codetether_ray.bootstrap.resuming import (
    is_over,
    must_have_its_directory,
    resume_command,
    telling_how,
)
from codetether_ray.bootstrap.swarm_home import (
    Question,
    home_terms,
    swarm_in_home,
    unrecorded,
)
from codetether_ray.bootstrap.swarm_request import ASK_ABOVE, SwarmRequest
from codetether_ray.bootstrap.trees.carry import Carrier
from codetether_ray.bootstrap.truth import runs
from codetether_ray.bootstrap.truth.driving import driving_here, has_begun, keys_of, save_tape
from codetether_ray.bootstrap.truth.place import Truth
from codetether_ray.bootstrap.truth.reach import Reach, is_private, reached
from codetether_ray.bootstrap.truth.runs import Resumable
from codetether_ray.config.paths import find_paths
from codetether_ray.config.settings import Settings, load_settings
from codetether_ray.config.stores import open_secret_store
from codetether_ray.core.codec import JsonObject
from codetether_ray.core.errors import (
    ClusterError,
    ConfigError,
    JournalCorruptError,
    JournalError,
    RunBusyError,
    UnknownRunError,
    UsageError,
)
from codetether_ray.core.ids import new_run_id
from codetether_ray.core.usage import Budget
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
class SwarmWish:
    """What `codetether swarm` was asked for. None leaves a choice to the settings."""

    task: str
    directory: Path
    resume: str | None = None
    """Go on with this swarm (`resuming.NEWEST`: with the one to resume); its task and terms hold,
    its budget too, but for what is given."""
    model: str | None = None
    strategy: str | None = None
    max_subagents: int | None = None
    max_steps: int | None = None
    max_depth: int | None = None
    timeout_s: float | None = None
    memory_bytes: int | None = None
    total_memory_bytes: int | None = None
    parallel: int | None = None
    pack: int | None = None
    retry_for_s: float | None = None
    wait_quota_s: float | None = None
    budget: Budget = field(default_factory=Budget)
    deliver: bool = False
    ask_above: int | None = ASK_ABOVE
    record: Path | None = None
    address: str | None = None
    """What `--address` says."""
    is_local: bool = False
    dashboard: bool = False


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
    request = await _request(wish, settings, reach.truth, notice)
    if not isinstance(request, SwarmRequest):
        return request

    async def ask(question: JsonObject) -> bool:
        asked = Question.from_json(question)
        return await decide(asked.plan, asked.cost)

    swarm_id, truth = request.swarm_id, reach.truth
    with driving_here(truth, swarm_id), telling_how("swarm", swarm_id, has_begun(truth), notice):
        result = await _done(wish, request, reach, Audience(show=show, ask=ask, notice=notice))
    if wish.record is not None:
        await save_tape(truth, settings.paths.cache, swarm_id, wish.record)
    if not is_over("swarm", str(result["outcome"])):
        result["resume"] = resume_command("swarm", request.swarm_id)
    return result


async def _done(
    wish: SwarmWish, request: SwarmRequest, reach: Reach, audience: Audience
) -> JsonObject:
    """The result; of a swarm that began and could not be recorded to its end as well."""
    try:
        if wish.is_local:
            return await _local(request, audience)
        return await _on_ray(request, reach, audience, dashboard=wish.dashboard)
    except (RunBusyError, JournalCorruptError):
        raise
    except (JournalError, ClusterError) as error:
        if not has_begun(reach.truth)(request.swarm_id):
            raise
        return unrecorded(request, error)


async def _local(request: SwarmRequest, audience: Audience) -> JsonObject:
    """In this process."""
    async with audited_swarm(request) as done:
        home = await open_local_home(home_terms(request))
        follower = Follower(home.bus, request.swarm_id, audience.show)
        try:
            await follower.start()
            result = await swarm_in_home(home, request, audience.ask)
            ended(done, str(result["outcome"]))
            return result
        finally:
            await home.close()
            await follower.finish()
            await close_process()


async def _on_ray(
    request: SwarmRequest, reach: Reach, audience: Audience, *, dashboard: bool
) -> JsonObject:
    """In a supervisor on a cluster."""
    from codetether_ray.bootstrap.drive import drive
    from codetether_ray.bootstrap.on_ray import SWARM

    data_dir, head = find_paths(os.environ).data, reach.truth.node
    if is_private(reach) and not request.resumed and request.strategy != "none":
        planning = planned_meanwhile(request, reach, audience, data_dir, dashboard=dashboard)
        async with planning as planned:
            if planned.result is not None:
                return planned.result
            goes_on = replace(request, resumed=True, is_planned=True)
            return await _on_ray(goes_on, planned.reach, audience, dashboard=dashboard)
    carrier = None if head is None else Carrier(head=head, data_dir=data_dir)
    if carrier is not None and not request.resumed:
        request = await carrier.carry(request)
    answer: JsonObject = await drive(
        request.swarm_id,
        SWARM,
        request.to_json(),
        reach=reach,
        data_dir=data_dir,
        audience=audience,
        keys=keys_of(request.model, data_dir),
        dashboard=dashboard,
        memory_bytes=request.total_memory_bytes,
        go_on=resume_command("swarm", request.swarm_id),
        joins=request.resumed,
    )
    if carrier is not None and request.repository:
        answer = await carrier.fetch(request, answer)
    return answer


async def _fetched(
    truth: Truth, data_dir: Path, command: JsonObject | None, result: JsonObject
) -> JsonObject:
    """A result whose branches are on the head, brought to the checkout that is here."""
    request = None if command is None else SwarmRequest.from_json(command)
    if truth.node is None or request is None or not request.repository:
        return result
    if not Path(request.directory).is_dir():
        return result
    return await Carrier(head=truth.node, data_dir=data_dir).fetch(request, result)


# -- the request ----------------------------------------------------------------------------------


async def _request(
    wish: SwarmWish, settings: Settings, truth: Truth, notice: Callable[[str], None]
) -> SwarmRequest | JsonObject:
    """The wish with everything decided that it left open.

    A result, where the swarm to be resumed has one that is its last word.
    """
    store = open_secret_store(os.environ, settings.paths.data)
    if wish.resume is not None:
        here = str(wish.directory.resolve())
        found: Resumable = await truth.ask(runs.CHOICE, here, "swarm", wish.resume)
        run = found.choice.run
        result = found.result
        is_done = run.state == "finished" and is_over("swarm", run.outcome)
        if is_done and result is not None and (not wish.deliver or "delivered" in result):
            notice(f"{run.id} had finished ({run.outcome}); this is its result")
            return await _fetched(truth, settings.paths.data, found.command, result)
        if truth.is_here:  # elsewhere what it works on is in its hub
            must_have_its_directory(run)
        for sentence in found.choice.sentences():
            notice(sentence)
        if found.command is None:
            raise UnknownRunError(run.id)
        old = SwarmRequest.from_json(found.command)
        model = await choose(wish.model or old.model, settings, store, wish.directory)
        check_budget(model, _budget(old.budget, wish.budget))
        now = await asyncio.to_thread(load_settings, Path(old.directory), os.environ)
        return _resumed(old, wish, model, now)
    if not wish.task.strip():
        raise UsageError("nothing was asked: the task is empty")
    model = await choose(wish.model, settings, store, wish.directory)
    check_budget(model, wish.budget)
    secrets = await stored_values(os.environ, store, model.ref.provider)
    masked = replace(wish, task=unsaid(secrets, notice)(wish.task))
    return _new(masked, settings, model, truth.data_dir)


def _new(wish: SwarmWish, settings: Settings, model: ChosenModel, data_dir: Path) -> SwarmRequest:
    swarm, agent, workspace = settings.swarm, settings.agent, settings.workspace
    max_subagents = wish.max_subagents or swarm.max_subagents
    return SwarmRequest(
        swarm_id=new_run_id("swarm"),
        task=wish.task,
        directory=str(wish.directory.resolve()),
        data_dir=str(data_dir),
        principal=this_principal(),
        model=str(model),
        base_url=model.base_url,
        context_window=model.context_window,
        price=model.price,
        strategy=wish.strategy or swarm.strategy,
        max_subagents=max_subagents,
        max_steps=wish.max_steps or swarm.max_steps,
        max_tool_calls=agent.max_tool_calls,
        max_depth=swarm.max_depth if wish.max_depth is None else wish.max_depth,
        timeout_s=wish.timeout_s or swarm.timeout_s,
        memory_bytes=wish.memory_bytes or swarm.memory_bytes,
        total_memory_bytes=wish.total_memory_bytes or swarm.total_memory_bytes,
        parallel=wish.parallel,
        placement="pack" if swarm.placement == "pack" else "spread",
        labels=_labels(swarm.labels),
        pack=wish.pack or swarm.pack,
        pool=settings.pool,
        retry_for_s=agent.retry_for_s if wish.retry_for_s is None else wish.retry_for_s,
        wait_quota_s=agent.wait_quota_s if wish.wait_quota_s is None else wish.wait_quota_s,
        budget=replace(wish.budget, agents=max_subagents * _AGENTS_PER_SUBTASK),
        setup=workspace.setup,
        copy=workspace.copy,
        hooks=workspace.hooks,
        deliver=wish.deliver,
        ask_above=wish.ask_above,
    )


def _labels(words: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    """What `swarm.labels` says.

    Raises:
        ConfigError: one is not NAME=VALUE.
    """
    for word in words:
        if not all(word.partition("=")):
            raise ConfigError(f"swarm.labels: {word!r} is not NAME=VALUE")
    return tuple(sorted((name, value) for name, _, value in (w.partition("=") for w in words)))


def _resumed(
    old: SwarmRequest, wish: SwarmWish, model: ChosenModel, settings: Settings
) -> SwarmRequest:
    """The old request, on the terms of today: a setup command may have been put right since."""
    workspace = settings.workspace
    given = {name: value for name in _MAY_CHANGE if (value := getattr(wish, name)) is not None}
    return replace(
        old,
        **given,
        model=str(model),
        base_url=model.base_url,
        context_window=model.context_window,
        price=model.price,
        budget=_budget(old.budget, wish.budget),
        setup=workspace.setup,
        copy=workspace.copy,
        hooks=workspace.hooks,
        principal=this_principal(),
        deliver=wish.deliver or old.deliver,
        ask_above=_ask_above(old.ask_above, wish.ask_above),
        resumed=True,
    )


def _ask_above(old: int | None, wish: int | None) -> int | None:
    """The stricter policy, where nobody says `--yes`: a plan that was to be shown still is."""
    if wish is None or (old is None and wish):
        return None
    return wish if old is None else min(old, wish)


def _budget(old: Budget, wish: Budget) -> Budget:
    """The old limits, where no new one is given: a resume must not lift them unasked."""
    given = {name: value for name in ("tokens", "usd", "wall_s") if (value := getattr(wish, name))}
    return replace(old, **given)
