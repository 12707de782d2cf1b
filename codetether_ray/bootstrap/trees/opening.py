"""Opens a swarm's workspace: on its own node alone, or on all nodes of a cluster."""

from contextlib import suppress
from pathlib import Path

from codetether_ray.bootstrap.swarm_request import SwarmRequest
from codetether_ray.bootstrap.trees.cluster import ClusterWorkspace, Elsewhere
from codetether_ray.bootstrap.trees.order import Nodes
from codetether_ray.bootstrap.trees.recorded import LastTrees
from codetether_ray.core.errors import CodetetherError
from codetether_ray.ports.journal import Journal
from codetether_ray.sandbox.local import LocalSandbox
from codetether_ray.workspace.copy import CopyWorkspace
from codetether_ray.workspace.git import GitWorkspace
from codetether_ray.workspace.open import open_workspace, room_of

SwarmWorkspace = GitWorkspace | CopyWorkspace | ClusterWorkspace


async def open_swarm_workspace(
    request: SwarmRequest, journal: Journal, nodes: Nodes | None
) -> SwarmWorkspace:
    """The workspace of a swarm; without `nodes` all trees are here.

    Raises:
        WorkspaceError: there is no such directory, git is missing or refuses, it is too large.
    """
    inner = await _at_home(request)
    if nodes is None:
        return inner
    data_dir, run_id = Path(request.data_dir), request.swarm_id
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


async def _at_home(request: SwarmRequest) -> GitWorkspace | CopyWorkspace:
    return await open_workspace(
        Path(request.directory),
        request.swarm_id,
        data_dir=Path(request.data_dir),
        setup=request.setup or None,
        copy=request.copy,
        hooks=request.hooks,
        sandbox=LocalSandbox(),
    )


async def let_go(workspace: SwarmWorkspace) -> tuple[str, ...]:
    """The run is over: other nodes keep nothing of it but what is nowhere else, which is told."""
    if isinstance(workspace, ClusterWorkspace):
        with suppress(CodetetherError):
            return await workspace.close()
    return ()
