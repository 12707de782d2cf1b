"""The driver's side of a Ralph run: checks the terms, starts the run, follows it to its result."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from codetether_ray.bootstrap.follow import Audience, Show
from codetether_ray.bootstrap.known_secrets import stored_values
from codetether_ray.bootstrap.models import ChosenModel, check_budget, choose
from codetether_ray.bootstrap.ralph.far import brought_home, refuse_unseen_branch
from codetether_ray.bootstrap.ralph.home import ralph_in_home, unrecorded
from codetether_ray.bootstrap.ralph.prd_file import PrdFile, read_prd_file
from codetether_ray.bootstrap.ralph.request import PROGRESS, RalphRequest
from codetether_ray.bootstrap.run_wish import RunWish, new_terms, on_terms_of_today
from codetether_ray.bootstrap.running import Doing, fetched, run, take_up
from codetether_ray.bootstrap.truth.place import Truth
from codetether_ray.bootstrap.truth.reach import Reach, reached
from codetether_ray.config.paths import find_paths
from codetether_ray.config.settings import Settings, load_settings
from codetether_ray.config.stores import open_secret_store
from codetether_ray.core.codec import JsonObject
from codetether_ray.core.errors import UsageError
from codetether_ray.core.ids import new_run_id
from codetether_ray.core.masking import Masker
from codetether_ray.ralph.options import GATE_TIMEOUT_S, MAX_ITERATIONS

Decide = Callable[[JsonObject], Awaitable[JsonObject]]
"""Asks somebody whether an acceptance criterion shall be amended; `approved` is in the answer."""

TIMEOUT_S = 1800.0
"""How long one agent may work on a story, where nobody says otherwise."""
_MAY_CHANGE = (
    "max_iterations",
    "max_steps",
    "timeout_s",
    "gate_timeout_s",
    "parallel",
    "retry_for_s",
    "wait_quota_s",
)
"""Terms that a resumed run may be given anew."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RalphRunWish(RunWish):
    """What `codetether ralph run` was asked for. None leaves a choice to the settings."""

    prd: Path
    max_iterations: int | None = None
    gate_timeout_s: float | None = None
    parallel: int | None = None


async def run_ralph(
    wish: RalphRunWish, show: Show, decide: Decide, notice: Callable[[str], None]
) -> JsonObject:
    """Work a PRD off; cancelled, the result has outcome `interrupted`.

    `notice` is given sentences that a person should read.

    Raises:
        CodetetherError: nothing was started, or there was nothing to work on.
    """
    settings = load_settings(wish.directory, os.environ)
    local = wish.is_local
    async with reached(wish.address, settings.paths.data, notice, is_local=local) as reach:
        request = await _request(wish, settings, reach.truth, notice)
        if not isinstance(request, RalphRequest):
            return request

        async def ask(question: JsonObject) -> JsonObject:
            return await decide(question)

        return await run(
            DOING,
            request,
            reach,
            Audience(show=show, ask=ask, notice=notice),
            is_local=local,
            dashboard=wish.dashboard,
            tape=wish.record,
        )


async def _far(
    request: RalphRequest, reach: Reach, audience: Audience, dashboard: bool
) -> JsonObject:
    """In a supervisor; where that is on another machine, its PRD comes back with its branch."""
    from codetether_ray.bootstrap.running import on_ray

    if reach.truth.node is not None and not request.resumed:
        await refuse_unseen_branch(request)
    result = await on_ray(DOING, request, reach, audience, dashboard=dashboard)
    return await brought_home(request, result, find_paths(os.environ).data)


DOING = Doing(
    in_home=ralph_in_home,
    supervised="codetether_ray.bootstrap.on_ray:ralph_in_supervisor",
    unrecorded=unrecorded,
    far=_far,
)


# -- the request ----------------------------------------------------------------------------------


async def _request(
    wish: RalphRunWish, settings: Settings, truth: Truth, notice: Callable[[str], None]
) -> RalphRequest | JsonObject:
    """The wish with everything decided that it left open.

    A result, where the run to be resumed has one that is its last word.
    """
    if wish.resume is not None:
        taken = await take_up(RalphRequest, wish.resume, wish.directory, truth, notice)
        result = taken.result
        if result is not None and (not wish.deliver or "delivered" in result):
            here = await fetched(taken.request, truth, result)
            return await brought_home(taken.request, here, settings.paths.data)
        return await on_terms_of_today(taken.request, wish, _MAY_CHANGE, settings.paths.data)
    model = await looked_at(wish, settings, notice)
    request = new_ralph(wish, settings, model, truth.data_dir)
    if truth.is_here:  # before there is a run; elsewhere it is its run's home that is locked
        await asyncio.to_thread(_refuse_busy, request)
    return request


def _refuse_busy(request: RalphRequest) -> None:
    with PrdFile(request.prd_path, Path(request.data_dir), holder=request.run_id):
        pass


async def looked_at(
    wish: RalphRunWish, settings: Settings, notice: Callable[[str], None]
) -> ChosenModel:
    """The model for a PRD that may be worked on; its warnings are told.

    Raises:
        CodetetherError: it cannot be read, there is no such model, or a key is in it.
    """
    text = await asyncio.to_thread(read_prd_file, wish.prd)  # before a model is looked for
    for warning in text.warnings:
        notice(f"warning: {warning}")
    store = open_secret_store(os.environ, settings.paths.data)
    model = await choose(wish.model, settings, store, wish.directory)
    check_budget(model, wish.budget)
    known = await stored_values(os.environ, store, model.ref.provider)
    mask = Masker(known, with_shapes=False)
    progress = wish.prd.with_name(PROGRESS)
    learned = progress.read_text("utf-8", "replace") if progress.is_file() else ""
    for path, words in ((wish.prd, text.text), (progress, learned)):
        if mask(words) != words:
            raise UsageError(
                f"{path} holds a key that is stored here; take it out, for models and the record "
                "get what it says"
            )
    return model


def new_ralph(
    wish: RalphRunWish, settings: Settings, model: ChosenModel, data_dir: Path
) -> RalphRequest:
    """The request of a run that has yet to begin; the settings fill what the wish leaves open.

    Raises:
        PrdFileError, PrdError: there is no PRD that can be worked on.
    """
    prd = wish.prd.absolute()
    text = read_prd_file(prd)
    progress = prd.with_name(PROGRESS)
    swarm = settings.swarm
    return RalphRequest(
        **new_terms(wish, settings, model, data_dir),
        ralph_id=new_run_id("ralph"),
        prd=str(prd),
        feature=text.prd.feature,
        prd_text=text.text,
        progress_text=progress.read_text("utf-8", "replace") if progress.is_file() else "",
        max_iterations=wish.max_iterations or MAX_ITERATIONS,
        gate_timeout_s=wish.gate_timeout_s or GATE_TIMEOUT_S,
        directory=str(_directory(prd, wish.directory)),
        max_steps=wish.max_steps or swarm.max_steps,
        max_depth=swarm.max_depth,
        timeout_s=wish.timeout_s or TIMEOUT_S,
        memory_bytes=swarm.memory_bytes,
        total_memory_bytes=swarm.total_memory_bytes,
        parallel=wish.parallel,
        pack=swarm.pack,
        budget=wish.budget,
        set_aside=(str(prd), str(progress)),
    )


def _directory(prd: Path, directory: Path) -> Path:
    """Where the work is done: the current directory, unless the PRD lies in another checkout.

    A PRD that is in no repository says nothing of where its work is to be done.
    """
    here, there = directory.resolve(), prd.resolve().parent
    if there.is_relative_to(here) or (_is_in_git(here) and not _is_in_git(there)):
        return here
    return there


def _is_in_git(place: Path) -> bool:
    return any((folder / ".git").exists() for folder in (place, *place.parents))
