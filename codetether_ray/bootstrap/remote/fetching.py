"""Brings what a run on a cluster has made into a checkout, wherever it was submitted from."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from codetether_ray.bootstrap.children.requests import request_class
from codetether_ray.bootstrap.ralph.fetched import set_down
from codetether_ray.bootstrap.ralph.request import RalphRequest
from codetether_ray.bootstrap.remote.following import Seen, look
from codetether_ray.bootstrap.run_request import RunRequest
from codetether_ray.bootstrap.trees.carry import Carrier
from codetether_ray.bootstrap.truth.place import Truth
from codetether_ray.config.paths import find_paths
from codetether_ray.core.codec import JsonObject
from codetether_ray.core.errors import UsageError
from codetether_ray.core.ids import run_kind

_UNFINISHED: JsonObject = {"outcome": "running", "success": False}


async def fetch(
    truth: Truth, run_id: str, directory: Path, notice: Callable[[str], None]
) -> JsonObject:
    """The run's result, its branches in the checkout that `directory` is in.

    One that has not ended gives what it has committed so far.

    Raises:
        UsageError: it is no run of several agents, or has not begun.
        UnknownRunError: there is none of that id.
        WorkspaceError: `directory` is no checkout of what it works on.
    """
    seen = await look(truth, run_id, lambda _: None)
    request = asked(seen)
    result = dict(seen.result or _UNFINISHED)
    result["state"], result["run_id"] = seen.state, run_id
    if truth.http is not None:
        return await _by_http(truth.address, request, result, directory, notice)
    if truth.node is None or not request.repository:
        notice(f"{run_id} works in {request.directory}, on its head; its branches are there")
        return result
    is_its_own = directory.resolve() == Path(request.directory)
    here = replace(request, directory=str(directory.resolve()), deliver=False)
    data_dir = find_paths(os.environ).data
    out = await Carrier(head=truth.node, data_dir=data_dir).fetch(here, result)
    texts = out if is_its_own else {**out, "files": None}
    return await _set_down(here, texts, notice)


async def _by_http(
    url: str,
    request: RunRequest,
    result: JsonObject,
    directory: Path,
    notice: Callable[[str], None],
) -> JsonObject:
    """The same of a run that was ordered at an ingress, from the bundle that it gives."""
    from codetether_ray.bootstrap.remote.door import Door
    from codetether_ray.bootstrap.remote.shipping import brought_home

    async with Door.opened(url) as door:
        await brought_home(door, request.run_id, directory)
    here = replace(request, directory=str(directory.resolve()), deliver=False)
    out = result
    if isinstance(here, RalphRequest):
        prd = directory.resolve() / Path(here.prd).name
        here = replace(here, prd=str(prd))
        out = {**result, "files": {} if prd.is_file() else None}
    return await _set_down(here, out, notice)


async def _set_down(
    here: RunRequest, result: JsonObject, notice: Callable[[str], None]
) -> JsonObject:
    """With a PRD's branch and state in the checkout, where the run has one."""
    if not isinstance(here, RalphRequest):
        return result
    out, said = await set_down(here, result, find_paths(os.environ).data)
    for sentence in said:
        notice(sentence)
    return out


def asked(seen: Seen) -> RunRequest:
    """What a run was asked for.

    Raises:
        UsageError: it is no run of several agents, or has not begun.
    """
    kind = run_kind(seen.run_id)
    if seen.command is None or kind not in ("swarm", "ralph"):
        raise UsageError(f"{seen.run_id} has no branches: it is no swarm and no Ralph run")
    return request_class(kind).from_json(seen.command)
