"""What every workspace promises."""

import asyncio
from pathlib import Path

import pytest

from codetether_ray.core.errors import ParentsConflictError, WorkspaceError
from codetether_ray.ports.workspace import Commit, Workspace
from codetether_ray.workspace.hub import Hub
from tests.adapters.workspace.repos import RUN

FILES = {"one.txt": "1\n2\n3\n", "two.txt": "two\n", "deep/three.py": "three = 3\n"}


async def work(
    workspace: Workspace, id: str, files: dict[str, str], parents: tuple[str, ...] = ()
) -> Commit:
    """What an agent of that id does: write files, and have them committed."""
    tree = await workspace.start(id, parents)
    for name, text in files.items():
        place = tree.path / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
    return await workspace.commit(tree, f"{id} worked")


def contents(directory: Path) -> dict[str, bytes]:
    """All files below a directory but git's own."""
    return {
        str(p.relative_to(directory)): p.read_bytes()
        for p in directory.rglob("*")
        if p.is_file() and ".git" not in p.relative_to(directory).parts
    }


class WorkspaceContract:
    """Give fixtures `directory`, which holds `FILES`, and `workspace`, a run that works in it."""

    async def test_a_tree_holds_the_files_and_is_elsewhere(
        self, workspace: Workspace, directory: Path
    ) -> None:
        tree = await workspace.start("reader")
        assert contents(tree.path) == contents(directory)
        assert not tree.path.is_relative_to(directory)

    async def test_opening_again_gives_the_same_base(
        self, workspace: Workspace, directory: Path
    ) -> None:
        first = await workspace.open()
        (directory / "later.txt").write_text("after the run began")
        assert await workspace.open() == first
        tree = await workspace.start("late")
        assert not (tree.path / "later.txt").exists()

    async def test_work_is_committed_and_merged_and_the_directory_stays(
        self, workspace: Workspace, directory: Path
    ) -> None:
        before = contents(directory)
        done = await work(workspace, "writer", {"two.txt": "TWO\n", "new/file": "new\n"})
        assert (done.is_empty, done.files) == (False, ("new/file", "two.txt"))
        outcome = await workspace.merge(done.commit, "merge writer")
        assert outcome.status == "merged"
        assert outcome.commit == await workspace.head()
        assert contents(directory) == before

    async def test_the_main_branch_follows_a_line_of_commits_as_it_is(
        self, workspace: Workspace
    ) -> None:
        first = await work(workspace, "line", {"one.txt": "ONE\n"})
        await workspace.advance(first.commit)
        second = await work(workspace, "line", {"two.txt": "TWO\n"})
        await workspace.advance(second.commit)
        await workspace.advance(first.commit)
        assert await workspace.head() == second.commit
        beside = await work(workspace, "beside", {"new/file": "new\n"})
        with pytest.raises(WorkspaceError, match="does not stand on"):
            await workspace.advance(beside.commit)

    async def test_what_is_told_as_committed_is_in_the_hub(self, workspace: Workspace) -> None:
        tree = await workspace.start("writer")
        base = await workspace.open()
        done = await work(workspace, "writer", {"two.txt": "TWO\n"})
        hub = Hub(Path(tree.hub))
        refs = {hub.read_ref(f"refs/codetether/{RUN}/{name}") for name in ("base", "result/writer")}
        assert refs == {base.commit, done.commit}

    async def test_nothing_done_is_an_empty_commit_at_the_base(self, workspace: Workspace) -> None:
        base = await workspace.open()
        done = await work(workspace, "idler", {})
        assert (done.is_empty, done.commit, done.files) == (True, base.commit, ())
        assert (await workspace.merge(done.commit, "nothing")).status == "already"
        assert await workspace.head() == base.commit
        assert await workspace.diffstat() == ""
        assert await workspace.patch() == ""

    async def test_a_tree_given_back_is_as_it_was_left(self, workspace: Workspace) -> None:
        tree = await workspace.start("again")
        (tree.path / "half.txt").write_text("half done")
        assert await workspace.start("again") == tree
        assert (tree.path / "half.txt").read_text() == "half done"

    async def test_a_tree_taken_away_comes_back_with_its_commits(
        self, workspace: Workspace
    ) -> None:
        done = await work(workspace, "gone", {"kept.txt": "kept\n"})
        tree = await workspace.start("gone")
        assert await workspace.release(tree, keep=False) is None
        assert not tree.path.exists()
        back = await workspace.start("gone")
        assert (back.path / "kept.txt").read_text() == "kept\n"
        assert (await workspace.commit(back, "again")).commit == done.commit

    async def test_a_dependent_starts_from_the_merge_of_exactly_its_parents(
        self, workspace: Workspace
    ) -> None:
        one = await work(workspace, "one", {"from-one": "1"})
        two = await work(workspace, "two", {"from-two": "2"})
        await work(workspace, "other", {"from-other": "3"})
        tree = await workspace.start("child", (one.commit, two.commit))
        found = contents(tree.path)
        assert {"from-one", "from-two"} <= found.keys()
        assert "from-other" not in found

    async def test_parents_that_conflict_are_refused_by_file(self, workspace: Workspace) -> None:
        one = await work(workspace, "one", {"two.txt": "left\n"})
        two = await work(workspace, "two", {"two.txt": "right\n"})
        with pytest.raises(ParentsConflictError) as caught:
            await workspace.start("child", (one.commit, two.commit))
        assert caught.value.files == ("two.txt",)

    async def test_conflicting_parents_are_merged_with_a_resolver_off_the_main_branch(
        self, workspace: Workspace
    ) -> None:
        base = await workspace.open()
        one = await work(workspace, "one", {"two.txt": "left\n"})
        two = await work(workspace, "two", {"two.txt": "right\n"})
        assert (await workspace.merge(two.commit, "m", into=one.commit)).status == "conflict"
        tree = await workspace.start_merge("child", two.commit, onto=one.commit)
        (tree.path / "two.txt").write_text("both\n")
        outcome = await workspace.finish_merge(tree, two.commit, "resolved", onto=one.commit)
        assert outcome.status == "merged"
        child = await workspace.start("child", (outcome.commit,))
        assert (child.path / "two.txt").read_text() == "both\n"
        assert await workspace.head() == base.commit

    async def test_a_conflict_is_resolved_in_a_tree_of_its_own(self, workspace: Workspace) -> None:
        one = await work(workspace, "one", {"two.txt": "left\n"})
        two = await work(workspace, "two", {"two.txt": "right\n", "extra": "x\n"})
        await workspace.merge(one.commit, "one")
        outcome = await workspace.merge(two.commit, "two")
        assert (outcome.status, outcome.conflicts) == ("conflict", ("two.txt",))
        head = await workspace.head()

        tree = await workspace.start_merge("two", two.commit)
        text = (tree.path / "two.txt").read_text()
        assert "<<<<<<<" in text
        assert ">>>>>>>" in text
        again = await workspace.finish_merge(tree, two.commit, "two")
        assert (again.status, again.conflicts) == ("conflict", ("two.txt",))
        assert await workspace.head() == head

        (tree.path / "two.txt").write_text("left and right\n")
        done = await workspace.finish_merge(tree, two.commit, "two")
        assert done.status == "merged"
        assert await workspace.head() == done.commit
        patch = await workspace.patch()
        assert "+left and right" in patch
        assert "+x" in patch
        assert await workspace.release(tree, keep=False) is None

    async def test_merges_in_one_order_give_one_tree_whoever_finished_first(
        self, workspace: Workspace
    ) -> None:
        async def one(n: int) -> Commit:
            tree = await workspace.start(f"s{n}")
            await asyncio.sleep(0.01 * ((n * 7) % 5))
            (tree.path / f"file{n}").write_text(str(n))
            return await workspace.commit(tree, f"s{n}")

        done = await asyncio.gather(*(one(n) for n in range(5)))
        trees = [d.tree for d in done]
        for commit in done:
            await workspace.merge(commit.commit, "merge")
        assert len(set(trees)) == 5
        assert (await workspace.diffstat()).splitlines()[-1].startswith(" 5 files changed")

    async def test_a_tree_with_work_in_it_is_kept_and_said(self, workspace: Workspace) -> None:
        tree = await workspace.start("busy")
        (tree.path / "unsaved.txt").write_text("precious")
        said = await workspace.release(tree, keep=False)
        assert said is not None
        assert "unsaved.txt" in said
        assert (tree.path / "unsaved.txt").read_text() == "precious"

    async def test_a_tree_may_be_kept_on_purpose(self, workspace: Workspace) -> None:
        tree = await workspace.start("kept")
        assert await workspace.release(tree, keep=True) is None
        assert tree.path.is_dir()

    async def test_live_trees_have_ports_of_their_own(self, workspace: Workspace) -> None:
        trees = [await workspace.start(f"p{n}") for n in range(6)]
        ranges = [
            range(int(t.env["CODETETHER_PORT_BASE"]), int(t.env["CODETETHER_PORT_BASE"]) + 10)
            for t in trees
        ]
        assert len({port for r in ranges for port in r}) == 60
        assert len({t.env["CODETETHER_WORKTREE"] for t in trees}) == 6

    async def test_the_result_is_delivered_on_request(
        self, workspace: Workspace, directory: Path
    ) -> None:
        done = await work(workspace, "writer", {"two.txt": "TWO\n", "new/file": "new\n"})
        await workspace.merge(done.commit, "merge")
        said = await workspace.deliver()
        assert "2 files" in said
        assert (directory / "two.txt").read_text() == "TWO\n"
        assert (directory / "new/file").read_text() == "new\n"
        assert "already" in await workspace.deliver()

    async def test_a_directory_that_changed_is_not_delivered_into(
        self, workspace: Workspace, directory: Path
    ) -> None:
        done = await work(workspace, "writer", {"two.txt": "TWO\n"})
        await workspace.merge(done.commit, "merge")
        (directory / "one.txt").write_text("the user went on\n")
        before = contents(directory)
        with pytest.raises(WorkspaceError, match=r"one\.txt"):
            await workspace.deliver()
        assert contents(directory) == before

    async def test_no_subtask_may_be_named_main(self, workspace: Workspace) -> None:
        with pytest.raises(WorkspaceError, match="main"):
            await workspace.start("main")
