"""Merges without a checkout, and conflicts that a resolver takes on."""

import asyncio
import os
from collections.abc import Callable

import pytest

from codetether_ray.core.errors import WorkspaceError
from codetether_ray.ports.workspace import Commit, Tree
from codetether_ray.workspace.git import GitWorkspace
from tests.adapters.workspace.repos import SLUG, Repo, commit_as_agent, git, write

pytestmark = pytest.mark.matrix  # each case takes dozens of git commands
Opened = Callable[..., GitWorkspace]
MAIN = f"codetether/{SLUG}/main"


async def work(workspace: GitWorkspace, id: str, files: dict[str, str]) -> Commit:
    tree = await workspace.start(id)
    write(tree.path, files)
    return await workspace.commit(tree, id)


async def conflict(workspace: GitWorkspace, left: dict[str, str], right: dict[str, str]) -> Tree:
    """`one` is merged, `two` conflicts with it: the tree where that is to be resolved."""
    one, two = await work(workspace, "one", left), await work(workspace, "two", right)
    assert (await workspace.merge(one.commit, "one")).status == "merged"
    assert (await workspace.merge(two.commit, "two")).status == "conflict"
    return await workspace.start_merge("two", two.commit)


def theirs(repo: Repo) -> str:
    return repo.git("rev-parse", f"codetether/{SLUG}/two")


async def test_the_main_branch_comes_to_be_with_the_first_merge(
    repo: Repo, workspace: GitWorkspace
) -> None:
    one = await work(workspace, "one", {"x": "x"})
    assert MAIN not in repo.branches()
    outcome = await workspace.merge(one.commit, "merge one")
    assert repo.git("rev-parse", MAIN) == outcome.commit
    assert repo.git("show", "-s", "--format=%s|%P", MAIN) == (
        f"merge one|{(await workspace.open()).commit} {one.commit}"
    )
    assert (await workspace.merge(one.commit, "again")).status == "already"


async def test_the_order_of_merges_alone_decides_the_tree(repo: Repo, opened: Opened) -> None:
    files = {
        "one": {"a.txt": "A1\na2\na3\n"},
        "two": {"a.txt": "a1\na2\nA3\n"},
        "three": {"n": "n"},
    }
    trees = set()
    for run, order in enumerate((list(files), list(reversed(files)))):
        workspace = opened(repo.path, run=f"run-{run}")
        done = {id: await work(workspace, id, files[id]) for id in order}
        for id in files:
            outcome = await workspace.merge(done[id].commit, id)
        trees.add(repo.git("rev-parse", f"{outcome.commit}^{{tree}}"))
    assert len(trees) == 1


async def test_merges_at_once_all_arrive(repo: Repo, workspace: GitWorkspace) -> None:
    done = [await work(workspace, f"t{n}", {f"f{n}": "x"}) for n in range(6)]
    await asyncio.gather(*(workspace.merge(d.commit, "m") for d in done))
    assert len([f for f in repo.files_at(MAIN) if f.startswith("f")]) == 6


async def test_a_main_branch_moved_by_another_process_is_merged_onto(
    repo: Repo, opened: Opened
) -> None:
    first, second = opened(repo.path), opened(repo.path)
    one, two = await work(first, "one", {"x": "x"}), await work(second, "two", {"y": "y"})
    await asyncio.gather(first.merge(one.commit, "one"), second.merge(two.commit, "two"))
    assert {"x", "y"} <= set(repo.files_at(MAIN))


async def test_a_resolver_sees_both_sides_under_readable_names(
    repo: Repo, workspace: GitWorkspace
) -> None:
    tree = await conflict(workspace, {"b.txt": "left\n"}, {"b.txt": "right\n", "clean": "c\n"})
    assert (tree.path / "b.txt").read_text() == (
        f"<<<<<<< HEAD\nleft\n=======\nright\n>>>>>>> codetether/{SLUG}/two\n"
    )
    assert (tree.path / "clean").read_text() == "c\n"
    assert git(tree.path, "diff", "--name-only", "--diff-filter=U") == "b.txt"


async def test_a_half_resolved_merge_is_a_conflict_by_file(
    repo: Repo, workspace: GitWorkspace
) -> None:
    tree = await conflict(
        workspace, {"a.txt": "L\n", "b.txt": "L\n"}, {"a.txt": "R\n", "b.txt": "R\n"}
    )
    (tree.path / "a.txt").write_text("LR\n")
    outcome = await workspace.finish_merge(tree, theirs(repo), "m")
    assert (outcome.status, outcome.conflicts) == ("conflict", ("b.txt",))
    (tree.path / "b.txt").write_text("L\nR\n>>>>>>> " + f"codetether/{SLUG}/two\n")
    assert (await workspace.finish_merge(tree, theirs(repo), "m")).status == "conflict"
    (tree.path / "b.txt").write_text("L\nR\n")
    done = await workspace.finish_merge(tree, theirs(repo), "m")
    assert done.status == "merged"
    assert repo.show(f"{MAIN}:b.txt") == "L\nR"
    assert await workspace.release(tree, keep=False) is None


async def test_a_resolver_may_commit_the_merge_itself(repo: Repo, workspace: GitWorkspace) -> None:
    tree = await conflict(workspace, {"b.txt": "left\n"}, {"b.txt": "right\n"})
    (tree.path / "b.txt").write_text("both\n")
    commit_as_agent(tree.path, "I merged")
    done = await workspace.finish_merge(tree, theirs(repo), "harness")
    assert done.status == "merged"
    assert repo.show(f"{MAIN}:b.txt") == "both"
    assert await workspace.release(tree, keep=False) is None


@pytest.mark.parametrize("command", [("merge", "--abort"), ("reset", "--hard", "--quiet")])
async def test_an_aborted_merge_is_no_resolution(
    repo: Repo, workspace: GitWorkspace, command: tuple[str, ...]
) -> None:
    tree = await conflict(workspace, {"b.txt": "left\n"}, {"b.txt": "right\n", "more": "m"})
    git(tree.path, *command)
    outcome = await workspace.finish_merge(tree, theirs(repo), "m")
    assert (outcome.status, outcome.conflicts) == ("conflict", ("b.txt",))
    assert "more" not in repo.files_at(MAIN)
    assert "<<<<<<<" in (tree.path / "b.txt").read_text()  # for the next attempt
    (tree.path / "b.txt").write_text("both\n")
    assert (await workspace.finish_merge(tree, theirs(repo), "m")).status == "merged"
    assert "more" in repo.files_at(MAIN)


async def test_what_a_resolver_wrote_after_aborting_is_not_thrown_away(
    repo: Repo, workspace: GitWorkspace
) -> None:
    tree = await conflict(workspace, {"b.txt": "left\n"}, {"b.txt": "right\n"})
    git(tree.path, "merge", "--abort")
    (tree.path / "b.txt").write_text("by hand\n")
    assert (await workspace.finish_merge(tree, theirs(repo), "m")).status == "conflict"
    assert (tree.path / "b.txt").read_text() == "by hand\n"
    assert "b.txt" in (await workspace.release(tree, keep=False) or "")


async def test_a_deleted_and_changed_file_is_taken_as_the_resolver_leaves_it(
    repo: Repo, workspace: GitWorkspace
) -> None:
    one = await workspace.start("one")
    (one.path / "b.txt").unlink()
    left = await workspace.commit(one, "one")
    right = await work(workspace, "two", {"b.txt": "changed\n"})
    await workspace.merge(left.commit, "one")
    assert (await workspace.merge(right.commit, "two")).conflicts == ("b.txt",)
    tree = await workspace.start_merge("two", right.commit)
    (tree.path / "b.txt").unlink()
    assert (await workspace.finish_merge(tree, right.commit, "m")).status == "merged"
    assert "b.txt" not in repo.files_at(MAIN)


async def test_a_resumed_merge_is_given_back_as_it_was(repo: Repo, opened: Opened) -> None:
    tree = await conflict(opened(repo.path), {"b.txt": "left\n"}, {"b.txt": "right\n"})
    (tree.path / "b.txt").write_text("nearly\n")
    resumed = opened(repo.path)
    assert await resumed.start_merge("two", theirs(repo)) == tree
    assert (tree.path / "b.txt").read_text() == "nearly\n"
    assert (await resumed.finish_merge(tree, theirs(repo), "m")).status == "merged"


async def test_a_merge_whose_beginning_was_cut_off_is_begun_anew(
    repo: Repo, opened: Opened
) -> None:
    tree = await conflict(opened(repo.path), {"b.txt": "left\n"}, {"b.txt": "right\n"})
    (repo.path / ".git/worktrees/resolve--two/codetether.json").unlink()
    (tree.path / "b.txt").write_text("torn")
    again = await opened(repo.path).start_merge("two", theirs(repo))
    assert "<<<<<<<" in (again.path / "b.txt").read_text()


async def test_another_attempt_at_a_subtask_gets_a_merge_of_its_own(
    repo: Repo, workspace: GitWorkspace
) -> None:
    first = await conflict(workspace, {"b.txt": "left\n"}, {"b.txt": "right\n"})
    again = await work(workspace, "two", {"b.txt": "another right\n"})
    second = await workspace.start_merge("two", again.commit)
    assert second.path != first.path
    with pytest.raises(WorkspaceError, match="no merge of"):
        await workspace.finish_merge(first, again.commit, "m")


async def test_a_resolution_on_an_older_main_is_merged_in_its_turn(
    repo: Repo, workspace: GitWorkspace
) -> None:
    tree = await conflict(workspace, {"b.txt": "left\n"}, {"b.txt": "right\n"})
    later = await work(workspace, "three", {"later": "l"})
    await workspace.merge(later.commit, "three")
    (tree.path / "b.txt").write_text("both\n")
    assert (await workspace.finish_merge(tree, theirs(repo), "m")).status == "merged"
    assert {"later", "b.txt"} <= set(repo.files_at(MAIN))
    assert repo.show(f"{MAIN}:b.txt") == "both"


async def test_unrelated_histories_are_one_sentence(repo: Repo, workspace: GitWorkspace) -> None:
    tree = repo.git("write-tree")
    stranger = repo.git(
        "-c", "user.name=S", "-c", "user.email=s@x", "commit-tree", tree, "-m", "stranger"
    )
    with pytest.raises(WorkspaceError, match="unrelated") as caught:
        await workspace.merge(stranger, "m")
    assert "\n" not in str(caught.value)


async def test_a_lock_that_a_killed_git_left_on_our_branch_is_taken_away_once_it_is_old(
    repo: Repo, workspace: GitWorkspace
) -> None:
    done = await work(workspace, "one", {"x.txt": "x"})
    lock = repo.path / f".git/refs/heads/codetether/{SLUG}/main.lock"
    lock.write_text("")
    with pytest.raises(WorkspaceError, match=r"main\.lock"):
        await workspace.merge(done.commit, "one")
    os.utime(lock, (0, 0))
    assert (await workspace.merge(done.commit, "one")).status == "merged"
    assert not lock.exists()


async def test_what_was_merged_before_is_told_with_its_message(repo: Repo, opened: Opened) -> None:
    first = opened(repo.path)
    one = await work(first, "one", {"x.txt": "x"})
    two = await work(first, "two", {"y.txt": "y"})
    await first.merge(one.commit, "Merge one\n\nCodetether-Subtask: one\n")
    await first.merge(two.commit, "Merge two\n\nCodetether-Subtask: two\n")
    again = await opened(repo.path).merge(one.commit, "Merge one\n")
    assert (again.status, again.message.splitlines()[-1]) == ("already", "Codetether-Subtask: one")
