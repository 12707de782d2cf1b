"""Committing an agent's work, whatever it did to git."""

import shutil
from collections.abc import Callable

import pytest

from codetether_ray.core.errors import WorkspaceError
from codetether_ray.workspace.git import GitWorkspace
from codetether_ray.workspace.snapshot import Limits
from tests.adapters.workspace.repos import SLUG, Repo, commit_as_agent, git

pytestmark = pytest.mark.matrix  # each case takes dozens of git commands
Opened = Callable[..., GitWorkspace]
ONE = f"codetether/{SLUG}/one"


async def test_new_changed_renamed_and_deleted_files_are_all_committed(
    repo: Repo, workspace: GitWorkspace
) -> None:
    tree = await workspace.start("one")
    (tree.path / "a.txt").rename(tree.path / "moved.txt")
    (tree.path / "b.txt").unlink()
    (tree.path / "src/c.py").chmod(0o755)
    (tree.path / "ünïcode\nline.txt").write_text("x")
    (tree.path / "glob*[x].txt").write_text("y")
    (tree.path / "debug.log").write_text("ignored")
    (tree.path / "link").symlink_to("moved.txt")
    done = await workspace.commit(tree, "one")
    assert set(done.files) == {
        "a.txt", "moved.txt", "b.txt", "src/c.py", "ünïcode\nline.txt", "glob*[x].txt", "link",
    }  # fmt: skip
    assert repo.git("rev-parse", ONE) == done.commit
    assert git(tree.path, "status", "--porcelain") == ""


async def test_a_file_name_that_is_not_utf8_is_committed_and_can_be_shown(
    repo: Repo, workspace: GitWorkspace
) -> None:
    tree = await workspace.start("one")
    (tree.path / b"caf\xe9".decode("utf-8", "surrogateescape")).write_text("x")
    done = await workspace.commit(tree, "one")
    assert done.files == ("caf\N{REPLACEMENT CHARACTER}",)
    done.files[0].encode()
    assert await workspace.release(tree, keep=False) is None


async def test_a_file_becoming_a_directory_and_back_is_committed(
    repo: Repo, workspace: GitWorkspace
) -> None:
    tree = await workspace.start("one")
    (tree.path / "a.txt").unlink()
    (tree.path / "a.txt").mkdir()
    (tree.path / "a.txt/inner").write_text("x")
    shutil.rmtree(tree.path / "src")
    (tree.path / "src").write_text("now a file")
    done = await workspace.commit(tree, "one")
    assert set(done.files) == {"a.txt", "a.txt/inner", "src", "src/c.py"}
    assert repo.files_at(done.commit) == [".gitignore", "a.txt/inner", "b.txt", "src"]


async def test_a_removal_that_only_the_index_knows_is_committed(
    repo: Repo, workspace: GitWorkspace
) -> None:
    tree = await workspace.start("one")
    git(tree.path, "rm", "--quiet", "b.txt")
    done = await workspace.commit(tree, "one")
    assert done.files == ("b.txt",)


async def test_commits_of_the_agents_own_stay_in_the_history(
    repo: Repo, workspace: GitWorkspace
) -> None:
    tree = await workspace.start("one")
    (tree.path / "x").write_text("x")
    own = commit_as_agent(tree.path)
    assert (await workspace.commit(tree, "harness")).commit == own
    (tree.path / "y").write_text("y")
    done = await workspace.commit(tree, "harness")
    assert done.files == ("x", "y")
    assert repo.git("rev-parse", f"{done.commit}^") == own


async def test_work_on_another_branch_of_the_agent_is_taken_home(
    repo: Repo, workspace: GitWorkspace
) -> None:
    tree = await workspace.start("one")
    git(tree.path, "switch", "--quiet", "-c", "my-idea")
    (tree.path / "x").write_text("x")
    own = commit_as_agent(tree.path)
    done = await workspace.commit(tree, "harness")
    assert (done.commit, done.files) == (own, ("x",))
    assert any("my-idea" in note for note in done.notes)
    assert git(tree.path, "symbolic-ref", "HEAD") == f"refs/heads/{ONE}"
    assert await workspace.release(tree, keep=False) is None


async def test_a_detached_head_and_a_deleted_branch_lose_nothing(
    repo: Repo, workspace: GitWorkspace
) -> None:
    tree = await workspace.start("one")
    git(tree.path, "checkout", "--quiet", "--detach")
    repo.git("branch", "--quiet", "-D", ONE)
    (tree.path / "x").write_text("x")
    own = commit_as_agent(tree.path)
    (tree.path / "y").write_text("y")
    done = await workspace.commit(tree, "harness")
    assert done.files == ("x", "y")
    assert repo.git("rev-parse", ONE) == done.commit
    repo.git("merge-base", "--is-ancestor", own, done.commit)


async def test_who_goes_to_an_older_commit_takes_away_nothing_of_the_others(
    repo: Repo, workspace: GitWorkspace
) -> None:
    repo.git("branch", "older")
    base = repo.commit({"of-another.txt": "x\n"})
    tree = await workspace.start("one", (base,))
    git(tree.path, "checkout", "--quiet", "older")
    (tree.path / "mine.txt").write_text("mine\n")
    done = await workspace.commit(tree, "harness")
    merged = await workspace.merge(done.commit, "merge", into=base)
    assert {"of-another.txt", "mine.txt"} <= set(repo.files_at(merged.commit))


async def test_history_that_the_agent_rewrote_keeps_both_lines(
    repo: Repo, workspace: GitWorkspace
) -> None:
    tree = await workspace.start("one")
    (tree.path / "x").write_text("first")
    first = (await workspace.commit(tree, "first attempt")).commit
    git(tree.path, "checkout", "--quiet", "--orphan", "fresh")
    (tree.path / "x").write_text("second")
    second = commit_as_agent(tree.path)
    done = await workspace.commit(tree, "harness")
    assert repo.git("show", "-s", "--format=%P", done.commit).split() == [first, second]
    assert repo.show(f"{done.commit}:x") == "second"


async def test_a_merge_that_the_agent_left_open_is_closed(
    repo: Repo, workspace: GitWorkspace
) -> None:
    tree = await workspace.start("one")
    other = await workspace.start("other")
    (other.path / "a.txt").write_text("other\n")
    theirs = (await workspace.commit(other, "other")).commit
    (tree.path / "a.txt").write_text("mine\n")
    commit_as_agent(tree.path)
    done = git_may_fail(tree.path, "merge", "--quiet", theirs)
    assert done != 0
    (tree.path / "a.txt").write_text("mine and other\n")
    commit = await workspace.commit(tree, "harness")
    assert repo.show(f"{commit.commit}:a.txt") == "mine and other"
    assert not (repo.path / ".git/worktrees/one/MERGE_HEAD").exists()
    assert await workspace.release(tree, keep=False) is None


async def test_a_deleted_git_file_does_not_lead_us_elsewhere(repo: Repo, opened: Opened) -> None:
    workspace = opened(repo.path)
    tree = await workspace.start("one")
    outer = Repo(tree.path.parent)  # what a search upwards would find
    (tree.path / ".git").unlink()
    (tree.path / "x").write_text("x")
    done = await workspace.commit(tree, "harness")
    assert done.files == ("x",)
    assert repo.git("rev-parse", ONE) == done.commit
    assert outer.branches() == []


async def test_a_huge_file_is_left_out_said_and_keeps_the_tree(repo: Repo, opened: Opened) -> None:
    workspace = opened(repo.path, limits=Limits(file_bytes=1_000))
    tree = await workspace.start("one")
    (tree.path / "model.bin").write_bytes(b"x" * 1_001)
    git(tree.path, "add", "model.bin")
    (tree.path / "ok.txt").write_text("ok")
    done = await workspace.commit(tree, "one")
    assert done.files == ("ok.txt",)
    assert done.notes == ("model.bin is larger than 0 MB and was not committed",)
    said = await workspace.release(tree, keep=False)
    assert said is not None
    assert "model.bin" in said
    assert (tree.path / "model.bin").exists()
    assert "locked" in repo.git("worktree", "list", "--porcelain")


async def test_a_repository_inside_a_tree_is_left_out_and_keeps_it(
    repo: Repo, workspace: GitWorkspace
) -> None:
    tree = await workspace.start("one")
    Repo(tree.path / "cloned").commit({"x": "x"})
    (tree.path / "ok.txt").write_text("ok")
    done = await workspace.commit(tree, "one")
    assert done.files == ("ok.txt",)
    assert done.notes == ("cloned/ is a repository of its own and was not committed",)
    assert "cloned" in (await workspace.release(tree, keep=False) or "")


async def test_an_index_lock_of_a_killed_git_does_not_stop_the_harness(
    repo: Repo, workspace: GitWorkspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("codetether_ray.workspace.work._LOCK_WAIT_S", 0.001)
    tree = await workspace.start("one")
    (repo.path / ".git/worktrees/one/index.lock").write_text("")
    (tree.path / "x").write_text("x")
    assert (await workspace.commit(tree, "one")).files == ("x",)


async def test_wanted_hooks_may_refuse_and_the_work_stays(repo: Repo, opened: Opened) -> None:
    hooks = repo.path / ".git" / "hooks"
    hooks.mkdir(exist_ok=True)
    (hooks / "pre-commit").write_text("#!/bin/sh\necho 'error: no tests' >&2\nexit 1\n")
    (hooks / "pre-commit").chmod(0o755)
    workspace = opened(repo.path, hooks=True)
    tree = await workspace.start("one")
    (tree.path / "x").write_text("x")
    with pytest.raises(WorkspaceError, match="no tests"):
        await workspace.commit(tree, "one")
    assert (tree.path / "x").read_text() == "x"
    (hooks / "pre-commit").write_text("#!/bin/sh\nexit 0\n")
    assert (await workspace.commit(tree, "one")).files == ("x",)


async def test_dates_can_be_fixed_so_that_commits_are_equal(repo: Repo, opened: Opened) -> None:
    commits = []
    for number in range(2):
        workspace = opened(repo.path, run=f"run-{number}", date="1700000000 +0000")
        tree = await workspace.start("one")
        (tree.path / "x").write_text("x")
        commits.append(await workspace.commit(tree, "one"))
    assert commits[0].commit == commits[1].commit


async def test_a_tree_that_was_taken_away_is_one_sentence(
    repo: Repo, workspace: GitWorkspace
) -> None:
    tree = await workspace.start("one")
    await workspace.release(tree, keep=False)
    with pytest.raises(WorkspaceError, match="is gone"):
        await workspace.commit(tree, "one")
    assert await workspace.release(tree, keep=False) is None


def git_may_fail(cwd: object, *args: str) -> int:
    import subprocess

    identity = ("-c", "user.name=A", "-c", "user.email=a@x")
    done = subprocess.run(["git", *identity, *args], cwd=str(cwd), capture_output=True)
    return done.returncode
