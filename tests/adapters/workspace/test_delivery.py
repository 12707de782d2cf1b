"""`--merge`: the result comes into the user's checkout whole, or nothing changes."""

import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from codetether_ray.core.errors import WorkspaceError
from codetether_ray.workspace.git import GitWorkspace
from codetether_ray.workspace.index_lock import clear_own_lock, index_lock
from tests.adapters.workspace.repos import SLUG, Repo, write

pytestmark = pytest.mark.matrix  # each case takes dozens of git commands
Opened = Callable[..., GitWorkspace]
MAIN = f"codetether/{SLUG}/main"


async def result(
    workspace: GitWorkspace, files: dict[str, str], gone: tuple[str, ...] = ()
) -> None:
    """A run whose one subtask wrote `files` and removed `gone`."""
    tree = await workspace.start("one")
    write(tree.path, files)
    for name in gone:
        (tree.path / name).unlink()
    done = await workspace.commit(tree, "one")
    assert (await workspace.merge(done.commit, "one")).status == "merged"


async def test_a_clean_branch_is_fast_forwarded(repo: Repo, workspace: GitWorkspace) -> None:
    await result(workspace, {"a.txt": "new\n", "n.txt": "n\n"}, gone=("b.txt",))
    assert "trunk was fast-forwarded" in await workspace.deliver()
    assert repo.git("rev-parse", "trunk") == repo.git("rev-parse", MAIN)
    assert repo.status() == []
    assert not (repo.path / "b.txt").exists()
    assert repo.git("symbolic-ref", "HEAD") == "refs/heads/trunk"


async def test_uncommitted_changes_stay_uncommitted_and_the_runs_are_committed(
    repo: Repo, workspace: GitWorkspace
) -> None:
    repo.write({"a.txt": "A1\na2\na3\n", "mine.txt": "mine\n", "staged.txt": "staged\n"})
    repo.git("add", "staged.txt")
    repo.write({"staged.txt": "staged\nand more\n"})
    (repo.path / "src/c.py").unlink()
    before = repo.status()
    await result(workspace, {"a.txt": "A1\na2\nfrom the run\n", "b.txt": "run\n", "run.txt": "r\n"})
    said = await workspace.deliver()
    assert "still uncommitted" in said
    assert repo.status() == before
    assert repo.git("show", "--format=", "--name-only", "trunk").splitlines() == [
        "a.txt", "b.txt", "run.txt",
    ]  # fmt: skip
    assert repo.show("trunk:a.txt") == "a1\na2\nfrom the run"
    assert (repo.path / "a.txt").read_text() == "A1\na2\nfrom the run\n"
    assert repo.show(":staged.txt") == "staged"
    assert (repo.path / "staged.txt").read_text() == "staged\nand more\n"
    assert repo.git("diff", "--", "a.txt").count("\n+") == 2  # the header's, and the user's line


async def test_work_built_on_uncommitted_lines_is_refused_and_nothing_changes(
    repo: Repo, workspace: GitWorkspace
) -> None:
    repo.write({"a.txt": "a1\nmine\na3\n", "draft.txt": "draft\n"})
    await result(workspace, {"a.txt": "a1\nmine, better\na3\n"})
    before = repo.fingerprint()
    with pytest.raises(WorkspaceError, match=r"built on your uncommitted.*a\.txt") as caught:
        await workspace.deliver()
    assert repo.fingerprint() == before
    advice = str(caught.value).split("`")[1]
    subprocess.run(advice, shell=True, cwd=repo.path, check=True)
    assert (repo.path / "a.txt").read_text() == "a1\nmine, better\na3\n"
    assert (repo.path / "draft.txt").read_text() == "draft\n"


async def test_an_uncommitted_rename_does_not_lead_the_runs_change_astray(
    repo: Repo, workspace: GitWorkspace
) -> None:
    repo.git("mv", "a.txt", "renamed.txt")
    await result(workspace, {"renamed.txt": "a1\na2\na3\nrun\n"})
    before = repo.fingerprint()
    with pytest.raises(WorkspaceError, match=r"(renamed|a)\.txt"):
        await workspace.deliver()
    assert repo.fingerprint() == before


async def test_untracked_files_of_a_first_commit_stay_untracked(
    tmp_path: Path, opened: Opened
) -> None:
    repo = Repo(tmp_path / "fresh")
    repo.write({"idea.txt": "idea\n"})
    workspace = opened(repo.path)
    await result(workspace, {"made.py": "x = 1\n"})
    await workspace.deliver()
    assert repo.files_at("trunk") == ["made.py"]
    assert repo.status() == ["?? idea.txt"]
    assert repo.git("rev-list", "--count", "trunk") == "1"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda r: r.write({"a.txt": "edited\n"}), r"a\.txt changed since"),
        (lambda r: r.write({"surprise.txt": "s"}), r"surprise\.txt changed since"),
        (lambda r: r.commit({"a.txt": "committed\n"}), "no longer on trunk"),
        (lambda r: r.git("switch", "--quiet", "-c", "other"), "no longer on trunk"),
        (lambda r: r.git("checkout", "--quiet", "--detach"), "no longer on trunk"),
        (lambda r: (r.path / ".git/MERGE_HEAD").write_text("0" * 40), "a merge is in progress"),
    ],
)
async def test_a_checkout_that_moved_is_left_alone(
    repo: Repo, workspace: GitWorkspace, change: Callable[[Repo], object], words: str
) -> None:
    await result(workspace, {"a.txt": "run\n"})
    change(repo)
    before = repo.fingerprint()
    with pytest.raises(WorkspaceError, match=words):
        await workspace.deliver()
    assert repo.fingerprint() == before


async def test_a_detached_head_has_no_branch_to_merge_into(
    repo: Repo, workspace: GitWorkspace
) -> None:
    repo.git("checkout", "--quiet", "--detach")
    await result(workspace, {"a.txt": "run\n"})
    with pytest.raises(WorkspaceError, match="detached"):
        await workspace.deliver()


@pytest.mark.parametrize("is_dirty", [False, True])
async def test_an_ignored_file_in_the_way_is_not_overwritten(
    repo: Repo, workspace: GitWorkspace, is_dirty: bool
) -> None:
    repo.write({"secret.log": "precious"})
    if is_dirty:
        repo.write({"b.txt": "dirty\n"})
    await result(workspace, {".gitignore": "", "secret.log": "from the run", "z.log/x": "x"})
    before = repo.fingerprint()
    with pytest.raises(WorkspaceError, match=r"secret\.log"):
        await workspace.deliver()
    assert repo.fingerprint() == before


async def test_an_ignored_file_where_a_directory_must_be_is_not_overwritten(
    repo: Repo, workspace: GitWorkspace
) -> None:
    repo.write({"out.log": "precious"})
    await result(workspace, {".gitignore": "", "out.log/part": "x"})
    before = repo.fingerprint()
    with pytest.raises(WorkspaceError, match=r"out\.log"):
        await workspace.deliver()
    assert repo.fingerprint() == before


@pytest.mark.parametrize("flag", ["--assume-unchanged", "--skip-worktree"])
async def test_changes_hidden_from_git_are_not_overwritten(
    repo: Repo, workspace: GitWorkspace, flag: str
) -> None:
    repo.git("update-index", flag, "b.txt")
    repo.write({"b.txt": "hidden change\n"})
    await result(workspace, {"b.txt": "run\n"})
    with pytest.raises(WorkspaceError, match=r"b\.txt"):
        await workspace.deliver()
    assert (repo.path / "b.txt").read_text() == "hidden change\n"


@pytest.mark.parametrize("is_dirty", [False, True])
async def test_another_git_at_work_is_waited_out_by_the_user(
    repo: Repo, workspace: GitWorkspace, is_dirty: bool
) -> None:
    if is_dirty:
        repo.write({"b.txt": "dirty\n"})
    await result(workspace, {"a.txt": "run\n"})
    (repo.path / ".git/index.lock").write_text("")
    before = repo.fingerprint()
    with pytest.raises(WorkspaceError, match=r"index\.lock"):
        await workspace.deliver()
    assert repo.fingerprint() == before
    assert (repo.path / ".git/index.lock").exists()
    (repo.path / ".git/index.lock").unlink()
    await workspace.deliver()
    assert (repo.path / "a.txt").read_text() == "run\n"


@pytest.mark.parametrize("is_dirty", [False, True])
async def test_a_lock_that_a_killed_delivery_left_is_known_and_taken_away(
    repo: Repo, workspace: GitWorkspace, is_dirty: bool
) -> None:
    if is_dirty:
        repo.write({"b.txt": "dirty\n"})
    await result(workspace, {"a.txt": "run\n"})
    room = repo.path / ".git/codetether"
    code = f"""
import os, signal
from pathlib import Path
from codetether_ray.workspace.index_lock import index_lock
with index_lock(Path({str(repo.path / ".git")!r}), Path({str(room)!r})):
    os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run([sys.executable, "-c", code], check=False)
    assert done.returncode == -signal.SIGKILL
    assert (repo.path / ".git/index.lock").exists()
    await workspace.deliver()
    assert (repo.path / "a.txt").read_text() == "run\n"
    assert not (repo.path / ".git/index.lock").exists()
    assert not (room / "index-lock.mine").exists()


async def test_a_lock_of_a_delivery_that_lives_is_left_alone(repo: Repo) -> None:
    git_dir = repo.path / ".git"
    room = git_dir / "codetether"
    with index_lock(git_dir, room) as lock:
        clear_own_lock(git_dir, room)
        assert lock.exists()
        with pytest.raises(WorkspaceError, match=r"index\.lock"), index_lock(git_dir, room):
            raise AssertionError("held twice")
        assert lock.exists()
    assert not lock.exists()


async def test_a_run_that_changed_nothing_says_so(repo: Repo, workspace: GitWorkspace) -> None:
    repo.write({"a.txt": "dirty\n"})
    assert "nothing to merge" in await workspace.deliver()
    assert repo.branches() == ["trunk"]


_TEXTS = st.dictionaries(
    st.sampled_from(["a.txt", "b.txt", "src/c.py", "n1", "n2"]),
    st.sampled_from(["", "x\n", "a1\na2\na3\n", "a1\nX\na3\n", "a1\na2\nX\n"]),
    max_size=3,
)


@settings(max_examples=5, deadline=None, suppress_health_check=list(HealthCheck))
@given(mine=_TEXTS, runs=_TEXTS, is_staged=st.booleans())
async def test_whatever_both_did_the_files_are_the_sum_or_untouched(
    tmp_path: Path,
    mine: dict[str, str],
    runs: dict[str, str],
    is_staged: bool,
) -> None:
    room = Path(tempfile.mkdtemp(dir=tmp_path))
    repo = Repo(room / "project")
    repo.commit({"a.txt": "a1\na2\na3\n", "b.txt": "b1\n", "src/c.py": "c\n"})
    repo.write(mine)
    if is_staged:
        repo.git("add", "--all")
    workspace = GitWorkspace(repo.path, "run", worktrees_dir=room / "trees")
    tree = await workspace.start("one")
    write(tree.path, runs)
    await workspace.merge((await workspace.commit(tree, "one")).commit, "one")
    before, head = repo.fingerprint(), repo.git("rev-parse", "HEAD")
    try:
        said = await workspace.deliver()
    except WorkspaceError:
        assert repo.fingerprint() == before
        return
    files = {n: (repo.path / n).read_text() for n in {**mine, **runs}}
    assert files == {**mine, **runs}
    if "nothing to merge" in said:
        return
    own = set(repo.git("diff", "--name-only", head, "HEAD").splitlines())
    assert own <= set(runs)
    still = {line[3:] for line in repo.status()}
    assert still <= set(mine)
