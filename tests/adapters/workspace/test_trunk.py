"""A run's line of single commits, and the branch that follows it as long as it may."""

from collections.abc import Callable
from pathlib import Path

import pytest

from codetether_ray.core.errors import WorkspaceError
from codetether_ray.workspace.git import GitWorkspace
from codetether_ray.workspace.trunk import GitTrunk
from tests.adapters.workspace.repos import RUN, Repo, commit_as_agent, git, write
from tests.contracts.workspace import work

BRANCH = "ralph/x"
Open = Callable[..., GitWorkspace]


def trunk_of(workspace: GitWorkspace, **more: object) -> GitTrunk:
    return GitTrunk(workspace, workspace.ground, RUN, BRANCH, **more)  # type: ignore[arg-type]


async def landed(workspace: GitWorkspace, trunk: GitTrunk, id: str, files: dict[str, str]) -> str:
    """Work that was landed as one commit."""
    head = await trunk.head()
    done = await work(workspace, id, files, parents=(head,))
    merged = await workspace.merge(done.commit, "merge", into=head)
    commit = await trunk.squash(merged.commit, head, f"feat: {id}\n\nStory: {id}\n", {})
    assert commit is not None
    await trunk.advance(commit, head)
    return commit


async def test_each_landing_is_one_commit_with_one_parent_and_the_branch_follows(
    repo: Repo, workspace: GitWorkspace
) -> None:
    trunk = trunk_of(workspace, story_of=lambda message: message.partition("Story: ")[2].strip())
    opened = await trunk.open()
    assert (opened.branch, opened.notes) == (BRANCH, ())
    one = await landed(workspace, trunk, "one", {"one.txt": "1\n"})
    two = await landed(workspace, trunk, "two", {"two.txt": "2\n"})
    assert repo.git("rev-list", "--parents", f"HEAD..{BRANCH}").splitlines() == [
        f"{two} {one}",
        f"{one} {opened.start}",
    ]
    assert await trunk.landed() == {"one": one, "two": two}
    assert await trunk.close() == ""


async def test_what_changes_nothing_but_the_runs_own_files_is_no_commit(
    repo: Repo, workspace: GitWorkspace
) -> None:
    trunk = trunk_of(workspace, own=("b.txt", "state.json"))
    await trunk.open()
    head = await trunk.head()
    done = await work(workspace, "own", {"b.txt": "mine\n", "state.json": "{}\n"})
    assert await trunk.squash(done.commit, head, "feat", {"b.txt": b"ours\n"}) is None
    more = await work(workspace, "more", {"b.txt": "mine\n", "state.json": "{}\n", "new": "n\n"})
    commit = await trunk.squash(more.commit, head, "feat", {"b.txt": b"ours\n"})
    assert repo.git("show", f"{commit}:b.txt") == "ours"
    assert "state.json" not in repo.git("ls-tree", "-r", "--name-only", str(commit))


async def test_a_later_run_goes_on_from_the_branch_and_brings_what_is_not_committed(
    repo: Repo, workspace: GitWorkspace, opened: Open
) -> None:
    first = trunk_of(workspace)
    await first.open()
    tip = await landed(workspace, first, "one", {"one.txt": "1\n"})
    write(repo.path, {"b.txt": "changed\n"})
    other = opened(repo.path, run="rlp_0000000000_0000000b")
    trunk = GitTrunk(other, other.ground, "rlp_0000000000_0000000b", BRANCH)
    start = (await trunk.open()).start
    assert repo.git("merge-base", "--is-ancestor", tip, start) == ""
    assert repo.git("show", f"{start}:b.txt") == "changed"
    assert repo.git("show", f"{start}:one.txt") == "1"
    again = GitTrunk(other, other.ground, "rlp_0000000000_0000000b", BRANCH)
    assert (await again.open()).start == start


async def test_a_branch_that_comes_from_elsewhere_is_refused_with_what_to_do(
    repo: Repo, workspace: GitWorkspace
) -> None:
    mine = repo.git("branch", "--show-current")
    repo.git("checkout", "-q", "--orphan", BRANCH)
    repo.commit({"other.txt": "other\n"})
    repo.git("checkout", "-q", "-f", mine)
    with pytest.raises(WorkspaceError, match="does not come from the commit that you are on"):
        await trunk_of(workspace).open()


async def test_a_branch_that_is_checked_out_or_moved_stays_where_it_is(
    repo: Repo, workspace: GitWorkspace, tmp_path: Path
) -> None:
    trunk = trunk_of(workspace)
    await trunk.open()
    one = await landed(workspace, trunk, "one", {"one.txt": "1\n"})
    repo.git("worktree", "add", "-q", str(tmp_path / "elsewhere"), BRANCH)
    two = await landed(workspace, trunk, "two", {"two.txt": "2\n"})
    assert repo.git("rev-parse", BRANCH) == one
    assert await trunk.head() == two
    assert await trunk.close() == f"{BRANCH} did not follow: {BRANCH} is checked out"


async def test_a_branch_that_somebody_moved_is_left_to_them(
    repo: Repo, workspace: GitWorkspace
) -> None:
    trunk = trunk_of(workspace)
    await trunk.open()
    await landed(workspace, trunk, "one", {"one.txt": "1\n"})
    theirs = repo.commit({"theirs.txt": "theirs\n"})
    repo.git("update-ref", f"refs/heads/{BRANCH}", theirs)
    await landed(workspace, trunk, "two", {"two.txt": "2\n"})
    assert repo.git("rev-parse", BRANCH) == theirs
    assert "somebody else" in await trunk.close()


async def test_the_clean_tree_has_what_the_commit_has_and_keeps_only_what_is_ignored(
    repo: Repo, workspace: GitWorkspace
) -> None:
    trunk = trunk_of(workspace)
    await trunk.open()
    first = await trunk.head()
    tree = await trunk.checkout(first)
    write(tree.path, {"left.txt": "x\n", "b.txt": "spoilt\n", "cache.log": "kept\n"})
    commit = await landed(workspace, trunk, "one", {"one.txt": "1\n"})
    again = await trunk.checkout(commit)
    assert again.path == tree.path
    names = {p.name for p in again.path.iterdir()} - {".git"}
    assert names == {"a.txt", "b.txt", "src", ".gitignore", "one.txt", "cache.log"}
    assert (again.path / "b.txt").read_text() == "b1\n"
    await trunk.close()
    assert not again.path.exists()
    assert "gates" not in repo.git("for-each-ref")


async def test_a_commit_that_is_still_to_be_judged_stays_on_the_clean_trees_branch(
    repo: Repo, workspace: GitWorkspace
) -> None:
    trunk = trunk_of(workspace)
    await trunk.open()
    head = await trunk.head()
    done = await work(workspace, "one", {"one.txt": "1\n"}, parents=(head,))
    commit = await trunk.squash(done.commit, head, "feat: one\n", {})
    assert commit is not None
    tree = await trunk.checkout(commit)
    await trunk.close(is_awaited=True)
    assert not tree.path.exists()
    assert repo.git("rev-parse", tree.branch) == commit
    await trunk_of(workspace).close()  # a later try, that needed no clean tree
    assert "gates" not in repo.git("for-each-ref")


async def test_a_gate_that_goes_to_another_branch_does_not_have_it_moved(
    repo: Repo, workspace: GitWorkspace
) -> None:
    trunk = trunk_of(workspace)
    await trunk.open()
    tree = await trunk.checkout(await trunk.head())
    repo.git("branch", "precious")
    git(tree.path, "checkout", "--quiet", "precious")
    (tree.path / "left.txt").write_text("x\n")
    precious = commit_as_agent(tree.path)
    one = await landed(workspace, trunk, "one", {"one.txt": "1\n"})
    assert git((await trunk.checkout(one)).path, "status", "--porcelain") == ""
    assert (await trunk.close(), tree.path.exists()) == ("", False)
    assert repo.git("rev-parse", "precious") == precious


async def test_files_set_aside_are_in_the_base_as_they_were_committed(
    repo: Repo, opened: Open
) -> None:
    write(repo.path, {"b.txt": "changed\n", "new.json": "{}\n"})
    aside = (repo.path / "b.txt", repo.path / "new.json")
    workspace = opened(repo.path, set_aside=aside)
    base = await workspace.open()
    assert (base.commit, base.is_snapshot) == (repo.git("rev-parse", "HEAD"), False)
