"""A run's hub goes in bundles, each with what the ones before lack, and comes back."""

import shutil
import subprocess
from pathlib import Path

import pytest

from codetether_ray.archive.s3 import S3Store
from codetether_ray.bootstrap.archiving.opening import push_run
from codetether_ray.bootstrap.archiving.pull import pull_run
from codetether_ray.core.errors import ArchiveError
from codetether_ray.workspace.hub import hub_path
from tests.adapters.archive.runs import new_run, note, small, write


def git(*arguments: str, stdin: str = "") -> str:
    named = ["-c", "user.name=u", "-c", "user.email=u@x", "-c", "gc.auto=0"]
    done = subprocess.run(
        ["git", *named, *arguments], input=stdin, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def make_project(folder: Path) -> Path:
    """A clone whose remote has one commit, with one more of its own."""
    project = folder / "project"
    git("init", "-q", "-b", "main", str(project))
    for text in ("pushed", "own"):
        (project / "a.txt").write_text(text * 1000)
        git("-C", str(project), "add", ".")
        git("-C", str(project), "commit", "-qm", text)
        if text == "pushed":
            git("-C", str(project), "update-ref", "refs/remotes/origin/main", "HEAD")
    return project


def make_hub(data: Path, run: str, project: Path) -> Path:
    hub = hub_path(data, run)
    hub.parent.mkdir(parents=True, exist_ok=True)
    git("init", "-q", "--bare", str(hub))
    (hub / "objects" / "info" / "alternates").write_text(f"{project / '.git' / 'objects'}\n")
    return hub


def snapshot(hub: Path, text: str, parent: str, ref: str) -> str:
    at = ("--git-dir", str(hub))
    blob = git(*at, "hash-object", "-w", "--stdin", stdin=text)
    tree = git(*at, "mktree", stdin=f"100644 blob {blob}\ta.txt\n")
    commit = git(*at, "commit-tree", tree, "-p", parent, "-m", text)
    git(*at, "update-ref", ref, commit)
    return commit


def refs(hub: Path) -> str:
    return git("--git-dir", str(hub), "for-each-ref", "--format=%(refname) %(objectname)")


async def test_every_snapshot_comes_back_though_each_push_sent_only_what_was_new(
    store: S3Store, data: Path, tmp_path: Path
) -> None:
    project, run = make_project(tmp_path), new_run()
    hub = make_hub(data, run, project)
    tip = git("-C", str(project), "rev-parse", "HEAD")
    for number in range(3):
        tip = snapshot(hub, f"step {number}", tip, "refs/codetether/r/main/g1")
        await write(data, run, [note(f"step {number}")])
        push_run(store, data, run)
    git("--git-dir", str(hub), "update-ref", "refs/codetether/r/other/g1", f"{tip}~1")
    await write(data, run, small(count=1)[1:])
    push_run(store, data, run)
    sizes = [s.size for s in store.stored(f"{run}/hub/")]
    assert len(sizes) == 3  # a ref that moved to an old commit needs no bundle
    wanted = refs(hub)
    shutil.rmtree(hub)
    shutil.rmtree(data / "events")
    pull_run(store, data, run)
    assert refs(hub) == wanted
    assert git("--git-dir", str(hub), "show", f"{tip}:a.txt") == "step 2"
    git("--git-dir", str(hub), "fsck", "--full", "--strict")
    assert git("--git-dir", str(hub), "config", "gc.auto") == "0"


async def test_without_the_users_clone_it_is_said_what_git_lacks(
    store: S3Store, data: Path, tmp_path: Path
) -> None:
    project, run = make_project(tmp_path), new_run()
    hub = make_hub(data, run, project)
    snapshot(hub, "one", git("-C", str(project), "rev-parse", "HEAD"), "refs/codetether/r/main/g1")
    await write(data, run, small(count=1))
    push_run(store, data, run)
    shutil.rmtree(project)
    with pytest.raises(ArchiveError, match="prerequisite"):
        pull_run(store, tmp_path / "other", run)
    assert not hub_path(tmp_path / "other", run).exists()
