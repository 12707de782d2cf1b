"""A run's trees on nodes that share nothing with its own but calls of functions."""

from collections.abc import Callable
from pathlib import Path

import pytest

from codetether_ray.bootstrap.trees.cluster import ClusterWorkspace
from codetether_ray.ports.workspace import Tree, Workspace
from codetether_ray.workspace.copy import CopyWorkspace
from codetether_ray.workspace.git import GitWorkspace
from codetether_ray.workspace.hub import hub_path
from tests.adapters.workspace.neighbours import Cluster
from tests.adapters.workspace.repos import RUN, Repo, write
from tests.contracts.workspace import FILES, WorkspaceContract


class OnOneNode:
    """Puts every tree on node `far`, as a caller would that has its permits there."""

    def __init__(self, inner: ClusterWorkspace) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> object:
        return getattr(self._inner, name)

    async def start(self, id: str, parents: tuple[str, ...] = ()) -> Tree:
        return await self._inner.start(id, parents, node="far")


@pytest.fixture
def cluster(tmp_path: Path) -> Cluster:
    return Cluster(tmp_path / "nodes")


class ElsewhereContract(WorkspaceContract):
    """What every workspace promises, with trees on a node that is not the run's own."""

    async def test_what_is_told_as_committed_is_in_the_hub(self, workspace, tmp_path: Path) -> None:
        base = await workspace.open()
        tree = await workspace.start("writer")
        (tree.path / "two.txt").write_text("TWO\n")
        done = await workspace.commit(tree, "writer worked")
        refs = tmp_path / "data" / "hubs" / f"{RUN}.git" / "refs" / "codetether" / RUN
        assert (refs / "base").read_text().strip() == base.commit
        assert (refs / "result" / "writer").read_text().strip() == done.commit


class TestGitElsewhere(ElsewhereContract):
    @pytest.fixture
    def directory(self, tmp_path: Path) -> Path:
        repo = Repo(tmp_path / "contract")
        repo.commit(FILES)
        return repo.path

    @pytest.fixture
    def workspace(
        self,
        directory: Path,
        tmp_path: Path,
        opened: Callable[..., GitWorkspace],
        cluster: Cluster,
    ) -> Workspace:
        inner = opened(directory, hub=hub_path(tmp_path / "data", RUN))
        return OnOneNode(cluster.over(inner))  # type: ignore[return-value]


class TestCopyElsewhere(ElsewhereContract):
    @pytest.fixture
    def directory(self, tmp_path: Path) -> Path:
        place = tmp_path / "contract"
        write(place, FILES)
        return place

    @pytest.fixture
    def workspace(self, directory: Path, tmp_path: Path, cluster: Cluster) -> Workspace:
        data = tmp_path / "data"
        inner = CopyWorkspace(
            directory,
            RUN,
            copies_dir=data / "copies" / "swm-deadbeef",
            worktrees_dir=data / "worktrees" / "swm-deadbeef",
            ports_dir=data / "ports",
            hub=hub_path(data, RUN),
        )
        return OnOneNode(cluster.over(inner))  # type: ignore[return-value]
