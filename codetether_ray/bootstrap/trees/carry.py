"""A user's files on their way to a run's home on another machine, and the result's way back.

The base is made in the user's own checkout, as for a run on this machine: a snapshot of the files
with what is not committed, without what git ignores. The head's clone gets what it lacks of it.
At the end the run's branches come back to the checkout, which nobody else touched.
"""

import asyncio
import tempfile
from collections.abc import Awaitable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from codetether_ray.bootstrap.resuming import is_over
from codetether_ray.bootstrap.run_request import RunRequest
from codetether_ray.bootstrap.trees import node as there
from codetether_ray.bootstrap.trees.aside import as_committed
from codetether_ray.bootstrap.trees.order import Collected, NodeCalls, Order
from codetether_ray.bootstrap.trees.sending import bring, receive
from codetether_ray.core.codec import JsonObject
from codetether_ray.core.errors import WorkspaceError
from codetether_ray.workspace.commits import is_ancestor, move_ref, resolve
from codetether_ray.workspace.copy import CopyWorkspace
from codetether_ray.workspace.git import GitWorkspace, Ground
from codetether_ray.workspace.names import ref_of, run_slug
from codetether_ray.workspace.open import open_workspace, room_of
from codetether_ray.workspace.repos import origin_of
from codetether_ray.workspace.transport import take_in, tips

_THERE = there.__name__
R = TypeVar("R", bound=RunRequest)


@dataclass(frozen=True, slots=True, kw_only=True)
class Carrier:
    """Between this machine, whose data directory is `data_dir`, and the run's home `head`."""

    head: NodeCalls
    data_dir: Path

    async def carry(self, request: R) -> R:
        """Bring the base to the head's clone; the request names that from now on.

        Raises:
            WorkspaceError: there is no such directory, git refuses, here or there.
            ClusterError: the head is gone.
        """
        ground = await (await self._here(request)).ground()
        order = Order(
            run_id=request.run_id,
            record=ground.record,
            origin=await origin_of(ground.git, ground.repository, ground.record.base),
            room=room_of(Path(request.directory)),
            prefix=ground.repository.prefix,
        )
        with tempfile.TemporaryDirectory(prefix="codetether-carry-") as folder:
            ask = partial(self._ask, order)
            await bring(ask, ground.git, (ground.record.base,), Path(folder))
        await self._ask(order, "plant")
        return replace(request, repository=order.origin.id, prefix=order.prefix)

    async def fetch(self, request: RunRequest, result: JsonObject) -> JsonObject:
        """Bring the run's branches into the user's checkout; the result, with what was delivered.

        Raises:
            WorkspaceError: the checkout is gone, or git refuses, here or there.
            ClusterError: the head is gone.
        """
        workspace = await self._here(request)
        ground = await workspace.ground()
        await self._take(request, ground)
        out = dict(result)
        if not await workspace.main_branch():
            out["branch"] = ""
            if result.get("diffstat"):
                out["patch"] = str(await self._patch(request, workspace))
        if request.deliver and result.get("success"):
            try:
                async with as_committed(ground, tuple(map(Path, request.set_aside))):
                    out["delivered"] = await workspace.deliver()
            except WorkspaceError as error:
                words = f"not delivered: {error}"
                out.update(success=False, outcome="partial", error=words, exit_code=error.exit_code)
        if is_over(request.kind, str(result["outcome"])):
            await self.head.call(f"{_THERE}:settled", request.repository, request.run_id)
        return out

    async def _here(self, request: RunRequest) -> GitWorkspace | CopyWorkspace:
        return await open_workspace(
            Path(request.directory),
            request.run_id,
            data_dir=self.data_dir,
            copy=request.copy,
            keeps_steps=False,
            set_aside=tuple(map(Path, request.set_aside)),
        )

    async def _take(self, request: RunRequest, ground: Ground) -> None:
        slug, git = run_slug(request.run_id), ground.git
        have = (ground.record.base, *await tips(git, f"refs/heads/codetether/{slug}/"))
        found: Collected = await self.head.call(
            f"{_THERE}:collect", request.repository, request.run_id, have
        )

        def ask(name: str, box: str, offset: int) -> Awaitable[Any]:
            return self.head.call(f"{_THERE}:collected_{name}", request.run_id, box, offset)

        with tempfile.TemporaryDirectory(prefix="codetether-fetch-") as folder:
            path = await receive(ask, found.data, found.box, found.size, Path(folder))
            await take_in(git, path, tuple(found.refs.values()), have)
        for ref, commit in sorted(found.refs.items()):
            old = await resolve(git, ref)
            if old and not await is_ancestor(git, old, commit):
                await move_ref(git, ref_of(slug, "old", old), old, "")
            if old != commit and not await move_ref(git, ref, commit, old):
                raise WorkspaceError(f"{ref} moved while the result came in; try again")

    async def _patch(self, request: RunRequest, workspace: GitWorkspace | CopyWorkspace) -> Path:
        text = await workspace.patch()
        path = self.data_dir / "patches" / f"{request.run_id}.patch"

        def write() -> None:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(text.encode("utf-8", "surrogateescape"))

        await asyncio.to_thread(write)
        return path

    async def _ask(self, order: Order, name: str, *arguments: Any) -> Any:
        return await self.head.call(f"{_THERE}:{name}", order, *arguments)
