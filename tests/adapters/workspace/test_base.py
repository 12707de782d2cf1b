"""What a run works from, and that the user's checkout never notices."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from codetether_ray.core.errors import WorkspaceError
from codetether_ray.workspace import open_workspace
from codetether_ray.workspace.git import GitWorkspace
from codetether_ray.workspace.repository import find_repository
from codetether_ray.workspace.snapshot import Limits, is_matched
from tests.adapters.workspace.repos import RUN, SLUG, Repo, commit_as_agent, git

pytestmark = pytest.mark.matrix  # each case takes dozens of git commands
Opened = Callable[..., GitWorkspace]


async def test_a_clean_checkout_is_its_own_base(repo: Repo, workspace: GitWorkspace) -> None:
    base = await workspace.open()
    head = repo.git("rev-parse", "HEAD")
    assert (base.commit, base.head, base.branch) == (head, head, "trunk")
    assert not base.is_snapshot


async def test_changed_and_untracked_files_enter_and_ignored_ones_do_not(
    repo: Repo, workspace: GitWorkspace
) -> None:
    repo.write({"a.txt": "changed\n", "new/n.txt": "new\n", "noise.log": "ignored"})
    (repo.path / "b.txt").unlink()
    repo.write({"staged.txt": "staged\n"})
    repo.git("add", "staged.txt")
    repo.write({"staged.txt": "and changed again\n"})
    base = await workspace.open()
    assert base.is_snapshot
    assert repo.git("rev-parse", f"{base.commit}^") == base.head
    assert repo.files_at(base.commit) == [
        ".gitignore",
        "a.txt",
        "new/n.txt",
        "src/c.py",
        "staged.txt",
    ]
    assert repo.show(f"{base.commit}:a.txt") == "changed"
    assert repo.show(f"{base.commit}:staged.txt") == "and changed again"


async def test_a_branch_that_leaves_no_room_for_the_runs_is_refused_with_its_way_out(
    repo: Repo, workspace: GitWorkspace
) -> None:
    repo.git("branch", "codetether")
    with pytest.raises(WorkspaceError, match="git branch -m codetether"):
        await workspace.open()


async def test_a_resumed_run_finds_the_base_that_it_had(repo: Repo, opened: Opened) -> None:
    repo.write({"a.txt": "dirty\n"})
    base = await opened(repo.path).open()
    repo.commit({"a.txt": "the user went on\n"})
    assert await opened(repo.path).open() == base


async def test_two_runs_of_one_short_name_are_told_apart(repo: Repo, opened: Opened) -> None:
    await opened(repo.path).open()
    with pytest.raises(WorkspaceError, match="belongs to run"):
        await opened(repo.path, run="swm_0mzzzzz999_deadbeef").open()


async def test_a_file_changed_in_the_second_of_its_commit_is_seen(
    repo: Repo, opened: Opened
) -> None:
    """The index's time tells git which entries it cannot trust; the private copy must keep it."""
    for turn in range(3):
        repo.commit({"racy.txt": f"{turn}a\n"})
        index = (repo.path / ".git/index").stat()
        repo.write({"racy.txt": f"{turn}b\n"})
        os.utime(repo.path / "racy.txt", ns=(index.st_mtime_ns, index.st_mtime_ns))
        base = await opened(repo.path, run=f"run-{turn}").open()
        assert repo.show(f"{base.commit}:racy.txt") == f"{turn}b"


async def test_an_unborn_branch_gives_a_first_commit_of_the_runs_own(
    tmp_path: Path, opened: Opened
) -> None:
    repo = Repo(tmp_path / "fresh")
    repo.write({"idea.txt": "begin\n"})
    workspace = opened(repo.path)
    base = await workspace.open()
    assert (base.head, base.branch, base.is_snapshot) == ("", "trunk", True)
    assert any("no commit yet" in note for note in base.notes)
    tree = await workspace.start("one")
    assert (tree.path / "idea.txt").read_text() == "begin\n"
    assert repo.branches() == [f"codetether/{SLUG}/one"]


async def test_an_empty_repository_can_be_worked_in(tmp_path: Path, opened: Opened) -> None:
    repo = Repo(tmp_path / "void")
    workspace = opened(repo.path)
    tree = await workspace.start("one")
    (tree.path / "first.txt").write_text("1\n")
    await workspace.merge((await workspace.commit(tree, "one")).commit, "one")
    assert "one new commit" in await workspace.deliver()
    assert repo.show("trunk:first.txt") == "1"
    assert repo.status() == []


async def test_no_identity_is_needed_and_said(repo: Repo, workspace: GitWorkspace) -> None:
    assert any("no git identity" in note for note in (await workspace.open()).notes)
    tree = await workspace.start("one")
    (tree.path / "x").write_text("x")
    commit = (await workspace.commit(tree, "words of the commit")).commit
    said = repo.git("show", "-s", "--format=%an <%ae> %cn %s", commit)
    assert said == "codetether <agent@codetether.invalid> codetether words of the commit"


async def test_a_shallow_clone_works_and_is_said(
    repo: Repo, tmp_path: Path, opened: Opened
) -> None:
    repo.commit({"later.txt": "later\n"})
    git(tmp_path, "clone", "--quiet", "--depth=1", f"file://{repo.path}", "shallow")
    workspace = opened(tmp_path / "shallow")
    assert any("shallow" in note for note in (await workspace.open()).notes)
    tree = await workspace.start("one")
    (tree.path / "x").write_text("x")
    assert (
        await workspace.merge((await workspace.commit(tree, "m")).commit, "m")
    ).status == "merged"


async def test_submodules_stay_empty_and_their_commit_stays(
    repo: Repo, tmp_path: Path, workspace: GitWorkspace
) -> None:
    lib = Repo(tmp_path / "lib")
    lib.commit({"lib.py": "x = 1\n"})
    allow = ("-c", "protocol.file.allow=always")
    repo.git(*allow, "submodule", "--quiet", "add", str(lib.path), "lib")
    repo.commit({}, "with submodule")
    repo.write({"lib/lib.py": "changed inside\n"})
    pinned = repo.git("rev-parse", "HEAD:lib")
    base = await workspace.open()
    assert not base.is_snapshot
    assert sum("submodule" in note for note in base.notes) == 2
    tree = await workspace.start("one")
    assert list((tree.path / "lib").iterdir()) == []
    (tree.path / "a.txt").write_text("one\n")
    done = await workspace.commit(tree, "one")
    assert done.files == ("a.txt",)
    assert repo.git("rev-parse", f"{done.commit}:lib") == pinned
    assert await workspace.release(tree, keep=False) is None


async def test_commits_inside_a_submodule_keep_their_worktree(
    repo: Repo, tmp_path: Path, workspace: GitWorkspace
) -> None:
    Repo(tmp_path / "lib").commit({"lib.py": "x = 1\n"})
    allow = ("-c", "protocol.file.allow=always")
    repo.git(*allow, "submodule", "--quiet", "add", str(tmp_path / "lib"), "lib")
    repo.commit({}, "with submodule")
    filled, changed = await workspace.start("filled"), await workspace.start("changed")
    for tree in (filled, changed):
        git(tree.path, *allow, "submodule", "--quiet", "update", "--init")
    (changed.path / "lib/lib.py").write_text("x = 2\n")
    commit_as_agent(changed.path / "lib")
    assert (await workspace.commit(changed, "moved")).files == ("lib",)
    assert await workspace.release(filled, keep=False) is None
    assert "submodule" in (await workspace.release(changed, keep=False) or "")
    assert (changed.path / "lib/lib.py").read_text() == "x = 2\n"


async def test_lfs_pointers_and_an_unfinished_merge_are_said(
    repo: Repo, workspace: GitWorkspace
) -> None:
    repo.commit({".gitattributes": "*.bin filter=lfs diff=lfs merge=lfs -text\n"})
    (repo.path / ".git" / "MERGE_HEAD").write_text(repo.git("rev-parse", "HEAD") + "\n")
    notes = (await workspace.open()).notes
    assert any("LFS" in note for note in notes)
    assert any("a merge is in progress" in note for note in notes)


async def test_what_cannot_enter_is_named(repo: Repo, opened: Opened) -> None:
    Repo(repo.path / "vendored").commit({"x": "x"})
    repo.write({"huge.bin": "x" * 2_000, "small.txt": "s"})
    workspace = opened(repo.path, limits=Limits(file_bytes=1_000))
    base = await workspace.open()
    assert any(n.startswith("huge.bin is larger") for n in base.notes)
    assert any(n.startswith("vendored/ is a repository") for n in base.notes)
    files = repo.files_at(base.commit)
    assert "small.txt" in files
    assert not {"huge.bin", "vendored"} & set(files)


async def test_too_much_that_is_not_ignored_is_refused_with_a_hint(
    repo: Repo, opened: Opened
) -> None:
    repo.write({f"data/{n}": "x" * 500 for n in range(5)})
    with pytest.raises(WorkspaceError, match=r"more than.*\.gitignore"):
        await opened(repo.path, limits=Limits(total_bytes=2_000)).open()
    assert repo.branches() == ["trunk"]


async def test_a_run_in_a_subdirectory_works_there(repo: Repo, opened: Opened) -> None:
    workspace = opened(repo.path / "src")
    tree = await workspace.start("one")
    assert tree.path.name == "src"
    assert (tree.path / "c.py").exists()
    assert (tree.path.parent / "a.txt").exists()
    (tree.path.parent / "a.txt").write_text("above\n")
    assert (await workspace.commit(tree, "one")).files == ("a.txt",)


async def test_a_linked_worktree_of_the_user_is_a_checkout_like_any(
    repo: Repo, tmp_path: Path, opened: Opened
) -> None:
    repo.git("worktree", "add", "--quiet", "-b", "side", str(tmp_path / "side"))
    (tmp_path / "side" / "a.txt").write_text("side\n")
    base = await opened(tmp_path / "side").open()
    assert (base.branch, base.is_snapshot) == ("side", True)
    assert repo.show(f"{base.commit}:a.txt") == "side"


async def test_a_directory_that_the_repository_ignores_is_outside_it(repo: Repo) -> None:
    repo.commit({".gitignore": "scratch/\n"})
    repo.write({"scratch/x": "x"})
    assert await find_repository(repo.path / "scratch") is None
    assert await find_repository(repo.path / "src") is not None


async def test_the_inside_of_a_git_directory_is_refused(repo: Repo) -> None:
    with pytest.raises(WorkspaceError, match="no checkout"):
        await find_repository(repo.path / ".git")


async def test_a_broken_index_is_one_sentence(repo: Repo, workspace: GitWorkspace) -> None:
    (repo.path / ".git" / "index").write_bytes(b"no index at all, though long enough to be read")
    with pytest.raises(WorkspaceError, match="index") as caught:
        await workspace.open()
    assert "\n" not in str(caught.value)


async def test_outside_git_a_copy_is_made_and_the_result_is_a_patch(tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.mkdir()
    (plain / "x.txt").write_bytes(b"caf\xe9\n")
    workspace = await open_workspace(plain, RUN, data_dir=tmp_path / "data")
    base = await workspace.open()
    assert (base.branch, base.head, await workspace.main_branch()) == ("", "", "")
    assert "the result is a patch" in base.notes[0]
    tree = await workspace.start("one")
    (tree.path / "x.txt").write_bytes(b"th\xe9\n")
    await workspace.merge((await workspace.commit(tree, "one")).commit, "one")
    patch = (await workspace.patch()).encode("utf-8", "surrogateescape")
    assert b"-caf\xe9\n+th\xe9\n" in patch
    assert sorted(p.name for p in plain.iterdir()) == ["x.txt"]
    git(plain, "init", "--quiet")
    (tmp_path / "p.patch").write_bytes(patch)
    git(plain, "apply", str(tmp_path / "p.patch"))
    assert (plain / "x.txt").read_bytes() == b"th\xe9\n"


async def test_opening_what_is_not_there_says_so(tmp_path: Path) -> None:
    with pytest.raises(WorkspaceError, match="there is no directory"):
        await open_workspace(tmp_path / "nowhere", RUN, data_dir=tmp_path / "data")


async def test_without_git_the_sentence_says_what_to_install(
    repo: Repo, workspace: GitWorkspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(repo.path))
    with pytest.raises(WorkspaceError, match="install git"):
        await workspace.open()


@pytest.mark.parametrize(
    ("path", "glob", "expected"),
    [
        (".env", ".env", True),
        ("api/.env", ".env", False),
        ("api/.env", "**/.env", True),
        (".env", "**/.env", True),
        (".venv/lib/x.py", ".venv", True),
        ("config/a.local", "config/*.local", True),
        ("config/deep/a.local", "config/*.local", False),
        ("environment", ".env", False),
    ],
)
def test_a_copy_glob_names_a_path_and_all_below_it(path: str, glob: str, expected: bool) -> None:
    assert is_matched(path, (glob,)) is expected
