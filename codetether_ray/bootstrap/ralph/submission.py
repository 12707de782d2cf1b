"""Submits a Ralph run: the PRD, the checkout that it is for, and the terms, to a cluster's head."""

import asyncio
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from codetether_ray.bootstrap.ralph.far import refuse_unseen_branch
from codetether_ray.bootstrap.ralph.request import RalphRequest
from codetether_ray.bootstrap.ralph.run import DOING, RalphRunWish, looked_at, new_ralph
from codetether_ray.bootstrap.remote.submitting import submit
from codetether_ray.bootstrap.truth.reach import ingress_named, reached
from codetether_ray.config.settings import load_settings
from codetether_ray.core.codec import JsonObject
from codetether_ray.core.errors import UsageError
from codetether_ray.core.ids import new_run_id
from codetether_ray.workspace.git_command import Git

HERE = "."
_CLONES = "submitted"
"""Below the data directory: clones of repositories that runs were submitted for by their URLs."""


async def submit_ralph(wish: RalphRunWish, repo: str, notice: Callable[[str], None]) -> JsonObject:
    """Start a run on the cluster that the wish's address names (see `submit`), or behind it.

    `repo` is the URL of the repository to work on, or `HERE`.

    Raises:
        CodetetherError: nothing was started.
    """
    settings = load_settings(wish.directory, os.environ)
    url = await ingress_named(wish.address)
    if url:
        from codetether_ray.bootstrap.ralph.ordering import order_ralph

        source = "" if repo == HERE else repo
        return await order_ralph(wish, source, url, settings.workspace.copy, notice)
    run_id = new_run_id("ralph")
    if repo != HERE:
        wish = await _cloned(wish, repo, settings.paths.data / _CLONES / run_id)
    model = await looked_at(wish, settings, notice)
    async with reached(wish.address, settings.paths.data, notice) as reach:
        request: RalphRequest = await asyncio.to_thread(
            new_ralph, wish, settings, model, reach.truth.data_dir
        )
        if reach.truth.node is not None:
            await refuse_unseen_branch(request)
        return await submit(replace(request, ralph_id=run_id), DOING.supervised, reach, notice)


async def _cloned(wish: RalphRunWish, url: str, folder: Path) -> RalphRunWish:
    """The wish on a fresh clone. A PRD that the repository has not is put into it.

    Raises:
        UsageError: neither the repository nor this directory has the PRD.
        WorkspaceError: it cannot be cloned.
    """
    folder.mkdir(parents=True)
    directory = folder / (Path(url.rstrip("/")).name.removesuffix(".git") or "repository")
    await Git(work_tree=folder).run("clone", "--quiet", "--", url, str(directory))
    prd = directory / (wish.prd.name if wish.prd.is_absolute() else wish.prd)
    if not prd.is_relative_to(directory) or ".." in prd.parts:
        prd = directory / wish.prd.name
    if not prd.exists():
        if not wish.prd.exists():
            raise UsageError(f"there is no {wish.prd}, neither in {url} nor here")
        prd.parent.mkdir(parents=True, exist_ok=True)
        prd.write_bytes(wish.prd.read_bytes())
    return replace(wish, directory=directory, prd=prd)
