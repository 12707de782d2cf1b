"""Does any run of several agents, here or on Ray, and follows it to its result."""

import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Generic, TypeVar

from codetether_ray.bootstrap.agents import close_process
from codetether_ray.bootstrap.auditing.runs import audited_run, ended
from codetether_ray.bootstrap.follow import Audience, Follower
from codetether_ray.bootstrap.home import RunHome, open_local_home
from codetether_ray.bootstrap.models import check_budget, choose
from codetether_ray.bootstrap.principal import this_principal
from codetether_ray.bootstrap.resuming import (
    is_over,
    must_have_its_directory,
    resume_command,
    telling_how,
)
from codetether_ray.bootstrap.run_home import Ask, home_terms
from codetether_ray.bootstrap.run_request import RunRequest
from codetether_ray.bootstrap.trees.carry import Carrier
from codetether_ray.bootstrap.truth import runs
from codetether_ray.bootstrap.truth.driving import driving_here, has_begun, keys_of, save_tape
from codetether_ray.bootstrap.truth.place import Truth
from codetether_ray.bootstrap.truth.reach import Reach
from codetether_ray.bootstrap.truth.runs import Resumable
from codetether_ray.config.paths import find_paths
from codetether_ray.config.settings import load_settings
from codetether_ray.config.stores import open_secret_store
from codetether_ray.core.codec import JsonObject
from codetether_ray.core.errors import (
    ClusterError,
    CodetetherError,
    JournalCorruptError,
    JournalError,
    RunBusyError,
    UnknownRunError,
)
from codetether_ray.core.usage import Budget

R = TypeVar("R", bound=RunRequest)


@dataclass(frozen=True, slots=True, kw_only=True)
class Doing(Generic[R]):
    """How runs of a kind are done."""

    in_home: Callable[[RunHome, R, Ask], Awaitable[JsonObject]]
    """In this process."""
    supervised: str
    """`module:name` of the function that does one in its supervisor."""
    unrecorded: Callable[[R, CodetetherError], JsonObject]
    """The result of one that began and could not be recorded to its end."""
    far: Callable[[R, Reach, Audience, bool], Awaitable[JsonObject]] | None = None
    """On Ray (the last argument: with its dashboard), where that is not just `on_ray`."""


async def run(
    doing: Doing[R],
    request: R,
    reach: Reach,
    audience: Audience,
    *,
    is_local: bool = False,
    dashboard: bool = False,
    tape: Path | None = None,
) -> JsonObject:
    """Do the run to its result, which says by what command it goes on if it is not over.

    Cancelled, the result has outcome `cancelled` or `interrupted`.

    Raises:
        CodetetherError: nothing was started, or there was nothing to work on.
    """
    run_id, truth = request.run_id, reach.truth
    has = has_begun(truth)
    with driving_here(truth, run_id), telling_how(request.kind, run_id, has, audience.notice):
        try:
            if is_local:
                result = await in_this_process(doing, request, audience)
            elif doing.far is not None:
                result = await doing.far(request, reach, audience, dashboard)
            else:
                result = await on_ray(doing, request, reach, audience, dashboard=dashboard)
        except (RunBusyError, JournalCorruptError):
            raise
        except (JournalError, ClusterError) as error:
            if not has(run_id):
                raise
            result = doing.unrecorded(request, error)
    if tape is not None:
        await save_tape(truth, find_paths(os.environ).cache, run_id, tape)
    if not is_over(request.kind, str(result["outcome"])):
        result["resume"] = resume_command(request.kind, run_id)
    return result


async def in_this_process(doing: Doing[R], request: R, audience: Audience) -> JsonObject:
    """Do it in the one-process world."""
    async with audited_run(request) as done:
        home = await open_local_home(home_terms(request))
        follower = Follower(home.bus, request.run_id, audience.show)
        try:
            await follower.start()
            result = await doing.in_home(home, request, audience.ask)
            ended(done, str(result["outcome"]), result)
            return result
        finally:
            await home.close()
            await follower.finish()
            await close_process()


async def on_ray(
    doing: Doing[R], request: R, reach: Reach, audience: Audience, *, dashboard: bool = False
) -> JsonObject:
    """Do it in a supervisor; what it works on is brought there and fetched back if need be."""
    from codetether_ray.bootstrap.drive import drive

    data_dir, head = find_paths(os.environ).data, reach.truth.node
    carrier = None if head is None else Carrier(head=head, data_dir=data_dir)
    if carrier is not None and not request.resumed:
        request = await carrier.carry(request)
    answer: JsonObject = await drive(
        request.run_id,
        doing.supervised,
        request.to_json(),
        reach=reach,
        data_dir=data_dir,
        audience=audience,
        keys=keys_of(request.model, data_dir),
        dashboard=dashboard,
        memory_bytes=request.total_memory_bytes,
        go_on=resume_command(request.kind, request.run_id),
        joins=request.resumed,
    )
    if carrier is not None and request.repository:
        answer = await carrier.fetch(request, answer)
    return answer


async def fetched(request: RunRequest, truth: Truth, result: JsonObject) -> JsonObject:
    """A result whose branches are on the head, brought to the checkout that is here."""
    if truth.node is None or not request.repository or not Path(request.directory).is_dir():
        return result
    data_dir = find_paths(os.environ).data
    return await Carrier(head=truth.node, data_dir=data_dir).fetch(request, result)


@dataclass(frozen=True, slots=True, kw_only=True)
class TakenUp(Generic[R]):
    """The run that a `--resume` names."""

    request: R
    """What was asked by its latest try; `resumed` is set."""
    result: JsonObject | None
    """Its last word, where it has come to an end that is one."""


def _never(request: RunRequest, result: JsonObject) -> bool:
    return False


async def take_up(
    cls: type[R],
    named: str,
    directory: Path,
    truth: Truth,
    notice: Callable[[str], None],
    goes_further: Callable[[R, JsonObject], bool] = _never,
) -> TakenUp[R]:
    """Find the run to go on with (`resuming.NEWEST`: the newest here that did not finish).

    `goes_further`: whether one that has come to an end is asked for more than it was then.

    Raises:
        CodetetherError: there is nothing to resume.
    """
    here = str(directory.resolve())
    found: Resumable = await truth.ask(runs.CHOICE, here, cls.kind, named)
    picked = found.choice.run
    if found.command is None:
        raise UnknownRunError(picked.id)
    request = replace(
        cls.from_json(found.command),
        resumed=True,
        data_dir=str(truth.data_dir),
        principal=this_principal(),
    )
    is_done = picked.state == "finished" and is_over(cls.kind, picked.outcome)
    if is_done and found.result is not None and not goes_further(request, found.result):
        notice(f"{picked.id} had finished ({picked.outcome}); this is its result")
        return TakenUp(request=request, result=found.result)
    if truth.is_here:  # elsewhere what it works on is in its hub
        must_have_its_directory(picked)
    for sentence in found.choice.sentences():
        notice(sentence)
    return TakenUp(request=request, result=None)


async def with_model_of_today(request: R, model: str | None, budget: Budget, data_dir: Path) -> R:
    """A resumed request with the model, its address and price, and the budget as they are now.

    `model`: another one; None keeps it. Limits of `budget` replace the old ones where given.

    Raises:
        CodetetherError: there is no such model, or no key for it.
    """
    directory = Path(request.directory)
    settings = load_settings(directory, os.environ)
    store = open_secret_store(os.environ, data_dir)
    chosen = await choose(model or request.model, settings, store, directory)
    limits = old_or_new(request.budget, budget)
    check_budget(chosen, limits)
    return replace(
        request,
        model=str(chosen),
        base_url=chosen.base_url,
        context_window=chosen.context_window,
        price=chosen.price,
        budget=limits,
    )


def old_or_new(old: Budget, wish: Budget) -> Budget:
    """The old limits, where no new one is given: a resume must not lift them unasked."""
    given = {name: value for name in ("tokens", "usd", "wall_s") if (value := getattr(wish, name))}
    return replace(old, **given)
