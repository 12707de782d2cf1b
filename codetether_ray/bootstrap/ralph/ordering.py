"""A PRD that is ordered at an ingress: PRD and checkout go there, and the run is left to it."""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from codetether_ray.bootstrap.known_secrets import holds_any, values_here
from codetether_ray.bootstrap.ralph.far import refuse_unseen_branch
from codetether_ray.bootstrap.ralph.prd_file import read_prd_file
from codetether_ray.bootstrap.remote.door import Door
from codetether_ray.bootstrap.remote.ordering import terms
from codetether_ray.bootstrap.remote.shipping import shipped
from codetether_ray.bootstrap.remote.submitting import commands
from codetether_ray.config.paths import find_paths
from codetether_ray.core.codec import JsonObject
from codetether_ray.core.errors import UsageError

if TYPE_CHECKING:
    from codetether_ray.bootstrap.ralph.run import RalphRunWish

_PATH = "/v1/prds"


async def order_ralph(
    wish: "RalphRunWish",
    repo: str,
    url: str,
    leave_out: tuple[str, ...],
    notice: Callable[[str], None],
) -> JsonObject:
    """Start a run at the ingress; by what commands it is followed, fetched, cancelled.

    `repo` is the URL of the repository to work on; empty: the wish's checkout. `leave_out` are
    globs of its files that are environment, not work.

    Raises:
        CodetetherError: nothing was started.
    """
    text = await asyncio.to_thread(read_prd_file, wish.prd)
    for warning in text.warnings:
        notice(f"warning: {warning}")
    if holds_any(await values_here(os.environ, find_paths(os.environ).data), text.text):
        raise UsageError(f"{wish.prd} holds a key that is stored here; take it out")
    async with Door.opened(url) as door, _source(wish, repo, leave_out, door, notice) as source:
        started = await door.order(_PATH, {**_order(wish, text.text), "repository": source})
    for note in started.get("notes") or ():  # type: ignore[union-attr]  # a list of sentences
        notice(str(note))
    run_id = str(started["run_id"])
    return {"run_id": run_id, "address": url, "job": None, **commands(run_id, url)}


def _order(wish: "RalphRunWish", text: str) -> JsonObject:
    given: JsonObject = {
        "max_iterations": wish.max_iterations,
        "gate_timeout_s": wish.gate_timeout_s,
        "parallel": wish.parallel,
    }
    named = {name: value for name, value in given.items() if value is not None}
    return {"prd": json.loads(text.removeprefix("\ufeff")), **terms(wish), **named}


@asynccontextmanager
async def _source(
    wish: "RalphRunWish",
    repo: str,
    leave_out: tuple[str, ...],
    door: Door,
    notice: Callable[[str], None],
) -> AsyncIterator[JsonObject]:
    """What the run works on, as the order names it."""
    if repo:
        yield {"url": repo}
        return
    await refuse_unseen_branch(wish)
    async with shipped(wish.directory, leave_out) as cargo:
        for note in cargo.notes:
            notice(note)
        yield {"bundle": await door.upload(cargo.bundle)}
