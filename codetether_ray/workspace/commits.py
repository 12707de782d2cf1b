"""Commits made by plumbing: trees, parents, refs moved by compare-and-swap."""

import contextlib
import re
import time
from pathlib import Path

from codetether_ray.core.errors import WorkspaceError
from codetether_ray.workspace.git_command import Git

EMPTY = ""
_ABANDONED_S = 10.0


async def resolve(git: Git, name: str) -> str:
    """The commit that `name` stands for; "" if there is none."""
    out = await git.run("rev-parse", "--verify", "--quiet", f"{name}^{{commit}}", allow=(0, 1, 128))
    return out.text if out.code == 0 else EMPTY


async def tree_of(git: Git, commit: str) -> str:
    """A commit's tree."""
    return await git.text("rev-parse", "--verify", f"{commit}^{{tree}}")


async def commit_tree(git: Git, tree: str, parents: tuple[str, ...], message: str) -> str:
    """A commit object that no ref names yet."""
    args = [word for parent in parents for word in ("-p", parent)]
    text = (message.rstrip("\n") + "\n").encode("utf-8", "replace")
    out = await git.run("commit-tree", tree, *args, "-F", "-", stdin=text, durable=True)
    return out.text


async def move_ref(git: Git, ref: str, new: str, old: str) -> bool:
    """Move a ref from `old` ("": it must not exist); False if it stood elsewhere.

    Raises:
        WorkspaceError: git refuses for another reason.
    """
    out = await git.run("update-ref", ref, new, old, durable=True, allow=(0, 128))
    if out.code and _clear_abandoned_lock(ref, out.stderr):
        out = await git.run("update-ref", ref, new, old, durable=True, allow=(0, 128))
    if out.code == 0:
        return True
    if "but expected" in out.stderr or "already exists" in out.stderr:
        return False
    raise WorkspaceError(f"git could not move {ref}: {out.stderr.strip()[:300]}")


def _clear_abandoned_lock(ref: str, words: str) -> bool:
    """Remove the lock of a ref of ours that a killed git left; whether there was one.

    One writer at a time drives a run, and git holds such a lock for a flush: an old one is dead.
    """
    found = re.search(r"Unable to create '(.+\.lock)': File exists", words)
    if found is None or "/codetether/" not in ref or not found[1].endswith(f"/{ref}.lock"):
        return False
    lock = Path(found[1])
    with contextlib.suppress(FileNotFoundError):
        if time.time() - lock.stat().st_mtime < _ABANDONED_S:
            return False
        lock.unlink()
    return True


async def is_ancestor(git: Git, old: str, new: str) -> bool:
    """Whether `old` is `new` or lies in its history."""
    if old == new:
        return True
    out = await git.run("merge-base", "--is-ancestor", old, new, allow=(0, 1))
    return out.code == 0


async def changed_paths(git: Git, old: str, new: str) -> tuple[str, ...]:
    """Paths that differ between two commits or trees."""
    out = await git.run("diff-tree", "-r", "--no-renames", "--name-only", "-z", old, new)
    return out.parts


async def merge_trees(
    git: Git, ours: str, theirs: str, *, renames: bool = True
) -> tuple[str, tuple[str, ...]]:
    """Merge two commits without a checkout: the tree, and the paths in conflict.

    Whether renames are followed is said here, so that no user's setting changes the tree. (Git
    2.39 follows them in any case.)
    """
    follow = "true" if renames else "false"
    out = await git.run(
        "-c", f"merge.renames={follow}", "merge-tree", "--write-tree", "--name-only",
        "--no-messages", "-z", ours, theirs, durable=True, allow=(0, 1),
    )  # fmt: skip
    tree, *paths = out.parts
    return tree, tuple(dict.fromkeys(paths)) if out.code else ()
