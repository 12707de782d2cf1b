"""A swarm that is ordered at an ingress: the checkout goes there, its branch comes back.

The run lives on the cluster behind the ingress. Whoever ordered it follows it, and Ctrl-C ends it,
as if it had been started on a node; if they are killed, it goes on.
"""

import asyncio
import os
import shlex
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from codetether_ray.bootstrap.follow import Show
from codetether_ray.bootstrap.known_secrets import unsaid, values_here
from codetether_ray.bootstrap.remote.door import Door
from codetether_ray.bootstrap.remote.shipping import brought_home, shipped
from codetether_ray.bootstrap.run_wish import RunWish
from codetether_ray.bootstrap.swarm.request import ASK_ABOVE
from codetether_ray.config.paths import find_paths
from codetether_ray.core.codec import JsonObject
from codetether_ray.core.errors import ClusterError, UsageError

if TYPE_CHECKING:
    from codetether_ray.bootstrap.swarm.run import SwarmWish

_PATH = "/v1/swarms"


async def order_swarm(
    wish: "SwarmWish",
    url: str,
    leave_out: tuple[str, ...],
    show: Show,
    notice: Callable[[str], None],
) -> JsonObject:
    """Order a swarm at the ingress, follow it to its end, and fetch its branches.

    `leave_out`: globs of files that are environment, not work.
    Cancelled, it has the run end; the result has outcome `cancelled`.

    Raises:
        UsageError: it was asked for something that cannot be ordered.
        CodetetherError: nothing was started, or the ingress answers no more.
    """
    refuse_unordered(_unordered(wish))
    known = await values_here(os.environ, find_paths(os.environ).data)
    wish = replace(wish, task=unsaid(known, notice)(wish.task))
    async with shipped(wish.directory, leave_out) as cargo, Door.opened(url) as door:
        for note in cargo.notes:
            notice(note)
        source: JsonObject = {"bundle": await door.upload(cargo.bundle)}
        run_id = await _ordered(door, {**_order(wish), "repository": source})
        notice(f"{run_id} runs behind {url}; it goes on if this command is killed")
        await _followed(door, run_id, show)
        return await _result(door, run_id, wish.directory)


def refuse_unordered(options: tuple[str, ...]) -> None:
    """Refuse options of a command line that an ingress has no word for.

    Raises:
        UsageError: there are some.
    """
    if options:
        raise UsageError(
            f"{', '.join(options)} cannot be ordered at an ingress; leave it out, or start the run "
            "on a node of the cluster, with its address HOST:6379"
        )


def terms(wish: RunWish) -> JsonObject:
    """What a run may take, as an order says it; what is not given is the head's settings'."""
    given: JsonObject = {
        "model": wish.model,
        "max_steps": wish.max_steps,
        "timeout_s": wish.timeout_s,
        "budget_usd": wish.budget.usd,
        "max_tokens": wish.budget.tokens,
    }
    return {name: value for name, value in given.items() if value is not None}


def _order(wish: "SwarmWish") -> JsonObject:
    given: JsonObject = {
        "strategy": wish.strategy,
        "max_subagents": wish.max_subagents,
        "max_depth": wish.max_depth,
        "parallel": wish.parallel,
    }
    named = {name: value for name, value in given.items() if value is not None}
    return {"task": wish.task, "approved": wish.ask_above is None, **terms(wish), **named}


def _unordered(wish: "SwarmWish") -> tuple[str, ...]:
    """Options that were given, and that an order cannot hold."""
    given = {
        "--resume": wish.resume is not None,
        "--merge": wish.deliver,
        "--plan": wish.ask_above not in (None, ASK_ABOVE),
        "--record": wish.record is not None,
        "--memory-per-agent": wish.memory_bytes is not None,
        "--memory": wish.total_memory_bytes is not None,
        "--pack": wish.pack is not None,
        "--retry-for": wish.retry_for_s is not None,
        "--wait-quota": wish.wait_quota_s is not None,
        "--dashboard": wish.dashboard,
    }
    return tuple(option for option, is_given in given.items() if is_given)


async def _ordered(door: Door, body: JsonObject) -> str:
    """The id of the run; cancelled meanwhile, it is told to end as soon as it has one."""
    ordering = asyncio.ensure_future(door.order(_PATH, body))
    try:
        return str((await asyncio.shield(ordering))["run_id"])
    except asyncio.CancelledError:
        run_id = str((await ordering)["run_id"])
        await door.cancel(run_id)
        return run_id


async def _followed(door: Door, run_id: str, show: Show) -> None:
    """To its end; cancelled, the run is told to end, and followed there."""
    following = asyncio.ensure_future(door.follow(run_id, show))
    try:
        await asyncio.shield(following)
    except asyncio.CancelledError:
        try:
            await door.cancel(run_id)
            await following
        finally:
            following.cancel()
    except ClusterError as error:
        at = shlex.quote(door.url)
        raise ClusterError(
            f"{error}; the run goes on: codetether replay {run_id} --follow --address {at}"
        ) from None


async def _result(door: Door, run_id: str, directory: Path) -> JsonObject:
    """What the run came to, its branches in the user's repository."""
    found = await door.look(run_id)
    result = found.get("result")
    if not isinstance(result, dict):
        raise ClusterError(
            f"{run_id} is {found.get('state')} and has no result; nobody is at it on the cluster"
        )
    try:
        await brought_home(door, run_id, directory)
    except UsageError:  # it has committed nothing
        return {**result, "branch": ""}
    return result
