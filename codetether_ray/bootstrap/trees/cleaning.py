"""What runs that are over left on the nodes of a cluster, taken away by each node's own daemon.

Whether a run is over, the truth says: where the cluster's runs are recorded.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from codetether_ray.bootstrap.resuming import reason_to_keep_trees
from codetether_ray.bootstrap.trees.node import limit_of
from codetether_ray.bootstrap.trees.order import Home
from codetether_ray.bootstrap.truth.place import LocalHome
from codetether_ray.bootstrap.truth.reach import Reach
from codetether_ray.core.errors import CodetetherError, UnknownRunError
from codetether_ray.journal.listing import find_run
from codetether_ray.workspace.cleanup import Cleanup, Kept
from codetether_ray.workspace.clone_cleanup import clean_clones, runs_in_clones

_HERE = __name__


async def clean_here(data_dir: Path, *, dry_run: bool) -> Cleanup:
    """The clones below this user's own data directory, which runs of a head here share."""

    def is_over(run_id: str) -> bool:
        return bool(over(LocalHome(data_dir=data_dir), (run_id,)))

    limit = limit_of(data_dir)
    return await clean_clones(data_dir, is_over, limit_bytes=limit, dry_run=dry_run)


async def clean_nodes(reach: Reach, notice: Callable[[str], None], *, dry_run: bool) -> Cleanup:
    """The clones on every living node of a cluster; what is on one is told with its name.

    Raises:
        ClusterError: there is no cluster to be joined.
    """
    from codetether_ray.actors.cluster import ClusterOptions, join_or_start
    from codetether_ray.actors.node import RayNode, living_nodes

    cluster, mine = reach.cluster, None
    if cluster is None:
        address = reach.address.value if reach.address.is_named else "auto"
        data_dir = reach.truth.data_dir
        mine = await join_or_start(ClusterOptions(data_dir=data_dir, address=address), notice)
    try:
        total = Cleanup()
        for id in living_nodes():
            node = RayNode.on(id, lasts=True)
            try:
                runs: tuple[str, ...] = await node.call(f"{_HERE}:runs_there")
                needless = await reach.truth.ask(f"{_HERE}:over", runs)
                total += await node.call(f"{_HERE}:clean_there", needless, dry_run)
            except CodetetherError as error:
                total += Cleanup(kept=(Kept(what=f"node {id[:12]}", reason=str(error)),))
        return total
    finally:
        if mine is not None:
            await mine.close()


def over(home: LocalHome, runs: tuple[str, ...]) -> tuple[str, ...]:
    """Those runs that need no tree any more; called where the truth is."""

    def is_over(run_id: str) -> bool:
        try:
            return reason_to_keep_trees(find_run(home.data_dir, run_id)) is None
        except UnknownRunError:
            return False

    return tuple(run_id for run_id in runs if is_over(run_id))


def runs_there(home: Home) -> tuple[str, ...]:
    """The runs that have something in a node's clones; called on that node."""
    return runs_in_clones(home.data_dir)


async def clean_there(home: Home, runs: tuple[str, ...], dry_run: bool) -> Cleanup:
    """Clean a node's clones of runs that are over; called on that node."""
    found = await clean_clones(
        home.data_dir,
        runs.__contains__,
        limit_bytes=limit_of(home.data_dir),
        dry_run=dry_run,
    )
    return _named(home.host, found)


def _named(host: str, found: Cleanup) -> Cleanup:
    return replace(
        found,
        worktrees=tuple(replace(t, path=f"{host}:{t.path}") for t in found.worktrees),
        clones=tuple((f"{host}:{path}", size) for path, size in found.clones),
        kept=tuple(replace(k, what=f"{host}:{k.what}") for k in found.kept),
    )
