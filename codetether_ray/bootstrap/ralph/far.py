"""A Ralph run on another machine than its PRD: what is checked first, what comes back."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, cast

from codetether_ray.bootstrap.ralph.fetched import set_down
from codetether_ray.bootstrap.ralph.prd_file import read_prd_file
from codetether_ray.bootstrap.ralph.request import RalphRequest
from codetether_ray.core.codec import JsonObject
from codetether_ray.core.errors import UsageError
from codetether_ray.workspace.commits import is_ancestor, resolve
from codetether_ray.workspace.git_command import Git
from codetether_ray.workspace.repository import find_repository

if TYPE_CHECKING:
    from codetether_ray.bootstrap.ralph.run import RalphRunWish


async def refuse_unseen_branch(request: "RalphRequest | RalphRunWish") -> None:
    """Refuse where the PRD's branch holds stories that the commit that travels has not.

    Raises:
        UsageError: it does.
    """
    repository = await find_repository(Path(request.directory))
    if repository is None:
        return
    git = Git(work_tree=repository.root)
    branch = (await asyncio.to_thread(read_prd_file, Path(request.prd))).prd.branch
    tip = await resolve(git, f"refs/heads/{branch}")
    if tip and not await is_ancestor(git, tip, await resolve(git, "HEAD") or tip):
        raise UsageError(
            f"{branch} holds work that the commit you are on has not, and only that travels to "
            f"another machine; `git checkout {branch}` first"
        )


async def brought_home(request: RalphRequest, result: JsonObject, data_dir: Path) -> JsonObject:
    """The result of a far run whose commits are here, its PRD and branch in the checkout."""
    if not result.get("files") or not Path(request.directory).is_dir():
        return result
    out, said = await set_down(request, result, data_dir)
    notes = cast("list[str]", out.get("notes") or [])
    return {**out, "notes": [*notes, *said]}
