"""Opens a run's workspace: on its own node alone, or on all nodes of a cluster."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from codetether_ray.bootstrap.run_request import RunRequest
from codetether_ray.bootstrap.trees.cluster import ClusterWorkspace, Elsewhere
from codetether_ray.bootstrap.trees.node import VIEW
from codetether_ray.bootstrap.trees.order import Nodes
from codetether_ray.bootstrap.trees.recorded import LastTrees
from codetether_ray.core.errors import CodetetherError, WorkspaceError
from codetether_ray.ports.journal import Journal
from codetether_ray.sandbox.local import LocalSandbox
from codetether_ray.workspace.copy import CopyWorkspace
from codetether_ray.workspace.git import GitWorkspace
from codetether_ray.workspace.hub import hub_path
from codetether_ray.workspace.names import run_slug
from codetether_ray.workspace.open import PORTS, WORKTREES, open_workspace, room_of
from codetether_ray.workspace.records import run_record_path
from codetether_ray.workspace.repos import Clones

RunWorkspace = GitWorkspace | CopyWorkspace | ClusterWorkspace


async def open_run_workspace(
    request: RunRequest, journal: Journal, nodes: Nodes | None
) -> RunWorkspace:
    """The workspace of a run; without `nodes` all trees are here.

    Raises:
        WorkspaceError: there is no such directory, git is missing or refuses, it is too large.
    """
    inner = await _at_home(request)
    if nodes is None:
        return inner
    data_dir, run_id = Path(request.data_dir), request.run_id
    return ClusterWorkspace(
        inner,
        Elsewhere(
            run_id=run_id,
            home=nodes.home,
            reach=nodes.reach,
            recorded=LastTrees(journal, data_dir, run_id).of,
            room=room_of(Path(request.directory)),
            setup=request.setup,
            copy=request.copy,
            hooks=request.hooks,
        ),
    )


async def _at_home(request: RunRequest) -> GitWorkspace | CopyWorkspace:
    if request.repository:
        return await _carried(request)
    return await open_workspace(
        Path(request.directory),
        request.run_id,
        data_dir=Path(request.data_dir),
        setup=request.setup or None,
        copy=request.copy,
        hooks=request.hooks,
        sandbox=LocalSandbox(),
        set_aside=tuple(map(Path, request.set_aside)),
    )


async def _carried(request: RunRequest) -> GitWorkspace:
    """Over the clone that stands for a checkout on another machine."""
    data_dir, run_id = Path(request.data_dir), request.run_id
    repository = Clones(data_dir).repository(request.repository, request.prefix)
    if not run_record_path(repository.common_dir, run_slug(run_id)).exists():
        raise WorkspaceError(f"{repository.root} has nothing of {run_id}: its clone was lost")
    made = GitWorkspace(
        repository.root,
        run_id,
        worktrees_dir=data_dir / WORKTREES / room_of(Path(request.directory)) / run_slug(run_id),
        setup=request.setup or None,
        sandbox=LocalSandbox(),
        ports_dir=data_dir / PORTS,
        repository=repository,
        hub=hub_path(data_dir, run_id),
    )
    await made.open()
    return made


@asynccontextmanager
async def looking_at(request: RunRequest, trees: RunWorkspace) -> AsyncIterator[str]:
    """The run's directory, or one that is here and looks like it (a planner can look there)."""
    if not request.repository:
        yield request.directory
        return
    tree = await trees.start(VIEW)
    try:
        yield str(tree.path)
    finally:
        await trees.release(tree, keep=False)


async def let_go(workspace: RunWorkspace) -> tuple[str, ...]:
    """The run is over: other nodes keep nothing of it but what is nowhere else, which is told."""
    if isinstance(workspace, ClusterWorkspace):
        with suppress(CodetetherError):
            return await workspace.close()
    return ()
