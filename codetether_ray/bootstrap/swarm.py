"""The driver's side of a swarm: checks the terms, starts the run, follows it to its result."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from codetether_ray.bootstrap.agents import close_process
from codetether_ray.bootstrap.auditing.runs import audited_swarm, ended
from codetether_ray.bootstrap.driver import driving
from codetether_ray.bootstrap.follow import Follower, Show
from codetether_ray.bootstrap.home import open_local_home
from codetether_ray.bootstrap.known_secrets import stored_values, unsaid
from codetether_ray.bootstrap.models import ChosenModel, check_budget, choose
from codetether_ray.bootstrap.replay import archived
from codetether_ray.bootstrap.resuming import (
    find_resumable,
    has_begun,
    is_over,
    must_have_its_directory,
    resume_command,
    telling_how,
)
from codetether_ray.bootstrap.session import save_tape
from codetether_ray.bootstrap.swarm_home import (
    Ask,
    Question,
    home_terms,
    swarm_in_home,
    unrecorded,
)
from codetether_ray.bootstrap.swarm_request import ASK_ABOVE, SwarmRequest
from codetether_ray.config.settings import Settings, load_settings
from codetether_ray.config.stores import open_secret_store
from codetether_ray.core.codec import JsonObject
from codetether_ray.core.errors import (
    ClusterError,
    JournalCorruptError,
    JournalError,
    RunBusyError,
    UnknownRunError,
    UsageError,
)
from codetether_ray.core.events import RunFinished, RunStarted
from codetether_ray.core.ids import new_run_id
from codetether_ray.core.usage import Budget
from codetether_ray.journal.reader import read_records
from codetether_ray.swarm.estimate import Estimate
from codetether_ray.swarm.plan import Plan

Decide = Callable[[Plan, Estimate], Awaitable[bool]]
"""Asks somebody whether a plan shall be carried out."""

_MAY_CHANGE = (
    "max_steps",
    "timeout_s",
    "total_memory_bytes",
    "parallel",
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
    retry_for_s: float | None = None
    wait_quota_s: float | None = None
    budget: Budget = field(default_factory=Budget)
    deliver: bool = False
    ask_above: int | None = ASK_ABOVE
    record: Path | None = None
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
    request = await _request(wish, settings, notice)
    if not isinstance(request, SwarmRequest):
        return request

    async def ask(question: JsonObject) -> bool:
        asked = Question.from_json(question)
        return await decide(asked.plan, asked.cost)

    data_dir, swarm_id = settings.paths.data, request.swarm_id
    with driving(data_dir, swarm_id), telling_how("swarm", swarm_id, data_dir, notice):
        result = await _done(wish, request, show, ask, notice)
    if wish.record is not None:
        await asyncio.to_thread(save_tape, settings.paths.data, request.swarm_id, wish.record)
    if not is_over("swarm", str(result["outcome"])):
        result["resume"] = resume_command("swarm", request.swarm_id)
    return result


async def _done(
    wish: SwarmWish,
    request: SwarmRequest,
    show: Show,
    ask: Ask,
    notice: Callable[[str], None],
) -> JsonObject:
    """The result; of a swarm that began and could not be recorded to its end as well."""
    try:
        if wish.is_local:
            return await _local(request, show, ask)
        return await _on_ray(request, show, ask, notice, dashboard=wish.dashboard)
    except (RunBusyError, JournalCorruptError):
        raise
    except (JournalError, ClusterError) as error:
        if not has_begun(Path(request.data_dir), request.swarm_id):
            raise
        return unrecorded(request, error)


async def _local(request: SwarmRequest, show: Show, ask: Ask) -> JsonObject:
    """In this process."""
    async with audited_swarm(request) as done:
        home = await open_local_home(home_terms(request))
        follower = Follower(home.bus, request.swarm_id, show)
        try:
            await follower.start()
            result = await swarm_in_home(home, request, ask)
            ended(done, str(result["outcome"]))
            return result
        finally:
            await home.close()
            await follower.finish()
            await close_process()


async def _on_ray(
    request: SwarmRequest,
    show: Show,
    ask: Ask,
    notice: Callable[[str], None],
    *,
    dashboard: bool,
) -> JsonObject:
    """In a supervisor on a cluster."""
    from codetether_ray.bootstrap.on_ray import SWARM, drive

    answer: JsonObject = await drive(
        request.swarm_id,
        SWARM,
        request.to_json(),
        data_dir=Path(request.data_dir),
        show=show,
        ask=ask,
        notice=notice,
        dashboard=dashboard,
        memory_bytes=request.total_memory_bytes,
        go_on=resume_command("swarm", request.swarm_id),
        joins=request.resumed,
    )
    return answer


# -- the request ----------------------------------------------------------------------------------


async def _request(
    wish: SwarmWish, settings: Settings, notice: Callable[[str], None]
) -> SwarmRequest | JsonObject:
    """The wish with everything decided that it left open.

    A result, where the swarm to be resumed has one that is its last word.
    """
    data_dir = settings.paths.data
    store = open_secret_store(os.environ, data_dir)
    if wish.resume is not None:
        choice = find_resumable(data_dir, wish.directory, "swarm", wish.resume)
        run = choice.run
        if run.state == "finished" and is_over("swarm", run.outcome):
            result = _recorded_result(data_dir, run.id)
            if not wish.deliver or "delivered" in result:
                notice(f"{run.id} had finished ({run.outcome}); this is its result")
                return result
        must_have_its_directory(run)
        for sentence in choice.sentences():
            notice(sentence)
        old = _recorded(data_dir, run.id)
        model = await choose(wish.model or old.model, settings, store, wish.directory)
        check_budget(model, _budget(old.budget, wish.budget))
        now = await asyncio.to_thread(load_settings, Path(old.directory), os.environ)
        return _resumed(old, wish, model, now)
    if not wish.task.strip():
        raise UsageError("nothing was asked: the task is empty")
    model = await choose(wish.model, settings, store, wish.directory)
    check_budget(model, wish.budget)
    secrets = await stored_values(os.environ, store, model.ref.provider)
    return _new(replace(wish, task=unsaid(secrets, notice)(wish.task)), settings, model)


def _new(wish: SwarmWish, settings: Settings, model: ChosenModel) -> SwarmRequest:
    swarm, agent, workspace = settings.swarm, settings.agent, settings.workspace
    max_subagents = wish.max_subagents or swarm.max_subagents
    return SwarmRequest(
        swarm_id=new_run_id("swarm"),
        task=wish.task,
        directory=str(wish.directory.resolve()),
        data_dir=str(settings.paths.data),
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
        retry_for_s=agent.retry_for_s if wish.retry_for_s is None else wish.retry_for_s,
        wait_quota_s=agent.wait_quota_s if wish.wait_quota_s is None else wish.wait_quota_s,
        budget=replace(wish.budget, agents=max_subagents * _AGENTS_PER_SUBTASK),
        setup=workspace.setup,
        copy=workspace.copy,
        hooks=workspace.hooks,
        deliver=wish.deliver,
        ask_above=wish.ask_above,
    )


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


def _recorded(data_dir: Path, swarm_id: str) -> SwarmRequest:
    """The request of the latest try.

    Raises:
        UnknownRunError: it has none.
        JournalError: it cannot be read.
    """
    records = read_records(data_dir, swarm_id, kinds={RunStarted.tag}, fetch=archived())
    tries = [r.event.command for r in records if isinstance(r.event, RunStarted)]
    if not tries:
        raise UnknownRunError(swarm_id)
    return SwarmRequest.from_json(tries[-1])


def _recorded_result(data_dir: Path, swarm_id: str) -> JsonObject:
    """The result that the swarm's last record holds."""
    records = read_records(data_dir, swarm_id, kinds={RunFinished.tag}, fetch=archived())
    return [r.event.summary for r in records if isinstance(r.event, RunFinished)][-1]
