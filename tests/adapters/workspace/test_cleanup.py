"""Cleaning up after finished runs, and what stays."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from codetether_ray.workspace import open_workspace
from codetether_ray.workspace.cleanup import Cleanup, clean, clean_copies
from codetether_ray.workspace.git import GitWorkspace
from codetether_ray.workspace.repository import find_repository
from tests.adapters.workspace.repos import RUN, SLUG, Repo

pytestmark = pytest.mark.matrix  # each case takes dozens of git commands
Opened = Callable[..., GitWorkspace]
ONE, TWO, MAIN = (f"codetether/{SLUG}/{name}" for name in ("one", "two", "main"))


async def clean_up(repo: Repo, *, dry_run: bool = False, finished: bool = True) -> Cleanup:
    repository = await find_repository(repo.path)
    assert repository is not None
    return await clean(repository, lambda run: finished, dry_run=dry_run)


async def finished_run(workspace: GitWorkspace, *, is_delivered: bool = True) -> None:
    """Two subtasks, both merged; their worktrees still there."""
    for id in ("one", "two"):
        tree = await workspace.start(id)
        (tree.path / id).write_text(id)
        await workspace.merge((await workspace.commit(tree, id)).commit, id)
    if is_delivered:
        await workspace.deliver()


async def test_what_a_delivered_run_left_goes_entirely(repo: Repo, workspace: GitWorkspace) -> None:
    await finished_run(workspace)
    plan = await clean_up(repo, dry_run=True)
    assert [w.id for w in plan.worktrees] == ["one", "two"]
    assert set(plan.branches) == {ONE, TWO, MAIN}
    assert len(repo.branches()) == 4
    done = await clean_up(repo)
    assert (done.worktrees, set(done.branches), done.kept) == (plan.worktrees, {ONE, TWO, MAIN}, ())
    assert repo.branches() == ["trunk"]
    assert repo.git("for-each-ref", "refs/codetether") == ""
    assert repo.git("worktree", "list").count("\n") == 0
    assert not Path(plan.worktrees[0].path).parent.exists()
    assert await clean_up(repo) == Cleanup()


async def test_a_delivery_beside_uncommitted_changes_counts_as_merged(
    repo: Repo, workspace: GitWorkspace
) -> None:
    repo.write({"a.txt": "dirty\n"})
    await finished_run(workspace)
    await clean_up(repo)
    assert repo.branches() == ["trunk"]
    assert repo.status() == [" M a.txt"]


async def test_a_result_that_nobody_took_keeps_its_main_branch(
    repo: Repo, workspace: GitWorkspace
) -> None:
    await finished_run(workspace, is_delivered=False)
    done = await clean_up(repo)
    assert set(done.branches) == {ONE, TWO}
    assert repo.branches() == [MAIN, "trunk"]
    (kept,) = done.kept
    assert f"git merge {MAIN}" in kept.reason
    repo.git("merge", "--quiet", "--ff-only", MAIN)
    assert (await clean_up(repo)).branches == (MAIN,)


async def test_a_branch_with_unmerged_work_stays(repo: Repo, workspace: GitWorkspace) -> None:
    await finished_run(workspace)
    tree = await workspace.start("three")
    (tree.path / "x").write_text("x")
    await workspace.commit(tree, "three")
    idle = await workspace.start("idle")
    done = await clean_up(repo)
    assert not tree.path.exists()
    assert not idle.path.exists()
    assert f"codetether/{SLUG}/three" in repo.branches()
    assert f"codetether/{SLUG}/idle" not in repo.branches()
    assert [k.what for k in done.kept] == [f"codetether/{SLUG}/three"]


async def test_a_worktree_with_uncommitted_work_stays_with_its_branch(
    repo: Repo, workspace: GitWorkspace
) -> None:
    await finished_run(workspace)
    tree = await workspace.start("one")
    (tree.path / "unsaved").write_text("precious")
    done = await clean_up(repo)
    assert (tree.path / "unsaved").read_text() == "precious"
    assert {k.what for k in done.kept} == {str(tree.path), ONE}
    assert "unsaved not committed" in done.kept[0].reason
    (tree.path / "unsaved").unlink()
    assert not (await clean_up(repo)).kept
    assert repo.branches() == ["trunk"]


async def test_runs_that_are_not_finished_are_left_alone(repo: Repo, opened: Opened) -> None:
    await finished_run(opened(repo.path))
    other = opened(repo.path, run="swm_0mabc99999_0badcafe")
    live = await other.start("one")
    repository = await find_repository(repo.path)
    assert repository is not None
    done = await clean(repository, lambda run: run == RUN, dry_run=False)
    assert live.path.exists()
    assert {k.reason for k in done.kept} == {"its run swm_0mabc99999_0badcafe is not finished"}
    assert repo.branches() == ["codetether/swm-0badcafe/one", "trunk"]


async def test_branches_of_unknown_origin_are_not_ours(repo: Repo) -> None:
    repo.git("branch", "codetether/by-hand/x")
    repo.git("branch", "codetether/flat")
    done = await clean_up(repo)
    assert done.branches == ()
    assert repo.branches() == ["codetether/by-hand/x", "codetether/flat", "trunk"]


async def test_a_branch_that_the_user_stands_on_stays(repo: Repo, workspace: GitWorkspace) -> None:
    await finished_run(workspace)
    repo.git("switch", "--quiet", MAIN)
    done = await clean_up(repo)
    assert [k.what for k in done.kept] == [MAIN]
    assert MAIN in repo.branches()


async def test_entries_of_deleted_worktrees_go(repo: Repo, workspace: GitWorkspace) -> None:
    await finished_run(workspace)
    shutil.rmtree((await workspace.start("one")).path)
    done = await clean_up(repo)
    assert [w.id for w in done.worktrees] == ["one", "two"]
    assert repo.git("worktree", "list").count("\n") == 0


async def test_copies_go_once_their_result_was_written(tmp_path: Path) -> None:
    plain, data = tmp_path / "plain", tmp_path / "data"
    plain.mkdir()
    (plain / "x").write_text("x\n")
    workspace = await open_workspace(plain, RUN, data_dir=data)
    tree = await workspace.start("one")
    (tree.path / "x").write_text("y\n")
    await workspace.merge((await workspace.commit(tree, "one")).commit, "one")
    copies = data / "copies"
    unfinished = await clean_copies(copies, lambda run: False, dry_run=False)
    assert (unfinished.worktrees, unfinished.branches) == ((), ())
    first = await clean_copies(copies, lambda run: True, dry_run=False)
    assert [w.id for w in first.worktrees] == ["one"]
    assert "never written" in first.kept[0].reason
    assert "+y" in await workspace.patch()
    await workspace.deliver()
    assert (await clean_copies(copies, lambda run: True, dry_run=False)).kept == ()
    assert list(copies.iterdir()) == []


class TestCommand:
    """`codetether cleanup`, with runs whose journals say how they stand."""

    @pytest.fixture
    def state(self, monkeypatch: pytest.MonkeyPatch, repo: Repo, tmp_path: Path) -> dict[str, str]:
        from codetether_ray.core.errors import UnknownRunError
        from codetether_ray.journal import listing

        states: dict[str, str] = {}

        def find(folder: Path, run_id: str) -> listing.RunSummary:
            if run_id not in states:
                raise UnknownRunError(run_id)
            return listing.RunSummary(id=run_id, state=states[run_id])  # type: ignore[arg-type]

        monkeypatch.setattr(listing, "find_run", find)
        monkeypatch.setenv("CODETETHER_DATA_DIR", str(tmp_path / "data"))
        monkeypatch.chdir(repo.path)
        return states

    @staticmethod
    def invoke(*args: str) -> str:
        from codetether_ray.cli.cleanup import command

        done = CliRunner().invoke(command, args, standalone_mode=False, catch_exceptions=False)
        assert done.return_value == 0
        return done.stdout

    def test_it_shows_and_then_removes_as_json(
        self, state: dict[str, str], repo: Repo, workspace: GitWorkspace
    ) -> None:
        import asyncio

        asyncio.run(finished_run(workspace))
        state[RUN] = "finished"
        dry = json.loads(self.invoke("--dry-run", "--json"))
        assert (dry["dry_run"], dry["worktrees_found"]) == (True, 2)
        assert dry["worktrees"][0].keys() == {"id", "branch", "path"}
        assert ONE in repo.branches()
        done = json.loads(self.invoke("--json", "--yes"))
        assert (done["cleaned"], done["success"]) == (2, True)
        assert repo.branches() == ["trunk"]
        assert json.loads(self.invoke("--json"))["cleaned"] == 0
        assert "nothing to remove" in self.invoke()

    @pytest.mark.parametrize("how", ["running", "interrupted", "damaged", None])
    def test_it_removes_nothing_of_a_run_that_may_go_on(
        self, state: dict[str, str], repo: Repo, workspace: GitWorkspace, how: str | None
    ) -> None:
        import asyncio

        asyncio.run(finished_run(workspace))
        if how:
            state[RUN] = how
        assert "nothing to remove" in self.invoke("--yes")
        assert ONE in repo.branches()
