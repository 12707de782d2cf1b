from collections.abc import Callable
from pathlib import Path

import pytest

from codetether_ray.ports.workspace import Workspace
from codetether_ray.workspace.copy import CopyWorkspace
from codetether_ray.workspace.git import GitWorkspace
from tests.adapters.workspace.repos import RUN, Repo, write
from tests.contracts.workspace import FILES, WorkspaceContract, work


class TestGitWorkspace(WorkspaceContract):
    @pytest.fixture
    def directory(self, tmp_path: Path) -> Path:
        repo = Repo(tmp_path / "contract")
        repo.commit(FILES)
        return repo.path

    @pytest.fixture
    def workspace(
        self, directory: Path, tmp_path: Path, opened: Callable[..., GitWorkspace]
    ) -> Workspace:
        return opened(directory, hub=tmp_path / "data" / "hubs" / "run.git")

    async def test_work_that_is_taken_back_leaves_its_tip_on_the_line(
        self, workspace: Workspace
    ) -> None:
        done = await work(workspace, "turns", {"new.txt": "new\n"})
        tree = await workspace.start("turns")
        (tree.path / "new.txt").unlink()
        back = await workspace.commit(tree, "taken back")
        assert (back.is_empty, back.commit) == (True, tree.base)
        await workspace.advance(done.tip)
        await workspace.advance(back.tip)
        assert await workspace.head() == back.tip != done.tip


class TestCopyWorkspace(WorkspaceContract):
    @pytest.fixture
    def directory(self, tmp_path: Path) -> Path:
        place = tmp_path / "contract"
        write(place, FILES)
        return place

    @pytest.fixture
    def workspace(self, directory: Path, tmp_path: Path) -> Workspace:
        data = tmp_path / "data"
        return CopyWorkspace(
            directory,
            RUN,
            copies_dir=data / "copies" / "swm-deadbeef",
            worktrees_dir=data / "worktrees" / "swm-deadbeef",
            ports_dir=data / "ports",
            hub=data / "hubs" / "run.git",
        )


async def test_a_whole_run_leaves_the_checkout_byte_identical(
    repo: Repo, workspace: GitWorkspace
) -> None:
    repo.write({"a.txt": "changed\n", "new.txt": "new\n", "noise.log": "ignored"})
    repo.git("add", "a.txt")
    repo.write({"a.txt": "changed twice\n"})
    before = repo.fingerprint()
    await workspace.open()
    for id in ("one", "two"):
        tree = await workspace.start(id)
        (tree.path / "a.txt").write_text(f"{id}\n")
        done = await workspace.commit(tree, id)
        if (await workspace.merge(done.commit, id)).status == "conflict":
            again = await workspace.start_merge(id, done.commit)
            (again.path / "a.txt").write_text("both\n")
            await workspace.finish_merge(again, done.commit, id)
            await workspace.release(again, keep=False)
        await workspace.release(tree, keep=False)
    assert "both" in await workspace.patch()
    assert repo.fingerprint() == before
