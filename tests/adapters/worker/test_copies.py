"""A copy of a codebase for one task, and the branch that it leaves."""

import subprocess
from pathlib import Path

import pytest

from codetether_ray.bootstrap.worker.copies import clear_lost, copied


def git(where: Path, *words: str) -> str:
    identity = ("-c", "user.name=a", "-c", "user.email=a@b.invalid")
    done = subprocess.run(
        ["git", *identity, *words], cwd=where, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    made = tmp_path / "src"
    (made / "sub").mkdir(parents=True)
    git(made, "init", "-q")
    (made / "sub" / "a.txt").write_text("one\n")
    (made / ".gitignore").write_text("*.log\n")
    git(made, "add", ".")
    git(made, "commit", "-q", "-m", "first")
    (made / "sub" / "a.txt").write_text("not committed\n")
    return made


def trees(data: Path) -> list[Path]:
    return list((data / "worker" / "trees").glob("*"))


async def test_edits_become_a_branch_and_the_checkout_stays_as_it_is(
    repository: Path, tmp_path: Path
) -> None:
    before = git(repository, "status", "--porcelain"), git(repository, "rev-parse", "HEAD")
    async with copied(repository / "sub", "task 1", tmp_path) as copy:
        assert copy.is_copy
        assert (copy.directory / "a.txt").read_text() == "one\n"
        (copy.directory / "a.txt").write_text("two\n")
        (copy.directory / "b.txt").write_text("new\n")
        (copy.directory / "x.log").write_text("ignored\n")
        branch = await copy.keep("A task")
    assert branch.startswith("codetether/worker/task-1-")
    names = git(repository, "diff", "--name-only", "HEAD", branch)
    assert names.split() == ["sub/a.txt", "sub/b.txt"]
    assert git(repository, "log", "-1", "--format=%s", branch) == "A task"
    after = git(repository, "status", "--porcelain"), git(repository, "rev-parse", "HEAD")
    assert after == before
    assert trees(tmp_path) == []
    assert len(git(repository, "worktree", "list").splitlines()) == 1


async def test_where_nothing_was_changed_there_is_no_branch(
    repository: Path, tmp_path: Path
) -> None:
    async with copied(repository, "t", tmp_path) as copy:
        assert await copy.keep("nothing") == ""
    assert git(repository, "branch", "--list", "codetether/*") == ""


async def test_an_agent_that_points_its_copy_elsewhere_changes_nothing_there(
    repository: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    git(other, "init", "-q")
    async with copied(repository, "t", tmp_path) as copy:
        (copy.directory / ".git").write_text(f"gitdir: {other / '.git'}\n")
        (copy.directory / "new.txt").write_text("x\n")
        branch = await copy.keep("kept")
    assert "new.txt" in git(repository, "ls-tree", "--name-only", branch)
    assert git(other, "status", "--porcelain") == ""
    assert trees(tmp_path) == []


@pytest.mark.parametrize("is_repository", [False, True])
async def test_where_there_is_no_commit_there_is_no_copy(
    tmp_path: Path, *, is_repository: bool
) -> None:
    place = tmp_path / "plain"
    place.mkdir()
    if is_repository:
        git(place, "init", "-q")
    async with copied(place, "t", tmp_path) as copy:
        assert (copy.directory, copy.is_copy) == (place, False)
        assert await copy.keep("nothing") == ""


async def test_copies_of_processes_that_are_gone_are_removed_and_others_stay(
    repository: Path, tmp_path: Path
) -> None:
    async with copied(repository, "t", tmp_path) as copy:
        (lost,) = trees(tmp_path)
        name, _, host = lost.name.split(".")
        for pid, place in ((4_194_305, host), (4_194_305, "elsewhere")):
            (lost.parent / f"{name}.{pid}.{place}").mkdir()
        clear_lost(tmp_path)
        assert copy.directory.exists()
        assert len(trees(tmp_path)) == 2
