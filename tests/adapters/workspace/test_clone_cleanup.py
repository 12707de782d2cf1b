"""What is left in a node's clones of runs that are over goes, and nothing that is nowhere else."""

from collections.abc import Callable
from pathlib import Path

import pytest

from codetether_ray.bootstrap.trees import cleaning
from codetether_ray.workspace.clone_cleanup import clean_clones, runs_in_clones
from codetether_ray.workspace.git import GitWorkspace
from codetether_ray.workspace.hub import hub_path
from codetether_ray.workspace.repos import Clones
from tests.adapters.workspace.neighbours import Cluster, FakeNode
from tests.adapters.workspace.repos import RUN, Repo, commit_as_agent, git


@pytest.fixture
def cluster(tmp_path: Path) -> Cluster:
    return Cluster(tmp_path / "nodes")


@pytest.fixture
def run(repo: Repo, tmp_path: Path, opened: Callable[..., GitWorkspace], cluster: Cluster):
    return cluster.over(opened(repo.path, hub=hub_path(tmp_path / "data", RUN)))


def never(_: str) -> bool:
    return False


async def test_what_a_run_that_is_over_left_goes_and_its_base_stays(run, cluster: Cluster) -> None:
    tree = await run.start("one", node="far")
    (tree.path / "a.txt").write_text("done\n")
    await run.commit(tree, "one")
    data = cluster.nodes["far"].data_dir
    assert runs_in_clones(data) == (RUN,)
    assert (await clean_clones(data, never, dry_run=False)).is_empty
    plan = await clean_clones(data, {RUN}.__contains__, dry_run=True)
    assert [t.path for t in plan.worktrees] == [str(tree.path)]
    assert tree.path.exists()
    done = await clean_clones(data, {RUN}.__contains__, dry_run=False)
    assert done == plan
    assert not tree.path.exists()
    (clone,) = Clones(data).all()
    assert git(clone.path, "for-each-ref", "--format=%(objectname)") == (await run.open()).commit
    assert not hub_path(data, RUN).exists()


@pytest.mark.parametrize("kind", ["uncommitted", "its own commit"])
async def test_what_never_came_home_stays_and_is_named(run, cluster: Cluster, kind: str) -> None:
    tree = await run.start("one", node="far")
    (tree.path / "a.txt").write_text("precious\n")
    if kind == "its own commit":
        commit_as_agent(tree.path)
    node = cluster.nodes["far"]
    done = await cleaning.clean_there(node, (RUN,), False)
    (kept,) = done.kept
    assert kept.what == f"far:{tree.path}"
    assert ("not committed" if kind == "uncommitted" else "nowhere else") in kept.reason
    assert (tree.path / "a.txt").read_text() == "precious\n"
    assert Clones(node.data_dir).all()[0].is_used


async def test_clones_beyond_the_limit_are_planned_and_removed(run, cluster: Cluster) -> None:
    tree = await run.start("one", node="far")
    assert await run.release(tree, keep=False) is None
    await run.close()
    data = cluster.nodes["far"].data_dir
    (clone,) = Clones(data).all()
    plan = await clean_clones(data, never, limit_bytes=1, dry_run=True)
    assert [path for path, _ in plan.clones] == [str(clone.path)]
    assert clone.path.exists()
    await clean_clones(data, never, limit_bytes=1, dry_run=False)
    assert not clone.path.exists()


async def test_a_node_tells_its_runs_and_a_truth_which_are_over(tmp_path: Path) -> None:
    node = FakeNode("far", tmp_path)
    assert cleaning.runs_there(node) == ()
    assert cleaning.over(node, (RUN,)) == ()  # type: ignore[arg-type] # nothing is known of it
