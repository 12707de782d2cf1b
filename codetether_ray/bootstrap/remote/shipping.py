"""A user's checkout as a bundle for an ingress, and a run's branches out of the bundle it gives.

What goes is HEAD with its history, and above it a snapshot of what is not committed, as for any
other run; what git ignores stays. Nothing that is checked out is changed.
"""

import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from codetether_ray.bootstrap.remote.door import Door
from codetether_ray.core.errors import UsageError
from codetether_ray.workspace.commits import commit_tree
from codetether_ray.workspace.git_command import Git
from codetether_ray.workspace.repository import find_repository
from codetether_ray.workspace.snapshot import Limits, snapshot

_BRANCHES = "refs/heads/codetether/*"
_BRANCH = "refs/heads/main"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shipped:
    """A checkout that was made a bundle."""

    bundle: Path
    base: str
    """The commit that it holds: HEAD, or a snapshot above it."""
    notes: tuple[str, ...] = ()


@asynccontextmanager
async def shipped(directory: Path, leave_out: tuple[str, ...] = ()) -> AsyncIterator[Shipped]:
    """The checkout that `directory` is in as a bundle, which is there as long as the context.

    `leave_out`: globs of files that are environment, not work.

    Raises:
        UsageError: it is in no repository, or its history is not all there.
        WorkspaceError: git refuses, or there is too much that is neither committed nor ignored.
    """
    repository = await find_repository(directory)
    if repository is None:
        raise UsageError(
            f"{directory} is in no git repository; an ingress is sent a repository: `git init`, "
            "and commit what it is to work on"
        )
    if repository.is_shallow:
        raise UsageError(
            "this checkout is shallow, and an ingress needs the history; `git fetch --unshallow`"
        )
    git = Git(work_tree=repository.root, git_dir=repository.git_dir)
    async with snapshot(git, repository, Limits(leave_out=leave_out)) as now:
        base, notes = now.head, now.notes
        if not now.head or now.tree != now.head_tree:
            parents = (now.head,) if now.head else ()
            base = await commit_tree(git, now.tree, parents, "Uncommitted changes")
    if repository.prefix:
        notes = (*notes, f"it works on the whole repository, not on {repository.prefix} alone")
    with tempfile.TemporaryDirectory(prefix="codetether-ship-") as folder:
        bundle = await _bundled(git, repository.common_dir, base, Path(folder))
        yield Shipped(bundle=bundle, base=base, notes=notes)


async def brought_home(door: Door, run_id: str, directory: Path) -> None:
    """Have a run's branches in the repository that `directory` is in.

    Raises:
        UsageError: it is in none, or the run has no branches.
        WorkspaceError: git refuses.
        ClusterError: the ingress does not answer.
    """
    repository = await find_repository(directory)
    if repository is None:
        raise UsageError(f"{directory} is in no git repository that branches could come to")
    git = Git(work_tree=repository.root, git_dir=repository.git_dir)
    with tempfile.TemporaryDirectory(prefix="codetether-fetch-") as folder:
        bundle = Path(folder) / "run.bundle"
        await door.fetch(run_id, bundle)
        await git.run(
            "fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--no-auto-gc",
            "--", str(bundle), f"+{_BRANCHES}:{_BRANCHES}", durable=True,
        )  # fmt: skip


async def _bundled(git: Git, common_dir: Path, base: str, folder: Path) -> Path:
    """A bundle with one branch, out of a repository that borrows all objects: no ref is made."""
    bare, bundle = folder / "repository.git", folder / "repository.bundle"
    form = await git.text("rev-parse", "--show-object-format")
    await Git(work_tree=folder).run(
        "init", "--quiet", "--bare", f"--object-format={form}", str(bare)
    )
    lent = common_dir / "objects"
    (bare / "objects" / "info" / "alternates").write_text(f"{lent}\n", "utf-8")
    here = Git(work_tree=folder, git_dir=bare)
    await here.run("update-ref", _BRANCH, base)
    await here.run("symbolic-ref", "HEAD", _BRANCH)
    await here.run("bundle", "create", "--quiet", str(bundle), "HEAD", _BRANCH)
    return bundle
