"""Trees: many at once, prepared, found again, never lost."""

import asyncio
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace

import pytest

from codetether_ray.core.errors import WorkspaceError
from codetether_ray.ports.sandbox import Completed
from codetether_ray.workspace.git import GitWorkspace
from codetether_ray.workspace.ports import COUNT, FIRST, LAST, PortRanges
from tests.adapters.workspace.repos import RUN, SLUG, Repo, git

pytestmark = pytest.mark.matrix  # each case takes dozens of git commands
Opened = Callable[..., GitWorkspace]


class FakeSandbox:
    """Plays a setup command by a function on its directory."""

    def __init__(self, play: Callable[[Path], int]) -> None:
        self.play = play
        self.calls: list[SimpleNamespace] = []

    async def run(
        self, command: str, *, cwd: Path, env: Mapping[str, str], timeout_s: float
    ) -> Completed:
        self.calls.append(SimpleNamespace(command=command, cwd=cwd, env=dict(env)))
        code = self.play(cwd)
        return Completed(exit_code=code, output="first\nerror: no such lock file\n" if code else "")


async def test_twenty_four_trees_start_at_once(repo: Repo, workspace: GitWorkspace) -> None:
    trees = await asyncio.gather(*(workspace.start(f"t{n}") for n in range(24)))
    assert len({t.path for t in trees}) == 24
    assert all((t.path / "src/c.py").read_text() == "c = 1\n" for t in trees)
    assert len({t.env["PORT"] for t in trees}) == 24
    listed = repo.git("worktree", "list", "--porcelain")
    assert listed.count(f"locked codetether run {RUN}") == 24


async def test_two_processes_may_start_trees_in_one_repository(repo: Repo, opened: Opened) -> None:
    spaces = [opened(repo.path, run=f"run-{n}") for n in range(4)]
    trees = await asyncio.gather(*(w.start(f"t{n}") for w in spaces for n in range(3)))
    assert len({t.path for t in trees}) == 12


async def test_different_ids_never_share_a_tree(workspace: GitWorkspace) -> None:
    ids = ("Fix API", "fix-api", "fix_api", "fix/api", "resolve--one")
    trees = [await workspace.start(id) for id in ids]
    assert len({t.branch for t in trees}) == len(ids)
    assert trees[1].branch == f"codetether/{SLUG}/fix-api"


async def test_a_tree_whose_directory_was_deleted_comes_back_with_its_commits(
    repo: Repo, workspace: GitWorkspace
) -> None:
    tree = await workspace.start("one")
    (tree.path / "x").write_text("x")
    await workspace.commit(tree, "one")
    shutil.rmtree(tree.path)
    again = await workspace.start("one")
    assert (again.path / "x").read_text() == "x"
    assert again.base == tree.base


async def test_what_is_written_at_the_last_moment_is_kept(
    repo: Repo, workspace: GitWorkspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = await workspace.start("one")
    rename = Path.rename

    def write_then_rename(path: Path, target: Path) -> Path:
        if path == tree.path:
            (path / "late.txt").write_text("late")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", write_then_rename)
    assert "at this very moment" in (await workspace.release(tree, keep=False) or "")
    assert (tree.path / "late.txt").read_text() == "late"
    assert "locked" in repo.git("worktree", "list", "--porcelain")
    assert "late.txt" in (await workspace.release(tree, keep=False) or "")


async def test_a_retry_starts_where_the_first_attempt_did(
    repo: Repo, workspace: GitWorkspace
) -> None:
    one = await workspace.start("one")
    (one.path / "x").write_text("x")
    parent = (await workspace.commit(one, "one")).commit
    child = await workspace.start("child", (parent,))
    await workspace.release(child, keep=False)
    assert (await workspace.start("child")).base == parent == child.base


async def test_a_start_cut_off_before_its_record_is_finished_by_the_next(
    repo: Repo, opened: Opened
) -> None:
    workspace = opened(repo.path)
    tree = await workspace.start("one")
    admin = repo.path / ".git" / "worktrees" / "one"
    (admin / "codetether.json").unlink()
    (admin / "index").unlink()
    (admin / "index.lock").write_text("")
    (tree.path / "a.txt").unlink()
    again = await opened(repo.path).start("one")
    assert (again.path / "a.txt").read_text() == "a1\na2\na3\n"
    assert git(again.path, "status", "--porcelain") == ""


async def test_a_git_config_full_of_traps_changes_nothing(repo: Repo, opened: Opened) -> None:
    hook = repo.path / ".git" / "hooks" / "pre-commit"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)
    for setting in (
        "commit.gpgSign true", "gpg.program /bin/false", "core.pager false", "diff.noprefix true",
        "merge.conflictStyle zdiff3", "merge.renames false", "merge.ff only", "color.ui always",
        "status.showUntrackedFiles no", "diff.external /bin/false", "rerere.enabled true",
        "core.editor false", "worktree.guessRemote true", "core.splitIndex true",
        "core.fsmonitor /bin/false", "merge.autoStash true", "status.relativePaths true",
    ):  # fmt: skip
        repo.git("config", *setting.split(" ", 1))
    workspace = opened(repo.path / "src")
    one, two = [await workspace.start(id) for id in ("one", "two")]
    (one.path / "c.py").write_text("c = 2\n")
    (two.path / "c.py").write_text("c = 3\n")
    a, b = [await workspace.commit(t, "m") for t in (one, two)]
    assert (await workspace.merge(a.commit, "m")).status == "merged"
    assert (await workspace.merge(b.commit, "m")).conflicts == ("src/c.py",)
    tree = await workspace.start_merge("two", b.commit)
    assert (tree.path / "src/c.py").read_text() == (
        f"<<<<<<< HEAD\nc = 2\n=======\nc = 3\n>>>>>>> codetether/{SLUG}/two\n"
    )
    assert "a/src/c.py" in await workspace.patch()


async def test_copies_come_along_and_are_never_committed(repo: Repo, opened: Opened) -> None:
    repo.write({".env": "KEY=1\n", ".venv/bin/python": "#!\n", "api/.env": "K=2\n", "x.log": "l"})
    (repo.path / ".venv/bin/python").chmod(0o755)
    (repo.path / ".venv/link").symlink_to("bin/python")
    before = repo.fingerprint()
    workspace = opened(repo.path, copy=("**/.env", ".venv", "*.log", "a.txt", "none*"))
    base = await workspace.open()
    assert not base.is_snapshot
    tree = await workspace.start("one")
    assert (tree.path / "api/.env").read_text() == "K=2\n"
    assert (tree.path / "x.log").exists()
    assert (tree.path / ".venv/bin/python").stat().st_mode & 0o111
    assert (tree.path / ".venv/link").readlink() == Path("bin/python")
    (tree.path / ".env").write_text("KEY=changed\n")
    (tree.path / "a.txt").write_text("work\n")
    done = await workspace.commit(tree, "one")
    assert done.files == ("a.txt",)
    assert await workspace.release(tree, keep=False) is None
    assert not tree.path.exists()
    assert repo.fingerprint() == before


@pytest.mark.parametrize("glob", ["../secret", "/etc/passwd", "a/../../b", ""])
def test_a_copy_glob_may_not_leave_the_project(repo: Repo, opened: Opened, glob: str) -> None:
    with pytest.raises(WorkspaceError, match=r"workspace\.copy"):
        opened(repo.path, copy=(glob,))


async def test_setup_runs_once_with_the_trees_ports_and_its_leavings_are_not_work(
    repo: Repo, opened: Opened
) -> None:
    def install(cwd: Path) -> int:
        (cwd / "b.txt").write_text("rewritten by setup\n")
        (cwd / "made.egg-info").mkdir()
        (cwd / "made.egg-info/PKG").write_text("pkg")
        return 0

    sandbox = FakeSandbox(install)
    workspace = opened(repo.path, setup="make deps", sandbox=sandbox)
    tree = await workspace.start("one")
    await workspace.start("one")
    (call,) = sandbox.calls
    assert (call.command, call.cwd, call.env["PORT"]) == ("make deps", tree.path, tree.env["PORT"])
    assert (await workspace.commit(tree, "nothing")).is_empty
    (tree.path / "a.txt").write_text("work\n")
    assert (await workspace.commit(tree, "work")).files == ("a.txt",)
    assert await workspace.release(tree, keep=False) is None


async def test_what_setup_left_is_work_once_the_agent_changes_it(
    repo: Repo, opened: Opened
) -> None:
    def install(cwd: Path) -> int:
        (cwd / "lock.json").write_text("{}")
        return 0

    workspace = opened(repo.path, setup="deps", sandbox=FakeSandbox(install))
    tree = await workspace.start("one")
    (tree.path / "lock.json").write_text('{"changed": true}')
    assert (await workspace.commit(tree, "work")).files == ("lock.json",)


async def test_a_failing_setup_is_said_and_tried_again(repo: Repo, opened: Opened) -> None:
    codes = [3, 0]
    sandbox = FakeSandbox(lambda cwd: codes.pop(0))
    workspace = opened(repo.path, setup="make deps", sandbox=sandbox)
    with pytest.raises(WorkspaceError, match="`make deps` ended with 3: no such lock file"):
        await workspace.start("one")
    await workspace.start("one")
    assert codes == []


async def test_a_cancelled_start_leaves_nothing_locked(repo: Repo, workspace: GitWorkspace) -> None:
    await workspace.open()
    starts = [asyncio.create_task(workspace.start(f"t{n}")) for n in range(6)]
    await asyncio.sleep(0.02)
    for start in starts:
        start.cancel()
    await asyncio.gather(*starts, return_exceptions=True)
    trees = await asyncio.gather(*(workspace.start(f"t{n}") for n in range(6)))
    assert all((t.path / "a.txt").exists() for t in trees)


def test_a_range_of_ports_is_the_same_again_and_free_when_its_tree_is_gone(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir()
    two.mkdir()
    ports = PortRanges(tmp_path / "ports")
    first = ports.claim(one, "same key")
    assert ports.claim(one, "same key") == first
    second = PortRanges(tmp_path / "ports").claim(two, "same key")
    assert abs(second - first) >= COUNT
    assert FIRST <= first <= LAST
    one.rmdir()
    assert ports.claim(two, "same key") == first
    ports.give_back(two, first)
    assert not (tmp_path / "ports" / str(first)).exists()
