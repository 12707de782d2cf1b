"""The driver's side of a relay: checks the terms, starts the run, follows it to its result."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from codetether_ray.bootstrap.follow import Audience, Show
from codetether_ray.bootstrap.known_secrets import holds_any, stored_values, unsaid, values_here
from codetether_ray.bootstrap.models import check_budget, choose
from codetether_ray.bootstrap.okr_store import Okrs, open_okrs
from codetether_ray.bootstrap.relay.gate import OkrAnswer, OkrQuestion
from codetether_ray.bootstrap.relay.home import relay_in_home, unrecorded
from codetether_ray.bootstrap.relay.request import TIMEOUT_S, RelayRequest
from codetether_ray.bootstrap.run_wish import RunWish, new_terms, on_terms_of_today
from codetether_ray.bootstrap.running import Doing, fetched, run, take_up
from codetether_ray.bootstrap.truth.place import Truth
from codetether_ray.bootstrap.truth.reach import Reach, has_own_head, reached
from codetether_ray.config.settings import Settings, load_settings
from codetether_ray.config.stores import open_secret_store
from codetether_ray.core.codec import JsonObject
from codetether_ray.core.errors import ClusterError, OkrStoreError, UsageError
from codetether_ray.core.ids import new_run_id
from codetether_ray.relay.options import DEFAULT_ROUNDS
from codetether_ray.relay.profiles import DEFAULT_COUNT, LEAST, MOST

Decide = Callable[[OkrQuestion], Awaitable[OkrAnswer]]
"""Asks somebody whether an objective shall be pursued."""

_MAY_CHANGE = ("max_steps", "timeout_s", "rounds", "retry_for_s", "wait_quota_s")
"""Terms that a resumed relay may be given anew."""
_LOOK_EVERY_S = 1.0
"""While somebody is asked here, how often it is looked whether somebody else has decided."""
_AGENTS_PER_MEMBER = 20
"""A tree may hold this many agents for each member that the team may have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayWish(RunWish):
    """What `/autochat` or `/go` was asked for. None leaves a choice to the settings."""

    task: str
    is_gated: bool = False
    """Whether an objective is drafted and approved first (`/go`)."""
    is_approved: bool = False
    """What is drafted is approved beforehand (`--yes`)."""
    okr_run_id: str = ""
    """Work for this run of an OKR that is there; its approval is looked up there."""
    count: int = DEFAULT_COUNT
    rounds: int | None = None
    on_ray: bool = False
    """In a supervisor, though no cluster is there yet."""


async def run_relay(
    wish: RelayWish, show: Show, decide: Decide, notice: Callable[[str], None]
) -> JsonObject:
    """Run a relay to its result; cancelled, the result has outcome `interrupted`.

    `notice` is given sentences that a person should read.

    Raises:
        CodetetherError: nothing was started, or there was nothing to work on.
    """
    settings = load_settings(wish.directory, os.environ)
    local = wish.is_local
    async with reached(wish.address, settings.paths.data, notice, is_local=local) as reach:
        request = await relay_request(wish, settings, reach.truth, notice)
        if not isinstance(request, RelayRequest):
            return request

        async def ask(question: JsonObject) -> JsonObject:
            asked = OkrQuestion.from_json(question)
            answer = await _answered(asked, decide, open_okrs(reach.truth), notice)
            known = await values_here(os.environ, settings.paths.data)
            while answer.okr is not None and holds_any(known, str(answer.okr)):
                notice("not taken: it holds a key that is stored here, and it would be on record")
                answer = await _answered(asked, decide, open_okrs(reach.truth), notice)
            mask = unsaid(known, notice)
            said = replace(answer, intent=mask(answer.intent), reason=mask(answer.reason))
            return said.to_json()

        return await run(
            DOING,
            request,
            reach,
            Audience(show=show, ask=ask, notice=notice),
            is_local=local or not (wish.on_ray or _is_cluster_there(reach)),
            dashboard=wish.dashboard,
            tape=wish.record,
        )


async def _answered(
    question: OkrQuestion, decide: Decide, okrs: Okrs, notice: Callable[[str], None]
) -> OkrAnswer:
    """What is said to a draft here; nothing, as soon as somebody has decided elsewhere."""
    asking = asyncio.ensure_future(decide(question))
    try:
        while not (await asyncio.wait({asking}, timeout=_LOOK_EVERY_S))[0]:
            with suppress(ClusterError, OkrStoreError):  # it is asked again soon
                run = await okrs.get_run(question.run.id)
                if run.status != "pending_approval":
                    asking.cancel()
                    await asyncio.wait({asking})
                    by = run.approval.approver if run.approval is not None else ""
                    notice(f"it was decided elsewhere: {run.status}{f' by {by}' if by else ''}")
                    return OkrAnswer(word="nobody")
        return asking.result()
    finally:
        asking.cancel()
        await asyncio.wait({asking})


DOING = Doing(
    in_home=relay_in_home,
    supervised="codetether_ray.bootstrap.on_ray:relay_in_supervisor",
    unrecorded=unrecorded,
)


def _is_cluster_there(reach: Reach) -> bool:
    """Whether there is a cluster to join: one that the user names, or a head of this user."""
    if reach.address.value:
        return not reach.address.is_local
    return has_own_head(reach.truth.data_dir)


async def relay_request(
    wish: RelayWish, settings: Settings, truth: Truth, notice: Callable[[str], None]
) -> RelayRequest | JsonObject:
    """The wish with everything decided that it left open.

    A result, where the relay to be resumed has one that is its last word.
    """
    if wish.resume is not None:

        def goes_further(old: RelayRequest, result: JsonObject) -> bool:
            return _is_undelivered(old, wish, result) or _has_more_rounds(old, wish, result)

        taken = await take_up(
            RelayRequest, wish.resume, wish.directory, truth, notice, goes_further
        )
        if taken.result is not None:
            return await fetched(taken.request, truth, taken.result)
        return await _resumed(taken.request, wish, settings.paths.data)
    if not wish.task.strip():
        raise UsageError("nothing was asked: the task is empty")
    if not LEAST <= wish.count <= MOST:
        raise UsageError(f"a team has {LEAST} to {MOST} agents, not {wish.count}")
    store = open_secret_store(os.environ, settings.paths.data)
    model = await choose(wish.model, settings, store, wish.directory)
    check_budget(model, wish.budget)
    secrets = await stored_values(os.environ, store, model.ref.provider)
    agent = settings.agent
    return RelayRequest(
        **new_terms(wish, settings, model, truth.data_dir),
        relay_id=new_run_id("relay"),
        task=unsaid(secrets, notice)(wish.task),
        count=wish.count,
        rounds=wish.rounds or DEFAULT_ROUNDS,
        is_gated=wish.is_gated or bool(wish.okr_run_id),
        is_approved=wish.is_approved,
        okr_run_id=wish.okr_run_id,
        okr_id=await _okr_of(wish.okr_run_id, truth),
        directory=str(wish.directory.resolve()),
        max_steps=wish.max_steps or agent.max_steps,
        max_depth=settings.swarm.max_depth,
        timeout_s=wish.timeout_s or TIMEOUT_S,
        memory_bytes=settings.swarm.memory_bytes,
        total_memory_bytes=settings.swarm.total_memory_bytes,
        budget=replace(wish.budget, agents=MOST * _AGENTS_PER_MEMBER),
    )


async def _okr_of(okr_run_id: str, truth: Truth) -> str:
    """The OKR of a run of one.

    Raises:
        UnknownOkrError: there is no such run.
        OkrStoreError: the store cannot be read.
    """
    return (await open_okrs(truth).get_run(okr_run_id)).okr_id if okr_run_id else ""


def _is_undelivered(old: RelayRequest, wish: RelayWish, result: JsonObject) -> bool:
    """Whether the result is still to be merged: it is asked for now, or failed when it was."""
    is_wanted = wish.deliver or (old.deliver and bool(result["error"]))
    return is_wanted and "delivered" not in result


def _has_more_rounds(old: RelayRequest, wish: RelayWish, result: JsonObject) -> bool:
    """Whether a relay that did all its rounds is given further ones."""
    return result["outcome"] == "max_rounds" and (wish.rounds or 0) > old.rounds


async def _resumed(old: RelayRequest, wish: RelayWish, data_dir: Path) -> RelayRequest:
    now = await on_terms_of_today(old, wish, _MAY_CHANGE, data_dir)
    return replace(now, is_approved=wish.is_approved or old.is_approved)
