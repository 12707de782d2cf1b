"""Git as a program: what it is told, and what becomes of its errors."""

import asyncio
import subprocess
from pathlib import Path

import pytest

from codetether_ray.core.errors import WorkspaceError
from codetether_ray.workspace.git_command import Git, agent_environment, shorten
from codetether_ray.workspace.locks import RepositoryLock
from codetether_ray.workspace.names import run_slug, split_branch
from codetether_ray.workspace.status import parse_status
from tests.adapters.workspace.repos import Repo


async def test_variables_of_an_outer_git_do_not_lead_elsewhere(
    repo: Repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "index"))
    monkeypatch.setenv("VAULT_TOKEN", "secret")
    assert await Git(work_tree=repo.path).text("rev-parse", "--show-toplevel") == str(repo.path)
    seen = await Git(work_tree=repo.path).text("-c", "alias.v=!env", "v")
    assert "secret" not in seen


async def test_an_error_is_one_sentence_with_gits_own_words(repo: Repo) -> None:
    with pytest.raises(WorkspaceError) as caught:
        await Git(work_tree=repo.path).run("rev-parse", "--verify", "nowhere")
    assert str(caught.value) == "git rev-parse failed: Needed a single revision"
    with pytest.raises(WorkspaceError, match=r"^git rev-parse failed"):
        await Git(work_tree=repo.path).run("-c", "a.b=c", "-c", "d.e=f", "rev-parse", "nowhere")


async def test_a_command_that_takes_too_long_is_ended(repo: Repo) -> None:
    git = Git(work_tree=repo.path)
    with pytest.raises(WorkspaceError, match="took over"):
        await git.run("-c", "alias.wait=!sleep 60", "wait", timeout_s=0.1)


async def test_a_cancelled_caller_lets_the_command_end_by_itself(repo: Repo) -> None:
    git = Git(work_tree=repo.path)
    command = git.run("-c", "alias.slow=!sleep 0.2; touch done", "slow")
    call = asyncio.create_task(command)
    await asyncio.sleep(0.05)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert (repo.path / "done").exists()


def test_the_first_fatal_line_is_what_is_said() -> None:
    words = "hint: x\nwarning: y\nfatal: cannot lock ref 'a'\nhint: z\n"
    assert shorten(words) == "cannot lock ref 'a'; hint: z"
    assert len(shorten("error: " + "x" * 1_000)) == 300
    assert shorten("") == ""


def test_an_agents_own_git_has_an_identity_and_no_hooks(repo: Repo, tmp_path: Path) -> None:
    (repo.path / ".git/hooks").mkdir(exist_ok=True)
    hook = repo.path / ".git/hooks/pre-commit"
    hook.write_text("#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)
    repo.git("config", "commit.gpgSign", "true")
    env = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(tmp_path)}
    commit = ["git", "commit", "--quiet", "--allow-empty", "-m", "x"]
    done = subprocess.run(commit, cwd=repo.path, env=env | agent_environment(hooks=False))
    assert done.returncode == 0
    refused = subprocess.run(
        commit, cwd=repo.path, env=env | agent_environment(hooks=True), capture_output=True
    )
    assert refused.returncode == 1


async def test_one_holds_the_lock_of_a_repository_and_who_waits_is_told(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "lock"
    async with RepositoryLock(path).held():
        with pytest.raises(WorkspaceError, match="another process has held"):
            async with RepositoryLock(path, timeout_s=0.02).held():
                pass
    async with RepositoryLock(path, timeout_s=0.02).held():
        pass


def test_runs_have_short_names() -> None:
    assert run_slug("swm_0mabc12345_deadbeef") == "swm-deadbeef"
    assert run_slug("ses_0mabc12345_deadbeef") == "ses-deadbeef"
    assert run_slug("My Run") != run_slug("my-run") == "my-run"
    assert split_branch("codetether/swm-1/one") == ("swm-1", "one")
    assert split_branch("feature/codetether/x") is None


def test_status_is_read_with_any_name_in_it() -> None:
    status = parse_status((
        "# branch.oid 0123",
        "# branch.head (detached)",
        "1 .M N... 100644 100644 100644 a b name with spaces",
        "u UU N... 100644 100644 100644 100644 a b c both\nlines",
        "1 .M S..U 160000 160000 160000 a a lib",
        "? nested/",
    ))  # fmt: skip
    assert (status.head, status.branch) == ("0123", "")
    plain, both, lib, nested = status.changes
    assert (plain.path, plain.needs_add) == ("name with spaces", True)
    assert (both.path, both.is_unmerged, both.needs_add) == ("both\nlines", True, True)
    assert lib.is_only_inside_submodule
    assert not lib.needs_add
    assert nested.is_nested_repository
