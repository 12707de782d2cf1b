"""Committing what an agent left in its worktree, whatever it did to git meanwhile.

The files count. Commits that the agent made itself, on whatever branch, stay in the history of
the result; files that are too large, copied in, or left by the setup command stay out of it.
"""

import asyncio
from dataclasses import dataclass
from pathlib import Path

from codetether_ray.core.errors import WorkspaceError
from codetether_ray.ports.workspace import Commit
from codetether_ray.workspace.commits import (
    changed_paths,
    commit_tree,
    is_ancestor,
    move_ref,
    resolve,
    tree_of,
)
from codetether_ray.workspace.git_command import Git, encode_paths, shown
from codetether_ray.workspace.records import TreeRecord
from codetether_ray.workspace.repository import UNFINISHED
from codetether_ray.workspace.status import Change, Status, digest_of, read_status, size_of

_MB = 1_000_000
_LOCK_WAITS, _LOCK_WAIT_S = 20, 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """Changes of a worktree told apart. `left` are real changes that cannot be committed."""

    status: Status
    add: tuple[str, ...]
    unstage: tuple[str, ...]
    left: tuple[str, ...]
    notes: tuple[str, ...]


async def look(git: Git, record: TreeRecord, file_bytes: int, *, index: Path | None = None) -> Work:
    """What there is to commit (that is not in `index`, where one is given)."""
    status = await read_status(git, index=index)
    add, unstage, left, notes = [], [], [], []
    for change in status.changes:
        if _is_environment(change, record, git.work_tree):
            unstage += [change.path] if change.staged != "." else []
        elif reason := _reason_to_leave(change, git.work_tree, file_bytes):
            left.append(change.path)
            unstage += [change.path] if change.staged != "." else []
            notes.append(f"{shown((change.path,))[0]} {reason}")
        elif change.needs_add:
            add.append(change.path)
    return Work(
        status=status, add=tuple(add), unstage=tuple(unstage), left=tuple(left), notes=tuple(notes)
    )


async def stage(git: Git, work: Work) -> str:
    """Bring the index up to the files; return its tree."""
    await _clear_stale_lock(git)
    if work.unstage:
        await git.run(
            "reset", "--quiet", "--pathspec-from-file=-", "--pathspec-file-nul",
            stdin=encode_paths(work.unstage),
        )  # fmt: skip
    if work.add:
        await git.run(
            "add", "--all", "--pathspec-from-file=-", "--pathspec-file-nul",
            stdin=encode_paths(work.add), durable=True,
        )  # fmt: skip
    return (await git.run("write-tree", durable=True)).text


async def _clear_stale_lock(git: Git) -> None:
    """Remove an index lock that a killed git of the agent left; a living one ends by itself."""
    lock = None if git.git_dir is None else git.git_dir / "index.lock"
    for _ in range(_LOCK_WAITS):
        if lock is None or not lock.exists():
            return
        await asyncio.sleep(_LOCK_WAIT_S)
    if lock is not None:
        lock.unlink(missing_ok=True)


async def commit_work(git: Git, record: TreeRecord, message: str, file_bytes: int) -> Commit:
    """Commit everything on the tree's branch and put the worktree back on it.

    Raises:
        WorkspaceError: git or a wanted hook refuses; the files are as they were.
    """
    work = await look(git, record, file_bytes)
    ref, status = f"refs/heads/{record.branch}", work.status
    on_branch = status.branch == record.branch and bool(status.head)
    tip = status.head if on_branch else await resolve(git, ref)
    if on_branch and not work.add and not work.unstage and tip == record.base and not _any(work):
        tree = await tree_of(git, tip)
        return Commit(commit=tip, tree=tree, is_empty=True, notes=work.notes, tip=tip)
    tree = await stage(git, work)
    parents = await _parents(git, tip or record.base, status.head, record.base)
    commit = await _record(git, tree, parents, message, is_changed=bool(work.add))
    if commit != tip and not await move_ref(git, ref, commit, tip):
        raise WorkspaceError(f"{record.branch} moved while its work was committed; try again")
    await _return_to_branch(git, ref, is_there=on_branch)
    files = await changed_paths(git, record.base, commit)
    notes = work.notes + _note_on_branch(status, record)
    return Commit(
        commit=commit if files else record.base,
        tree=tree,
        is_empty=not files,
        files=shown(files),
        notes=notes,
        tip=commit,
    )


def _any(work: Work) -> bool:
    """Whether something is staged that the index alone knows."""
    left = set(work.left)
    return any(c.staged != "." and c.path not in left for c in work.status.changes)


async def _parents(git: Git, tip: str, head: str, base: str) -> tuple[str, ...]:
    """What the new commit stands on: the branch, and the agent's HEAD where it left it.

    An agent that went to another line of commits took none of the base's files away, though they
    are not there: its work is what differs from where it stands.
    """
    if not head or head == tip:
        return (tip,)
    if await is_ancestor(git, tip, head) or (tip == base and await _are_related(git, tip, head)):
        return (head,)
    return (tip,) if await is_ancestor(git, head, tip) else (tip, head)


async def _are_related(git: Git, one: str, other: str) -> bool:
    """Whether two commits have one in common, from which they can be merged."""
    return bool((await git.run("merge-base", one, other, allow=(0, 1))).text)


async def _record(
    git: Git, tree: str, parents: tuple[str, ...], message: str, *, is_changed: bool
) -> str:
    if not is_changed and len(parents) == 1 and await tree_of(git, parents[0]) == tree:
        return parents[0]
    if git.hooks:
        await _ask_hooks(git, message)
    return await commit_tree(git, tree, parents, message)


async def _ask_hooks(git: Git, message: str) -> None:
    """Let the user's `pre-commit` and `commit-msg` hooks judge; they may refuse, not rewrite."""
    await git.run("hook", "run", "--ignore-missing", "pre-commit")
    scratch = await git.text("rev-parse", "--path-format=absolute", "--git-path", "COMMIT_EDITMSG")
    Path(scratch).write_text(message, "utf-8")
    await git.run("hook", "run", "--ignore-missing", "commit-msg", "--", scratch)


async def _return_to_branch(git: Git, ref: str, *, is_there: bool) -> None:
    if git.git_dir is not None:
        for name, what in UNFINISHED:
            if (git.git_dir / name).exists():
                await git.run(what, "--quit", allow=(0, 1, 128))
    if not is_there:
        await git.run("symbolic-ref", "HEAD", ref)


def _note_on_branch(status: Status, record: TreeRecord) -> tuple[str, ...]:
    if status.branch in ("", record.branch):
        return ()
    return (f"the agent had switched to {status.branch}; its work is on {record.branch}",)


def _is_environment(change: Change, record: TreeRecord, root: Path) -> bool:
    """Whether a change is a copy that we brought, or just what the setup command left."""
    path = change.path.rstrip("/")
    if any(path == c or path.startswith(f"{c}/") for c in record.copied):
        return True
    residue = record.residue.get(path)
    return residue is not None and residue == digest_of(root / path)


def _reason_to_leave(change: Change, root: Path, file_bytes: int) -> str:
    """A sentence's end, or "" to take the change."""
    if change.is_nested_repository:
        return "is a repository of its own and was not committed"
    if change.is_only_inside_submodule:
        return "has changes inside the submodule that were not committed"
    if size_of(root / change.path) > file_bytes:
        return f"is larger than {file_bytes // _MB} MB and was not committed"
    return ""
